"""Versions of the contract that were released, and what a later one may not do to their callers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

Schema = Mapping[str, Any]
Schemas = Mapping[str, Schema]

RELEASED = Path(__file__).parent / "released"
# Names that a caller says itself, and errors, of which it takes one that it does not know as any other.
OPEN = ("errors.json", "/metricName", "/destinationCategory", "/family")
LEAST, MOST = ("minimum", "minItems", "minLength"), ("maximum", "maxItems", "maxLength", "maxProperties")


def read_schemas(folder: Path) -> dict[str, Schema]:
    return {path.stem: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}


VERSIONS = {folder.name: read_schemas(folder) for folder in sorted(RELEASED.iterdir())}


def tolerant(schema: Any) -> Any:
    """Return it as somebody reads it who ignores fields that he does not know."""
    if isinstance(schema, dict):
        return {
            name: tolerant(part) for name, part in schema.items() if (name, part) != ("additionalProperties", False)
        }
    return [tolerant(part) for part in schema] if isinstance(schema, list) else schema


@cache
def _validator(version: str, name: str) -> Draft202012Validator:
    schemas = VERSIONS[version]
    read = {f"{stem}.json": Resource.from_contents(tolerant(schema)) for stem, schema in schemas.items()}
    by_id = {str(schema["$id"]): Resource.from_contents(tolerant(schema)) for schema in schemas.values()}
    registry: Registry[Any] = Registry().with_resources([*read.items(), *by_id.items()])
    return Draft202012Validator(tolerant(schemas[name]), registry=registry, format_checker=FormatChecker())


def check_released(value: Any, name: str) -> None:
    """Hold a value against every released version that has a schema of this name."""
    for version, schemas in VERSIONS.items():
        if name in schemas:
            _validator(version, name).validate(value)


class Form(NamedTuple):
    """One of the forms that a value may have: no reference and no choice is left in it."""

    schema: Schema
    home: str
    names_are_open: bool

    @property
    def types(self) -> set[str]:
        """Return the types of JSON; all where the schema says nothing."""
        said = self.schema.get("type")
        if said is None and self.values is not None:
            kinds = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
            return {kinds[type(value)] for value in self.values}
        every = ["string", "boolean", "integer", "number", "null", "object", "array"]
        types = set(every if said is None else [said] if isinstance(said, str) else said)
        return types | ({"integer"} if "number" in types else set())

    @property
    def values(self) -> list[Any] | None:
        return [self.schema["const"]] if "const" in self.schema else self.schema.get("enum")

    @property
    def required(self) -> set[str]:
        return set(self.schema.get("required", []))

    @property
    def properties(self) -> Schema:
        properties: Schema = self.schema.get("properties", {})
        return properties


def forms(schema: Schema, home: str, schemas: Schemas, names_are_open: bool = False) -> Iterator[Form]:
    for word in ("oneOf", "anyOf"):
        if word in schema:
            rest = {name: part for name, part in schema.items() if name != word}
            for choice in schema[word]:
                yield from forms(_both(rest, choice), home, schemas, names_are_open)
            return
    if "allOf" in schema:
        first, *others = schema["allOf"]
        rest = {name: part for name, part in schema.items() if name != "allOf"}
        yield from forms(_both({**rest, **({"allOf": others} if others else {})}, first), home, schemas, names_are_open)
        return
    if "$ref" not in schema:
        yield Form(schema, home, names_are_open)
        return
    file, _, way = schema["$ref"].partition("#")
    home = file.removesuffix(".json") or home
    part: Any = schemas[home]
    for name in filter(None, way.split("/")):
        part = part[name]
    yield from forms(part, home, schemas, names_are_open or schema["$ref"].endswith(OPEN))


def _both(schema: Schema, narrower: Schema) -> Schema:
    """Return a schema that holds both; what both say of a property, the second one says more narrowly."""
    required = [*schema.get("required", []), *narrower.get("required", [])]
    properties = {**schema.get("properties", {}), **narrower.get("properties", {})}
    return {**schema, **narrower, "required": required, **({"properties": properties} if properties else {})}


def breaks(name: str, old: Schemas, new: Schemas) -> list[str]:
    """Return what the new version of a schema does to who wrote an input, or reads an output, by the old one."""
    if name.endswith(".input"):
        return _misfits("", (old[name], name, old), (new[name], name, new), "input")
    if name.endswith(".output"):
        return _misfits("", (new[name], name, new), (old[name], name, old), "output")
    return [f"{error} is gone" for error in old[name].get("enum", []) if error not in new[name]["enum"]]


Placed = tuple[Schema, str, Schemas]


def _misfits(path: str, given: Placed, taken: Placed, kind: str) -> list[str]:
    """Return why the other schema does not take every value of the given one, an old input or a new output."""
    found: list[str] = []
    for form in forms(*given):
        every = [_misfits_of_form(path, form, other, given[2], taken[2], kind) for other in forms(*taken)]
        fewest: list[str] = min(every, key=len)
        found += fewest
    return list(dict.fromkeys(found))


def _misfits_of_form(path: str, given: Form, taken: Form, givens: Schemas, takens: Schemas, kind: str) -> list[str]:
    where = path or "it"
    if more := given.types - taken.types:
        return [f"{where}: {', '.join(sorted(more))} is not taken"]
    found = [f"{where}.{name} is not always there" for name in sorted(taken.required - given.required)]
    old, new = (given, taken) if kind == "input" else (taken, given)
    found += [f"{where}.{name} is gone" for name in old.properties if name not in new.properties]
    if taken.values is not None and not (kind == "output" and taken.names_are_open):
        found += [f"{where}: {value!r} is not taken" for value in given.values or ["any"] if value not in taken.values]
    nothing = float("inf")
    found += [
        f"{where}: {word} is narrower" for word in LEAST if _of(given, word, -nothing) < _of(taken, word, -nothing)
    ]
    found += [f"{where}: {word} is narrower" for word in MOST if _of(given, word, nothing) > _of(taken, word, nothing)]
    found += [
        f"{where}: {word} is another"
        for word in ("pattern", "format", "uniqueItems")
        if taken.schema.get(word) not in (None, given.schema.get(word))
    ]
    if kind == "input" and taken.schema.get("additionalProperties") is False:
        found += [f"{where}: unknown fields are refused"] * (given.schema.get("additionalProperties") is not False)
        gone = given.schema.get("patternProperties", {}).keys() - taken.schema.get("patternProperties", {}).keys()
        found += [f"{where}: fields named {name} are refused" for name in sorted(gone)]
    parts = [
        (f"{path}.{name}".lstrip("."), given.properties[name], part)
        for name, part in taken.properties.items()
        if name in given.properties
    ]
    for word in ("items", "additionalProperties"):
        ours, theirs = given.schema.get(word), taken.schema.get(word)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            parts.append((f"{path}[]", ours, theirs))
    for way, ours, theirs in parts:
        found += _misfits(way, (ours, given.home, givens), (theirs, taken.home, takens), kind)
    return found


def _of(form: Form, word: str, default: float) -> float:
    return float(form.schema.get(word, default))
