"""Patches the `parse` of moto's paths: jsonpath_ng builds a parser anew for every path that a state reads or writes."""

from __future__ import annotations

from functools import lru_cache

from moto.stepfunctions.parser.asl.component.common.path import result_path
from moto.stepfunctions.parser.asl.utils import json_path

_parse_to_read, _parse_to_write = json_path.parse, result_path.parse


def install() -> None:
    json_path.parse = lru_cache(1024)(_parse_to_read)
    result_path.parse = lru_cache(1024)(_parse_to_write)
