"""What the build of the layer does apart from installing. test_built.py has the rest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from samtranslator.yaml_helper import yaml_parse

from layer import build, docstring
from tests.loopback import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def versions(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", (ROOT / lock).read_text("utf-8"), re.MULTILINE))


def test_the_layer_has_the_versions_that_the_tests_run_on() -> None:
    layer, dev = versions("layer/requirements.txt"), versions("requirements/dev.txt")

    assert layer
    assert layer == {name: dev[name] for name in layer}


def test_bytecode_is_for_the_runtime_of_the_template() -> None:
    template = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))

    assert template["Globals"]["Function"]["Runtime"] == "python{}.{}".format(*build.DEPLOYED_PYTHON)


def test_the_layer_has_the_data_of_the_services_that_are_called() -> None:
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "functions").rglob("*.py"))

    assert set(re.findall(r'boto3\.client\("([a-z0-9]+)"', code)) == set(build.SERVICES)


def test_another_python_compiles_nothing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "DEPLOYED_PYTHON", (3, 99))
    (tmp_path / "module.py").touch()

    build.compile_bytecode(tmp_path)

    assert "no bytecode, since it takes Python 3.99" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["module.py"]


def test_a_member_called_documentation_stays_in_the_model() -> None:
    shape = {"members": {"documentation": {"shape": "Text", "documentation": "prose"}}, "documentation": "prose"}

    assert build.without_documentation(shape) == {"members": {"documentation": {"shape": "Text"}}}


def test_another_release_of_a_changed_module_stops_the_build(tmp_path: Path) -> None:
    module = tmp_path / "compat.py"
    module.write_text("from multiprocessing import managers\n", "utf-8")

    with pytest.raises(SystemExit, match="UNUSED_IMPORTS"):
        build.remove_line(module, "from multiprocessing.managers import BaseManager\n")


def test_docstrings_stay_empty() -> None:
    made: Callable[..., str] = docstring.ClientMethodDocstring

    assert made("operation", model=None) == ""
