"""Reading of input fields. Each function raises InvalidInput with the field, the value, and what is allowed."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from flowquery.core.errors import InvalidInput
from flowquery.core.limits import ID_LENGTH, STATUS_LENGTH
from flowquery.core.text import truncated

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from flowquery.core.limits import Bounds

    Fields = Mapping[str, object]

_TYPE_NAMES = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
# botocore sends `.`, `..` and the empty string as they are, and each reaches another resource.
_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{ID_LENGTH - 1}}}", re.ASCII)
_STATUS = re.compile(rf"[\x20-\x7e]{{1,{STATUS_LENGTH}}}", re.ASCII)
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
# Step Functions recommends a field of this name in the input of a nested execution.
_ALWAYS_ALLOWED = "AWS_STEP_FUNCTIONS_"


def parse_object(value: object, name: str = "the event") -> Fields:
    if not isinstance(value, dict):
        raise InvalidInput(f"{name}: expected an object, got {_type_name(value)}")
    return cast("Fields", value)


def object_field(fields: Fields, name: str) -> Fields:
    """Return the object in a field, or an empty one where there is none. For texts, which leave out what is missing."""
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def objects_field(fields: Fields, name: str) -> list[Fields]:
    """Return the objects of a list in a field, or none. For texts, which leave out what is missing."""
    values = fields.get(name)
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def refuse_unknown_names(fields: Fields, allowed: Collection[str]) -> None:
    """Refuse a field that the input does not have, and name the one that was probably meant."""
    for name in fields:
        if name not in allowed and not name.startswith(_ALWAYS_ALLOWED):
            raise InvalidInput(f"{_quoted(name)} is not a field of this input.{_suggestion(name, allowed)}")


def required(fields: Fields, field: str) -> object:
    if fields.get(field) is not None:
        return fields[field]
    alike = [name for name in fields if name.lower() == field.lower() and name != field]
    if "Payload" in fields:
        raise InvalidInput(f"{field} is missing. The event is wrapped in 'Payload'; pass what is in it.")
    hint = f" Did you mean {_quoted(alike[0])}? Field names are case-sensitive." if alike else ""
    raise InvalidInput(f"{field} is missing.{hint}")


def is_id(value: object) -> bool:
    return type(value) is str and _ID.fullmatch(value) is not None


def is_status(value: object) -> bool:
    """Tell whether it can be a status. The service may add new ones, but the answer has to stay small."""
    return type(value) is str and _STATUS.fullmatch(value) is not None


def parse_id(fields: Fields, field: str) -> str:
    """Return the id. It becomes part of a URL, so no other characters than these are sent."""
    value = required(fields, field)
    if not is_id(value):
        raise InvalidInput(
            f"{field}: expected a string of 1 to {ID_LENGTH} letters, digits, '-' or '_' that begins with a letter or "
            f"digit, got {_type_name(value)}{f' of {len(value)} characters' if isinstance(value, str) else ''}"
        )
    return cast("str", value)


def parse_time(fields: Fields, field: str) -> datetime:
    """Return the time in UTC. Takes ISO 8601 (without an offset it is UTC) or epoch seconds."""
    value = required(fields, field)
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        else:
            moment = datetime.fromtimestamp(_finite(value), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        moment = _LATEST
    if not _EARLIEST <= moment < _LATEST or moment.microsecond:
        raise InvalidInput(
            f"{field}: expected whole seconds between the years 2000 and 2099, as ISO 8601 "
            f"(2026-11-24T08:00:00Z) or epoch seconds, got {_shown(value)}"
        )
    return moment


def parse_within(fields: Fields, field: str, bounds: Bounds, default: float | None = None) -> float:
    """Return a number within the bounds; where the field is absent, the default given here, else that of the bounds."""
    return _number_within(fields, field, bounds.least, bounds.most, bounds.default if default is None else default)


def parse_whole_within(fields: Fields, field: str, bounds: Bounds, default: float | None = None) -> int:
    value = fields.get(field)
    if value is None:
        return int(bounds.default if default is None else default)
    return parse_count(fields, field, at_least=int(bounds.least), at_most=int(bounds.most))


def parse_count(
    fields: Fields, field: str, default: int | None = None, *, at_least: int = 0, at_most: int = 10**9
) -> int:
    """Return a whole number; required where there is no default."""
    value = required(fields, field) if default is None else fields.get(field, default)
    if type(value) is not int or not at_least <= value <= at_most:
        raise InvalidInput(f"{field}: expected a whole number from {at_least} to {at_most}, got {_shown(value)}")
    return value


def parse_amount(fields: Fields, field: str, default: float | None = None) -> float:
    """Return a number from 0 on, to a thousandth; required where there is no default."""
    value = required(fields, field) if default is None else default
    return round(_number_within(fields, field, 0, 10**9, cast("float", value)), 3)


def parse_number(fields: Fields, field: str) -> float:
    value = required(fields, field)
    try:
        return _finite(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput(f"{field}: expected a number, got {_shown(value)}") from None


def parse_flag(fields: Fields, field: str, *, default: bool = False) -> bool:
    value = fields.get(field)
    if value is not None and type(value) is not bool:
        raise InvalidInput(f"{field}: expected true or false, got {_shown(value)}")
    return default if value is None else bool(value)


def parse_list(fields: Fields, field: str, at_least: int, at_most: int) -> list[object]:
    """Return a list that is required, of so many items."""
    value = required(fields, field)
    if not isinstance(value, list) or not at_least <= len(value) <= at_most:
        actual = f"{len(value)} of them" if isinstance(value, list) else _type_name(value)
        raise InvalidInput(f"{field}: expected a list of {at_least} to {at_most}, got {actual}")
    return value


def parse_choice(fields: Fields, field: str, allowed: tuple[str, ...]) -> str:
    value = required(fields, field)
    if type(value) is not str or value not in allowed:
        raise InvalidInput(f"{field}: expected one of {', '.join(allowed)}, got {_shown(value)}")
    return value


def parse_choices(fields: Fields, field: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return a list of different names out of those allowed; all of them where the field is absent."""
    if fields.get(field) is None:
        return allowed
    names = parse_list(fields, field, 1, len(allowed))
    chosen = tuple(parse_choice({field: name}, field, allowed) for name in names)
    if len(set(chosen)) < len(chosen):
        raise InvalidInput(f"{field}: expected each name once, got {_shown(names)}")
    return chosen


def _number_within(fields: Fields, field: str, least: float, most: float, default: float) -> float:
    value = fields.get(field)
    if value is None:
        return default
    try:
        number = _finite(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not least <= number <= most:
        raise InvalidInput(f"{field}: expected a number from {least:g} to {most:g}, got {_shown(value)}")
    return number


def _finite(value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(cast("float", value)):
        raise ValueError
    return float(cast("float", value))


def _suggestion(name: str, allowed: Collection[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 only a refusal needs it, and a cold start pays for each import

    by_lower_case = {field.lower(): field for field in allowed}
    close = get_close_matches(name.lower(), list(by_lower_case), n=1, cutoff=0.7)
    if close:
        return f' Did you mean "{by_lower_case[close[0]]}"?'
    return f" It takes {', '.join(sorted(allowed))}."


def _type_name(value: object) -> str:
    return _TYPE_NAMES.get(type(value), "a number")


def _quoted(name: str) -> str:
    return f'"{truncated(repr(name)[1:-1], 80)}"'


def _shown(value: object) -> str:
    """Return the value for a message, short enough for an error's Cause."""
    return truncated(repr(value), 80)
