"""Checks of what comes in. Each raises InvalidInput with the field and what is allowed, before any AWS call."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from flowquery.core.errors import InvalidInput
from flowquery.core.model import Family, Poll, Query, QueryRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPE_NAMES = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}

# Botocore sends `.`, `..` and the empty string as they are, and each reaches another resource.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", re.ASCII)
_STATUS = re.compile(r"[\x20-\x7e]{1,64}", re.ASCII)
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def parse_object(value: object, name: str = "the event") -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{name}: expected an object, got {_type_name(value)}")
    return cast("Mapping[str, object]", value)


def is_id(value: object) -> bool:
    return type(value) is str and _ID.fullmatch(value) is not None


def is_status(value: object) -> bool:
    """Tell whether it can be a status: the service may say new ones, but the answer has to stay small."""
    return type(value) is str and _STATUS.fullmatch(value) is not None


def parse_id(event: Mapping[str, object], field: str) -> str:
    """Return the id; an id ends up in a URL, so nothing else than these characters may leave."""
    value = _required(event, field)
    if not is_id(value):
        raise InvalidInput(
            f"{field}: expected a string of 1 to 128 letters, digits, '-' or '_' that begins with a letter or digit, "
            f"got {_type_name(value)}{f' of {len(value)} characters' if isinstance(value, str) else ''}"
        )
    return cast("str", value)


def parse_query(event: object) -> Query:
    fields = parse_object(event)
    return Query(parse_id(fields, "scopeId"), parse_id(fields, "queryId"), parse_family(fields))


def parse_family(fields: Mapping[str, object]) -> Family:
    if fields.get("family") is None:
        return Family.DATA
    return Family(parse_choice(fields, "family", tuple(Family)))


def parse_query_request(fields: Mapping[str, object], allowed: Mapping[str, tuple[str, ...]]) -> QueryRequest:
    """Return metric, category and window; `allowed` has the enums of the service model."""
    metric_name = parse_choice(fields, "metricName", allowed["metricName"])
    destination_category = parse_choice(fields, "destinationCategory", allowed["destinationCategory"])
    start_time, end_time = parse_time(fields, "startTime"), parse_time(fields, "endTime")
    if end_time <= start_time:
        raise InvalidInput(f"endTime: expected a time after startTime, got {fields['endTime']!r}")
    limit = None if fields.get("limit") is None else parse_count(fields, "limit", at_least=1, at_most=500)
    return QueryRequest(metric_name, destination_category, start_time, end_time, limit)


def parse_time(fields: Mapping[str, object], field: str) -> datetime:
    """Return the time in UTC; takes ISO 8601 (without an offset it is UTC) or epoch seconds."""
    value = _required(fields, field)
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


def parse_alarm_above(fields: Mapping[str, object], family: Family) -> float | None:
    """Return the value above which a peak is a finding, in the result's unit; None where none is one."""
    value = fields.get("alarmAbove")
    if value is not None and family is not Family.DATA:
        raise InvalidInput(f"alarmAbove: for the family {Family.DATA} only, got {_shown(value)} with family {family}")
    return None if value is None else parse_number(fields, "alarmAbove")


def parse_seconds(fields: Mapping[str, object], field: str, default: float, at_least: float, at_most: float) -> float:
    value = fields.get(field, default)
    try:
        seconds = _finite(value)
    except (TypeError, ValueError, OverflowError):
        seconds = -1.0
    if not at_least <= seconds <= at_most:
        raise InvalidInput(f"{field}: expected a number from {at_least:g} to {at_most:g}, got {_shown(value)}")
    return seconds


def parse_list(fields: Mapping[str, object], field: str, at_least: int, at_most: int) -> list[object]:
    """Return a list that is required, of so many items."""
    value = _required(fields, field)
    if not isinstance(value, list) or not at_least <= len(value) <= at_most:
        got = f"{len(value)} of them" if isinstance(value, list) else _type_name(value)
        raise InvalidInput(f"{field}: expected a list of {at_least} to {at_most}, got {got}")
    return value


def parse_choices(fields: Mapping[str, object], field: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return a list of different names out of those allowed; all of them where the field is absent."""
    if fields.get(field) is None:
        return allowed
    names = parse_list(fields, field, 1, len(allowed))
    chosen = tuple(parse_choice({field: name}, field, allowed) for name in names)
    if len(set(chosen)) < len(chosen):
        raise InvalidInput(f"{field}: expected each name once, got {_shown(names)}")
    return chosen


def parse_number(fields: Mapping[str, object], field: str) -> float:
    try:
        return _finite(_required(fields, field))
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput(f"{field}: expected a number, got {_shown(fields[field])}") from None


def parse_flag(fields: Mapping[str, object], field: str) -> bool:
    """Return true or false; false where the field is absent."""
    value = fields.get(field)
    if value is not None and type(value) is not bool:
        raise InvalidInput(f"{field}: expected true or false, got {_shown(value)}")
    return bool(value)


def parse_count(
    fields: Mapping[str, object], field: str, default: int | None = None, *, at_least: int = 0, at_most: int = 10**9
) -> int:
    """Return a whole number; required where there is no default."""
    value = _required(fields, field) if default is None else fields.get(field, default)
    if type(value) is not int or not at_least <= value <= at_most:
        raise InvalidInput(f"{field}: expected a whole number from {at_least} to {at_most}, got {_shown(value)}")
    return value


def parse_amount(fields: Mapping[str, object], field: str, default: float | None = None) -> float:
    """Return a number from 0 on, to a thousandth; required where there is no default."""
    value = _required(fields, field) if default is None else default
    return round(parse_seconds(fields, field, cast("float", value), at_least=0, at_most=10**9), 3)


def parse_poll(fields: Mapping[str, object]) -> Poll:
    """Return what the previous call answered as `poll`, or a new one; anything that no call answers is refused."""
    if fields.get("poll") is None:
        return Poll()
    known = {f"poll.{name}": value for name, value in parse_object(fields["poll"], "poll").items()}
    unknown = sorted(known.keys() - {f"poll.{name}" for name in Poll().to_json()})
    if unknown:
        raise InvalidInput(f"{_shown(unknown[0])}: not a field of poll; hand back what the previous call answered")
    if type(_required(known, "poll.exhausted")) is not bool:
        raise InvalidInput(f"poll.exhausted: expected true or false, got {_shown(known['poll.exhausted'])}")
    return Poll(
        wait_seconds=parse_count(known, "poll.waitSeconds"),
        exhausted=bool(known["poll.exhausted"]),
        elapsed_seconds=parse_amount(known, "poll.elapsedSeconds"),
        checks=parse_count(known, "poll.checks"),
        observed=_observed(known),
        transitions=parse_count(known, "poll.transitions", 0),
        requests=parse_count(known, "poll.requests", 0),
        gb_seconds=parse_amount(known, "poll.gbSeconds", 0),
    )


def _observed(known: Mapping[str, object]) -> dict[str, int]:
    observed = parse_object(_required(known, "poll.observed"), "poll.observed")
    names = [name for name in observed if not is_status(name)]
    if names or len(observed) > 12:
        raise InvalidInput(f"poll.observed: expected at most 12 statuses, got {_shown(names or len(observed))}")
    return {name: parse_count({"poll.observed": count}, "poll.observed") for name, count in observed.items()}


def _required(fields: Mapping[str, object], field: str) -> object:
    if fields.get(field) is not None:
        return fields[field]
    alike = [name for name in fields if type(name) is str and name.lower() == field.lower() and name != field]
    hint = f"; {_shown(alike[0])} is written otherwise" if alike else ""
    hint = "; the event is wrapped in 'Payload'" if "Payload" in fields else hint
    raise InvalidInput(f"{field}: required, but missing{hint}")


def parse_choice(fields: Mapping[str, object], field: str, allowed: tuple[str, ...]) -> str:
    value = _required(fields, field)
    if type(value) is not str or value not in allowed:
        raise InvalidInput(f"{field}: expected one of {', '.join(allowed)}, got {_shown(value)}")
    return value


def _finite(value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(cast("float", value)):
        raise ValueError
    return float(cast("float", value))


def _type_name(value: object) -> str:
    return _TYPE_NAMES.get(type(value), "a number")


def _shown(value: object) -> str:
    """Return the value for a message, short enough for an error's Cause."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
