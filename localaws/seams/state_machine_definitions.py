"""Patches `AmazonStateLanguageParser.parse`: moto parses a definition again at the start of every execution.

The tree is kept. The program that is made of it is not, because executions leave their state in it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor

_parse = lru_cache(32)(AmazonStateLanguageParser.parse)


def install() -> None:
    AmazonStateLanguageParser.parse = staticmethod(_program_and_tree)


def _program_and_tree(definition: str) -> tuple[Any, Any]:
    _, tree = _parse(definition)
    return Preprocessor().visit(tree), tree
