"""`make sql`: a prompt and a command over what `make run` has stored."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from localaws.__main__ import main
from localaws.demo import sql
from tests.sql.folder import store


def test_a_prompt_answers_line_by_line_and_goes_on_after_a_mistake(tmp_path: Path) -> None:
    store(tmp_path, "2026-11-24T08:00:00Z", "2026-11-24T09:00:00Z", ("a[b]", [("2026-11-24T08:00:00Z", 1.5)]))
    lines = iter(["SELEKT", "", "SELECT label, value FROM results"])

    def read(_: str) -> str:
        try:
            return next(lines)
        except StopIteration as end:
            raise EOFError from end

    printed = io.StringIO()
    sql.prompt(Console(file=printed, width=100), sql.connect(tmp_path), read)

    assert "syntax error" in printed.getvalue()
    assert "a[b]" in printed.getvalue()
    assert "1.5" in printed.getvalue()


def test_the_command_says_what_it_lacks_and_fails_on_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sql", "--folder", str(tmp_path), "SELECT 1"]) == 2
    assert "make run" in capsys.readouterr().err

    store(tmp_path, "2026-11-24T08:00:00Z", "2026-11-24T09:00:00Z")
    assert main(["sql", "--folder", str(tmp_path), "SELECT count(*) AS rows FROM results"]) == 0
    assert main(["sql", "--folder", str(tmp_path), "SELEKT"]) == 1
