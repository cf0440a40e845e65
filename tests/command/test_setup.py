"""Setting up, with a lock of its own that holds nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loopback import ROOT

pytestmark = pytest.mark.slow


def setup(folder: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path or f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["/bin/sh", str(ROOT / "scripts/setup"), str(folder / "venv"), str(folder / "lock.txt")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lock.txt").write_text("# nothing\n", "utf-8")
    return tmp_path


def test_a_second_run_does_nothing_and_a_new_lock_starts_over(folder: Path) -> None:
    first, second = setup(folder), setup(folder)
    (folder / "lock.txt").write_text("# something else\n", "utf-8")
    third = setup(folder)

    assert (first.returncode, second.returncode, third.returncode) == (0, 0, 0), first.stderr
    assert "setup:" in first.stdout
    assert second.stdout == ""
    assert "setup:" in third.stdout


@pytest.mark.parametrize("damage", [".lock", "bin/python"])
def test_an_interrupted_set_up_heals(folder: Path, damage: str) -> None:
    setup(folder)
    (folder / "venv" / damage).unlink()

    healed = setup(folder)

    assert healed.returncode == 0
    assert "setup:" in healed.stdout
    assert (folder / "venv/bin/python").exists()


def test_where_there_is_no_python_it_says_what_to_install(folder: Path) -> None:
    failed = setup(folder, path=str(folder))

    assert failed.returncode != 0
    assert "apt-get install python3" in failed.stderr
    assert not (folder / "venv").exists()
