"""The layer as `sam build` makes it, beside what the handlers import and call."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape, StringShape, StructureShape
from botocore.regions import EndpointResolver

from layer.build import DEPLOYED_PYTHON, SERVICES
from tests.loopback import ENVIRONMENT, QUERY_ID, ROOT, event, execution, output
from tests.scripted import ScriptedServer, http, ok, stored

pytestmark = pytest.mark.slow

PUBLISHED = http(200, "<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>")
LISTED = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
REPLIES: dict[str, tuple[bytes, bytes | list[bytes]]] = {
    "get_query_results": (ok(**event("replies/get_query_results")), http(200)),
    "get_query_status": (ok(status="RUNNING"), http(500)),
    "query_widget": (
        http(500),
        [
            ok(executions=[execution()]),
            ok(**execution(output=json.dumps(output()))),
            stored({"timestamp": "2026-11-24T08:00:00Z", "label": "use1-az1", "value": 7.5}),
        ],
    ),
    "raise_alarm": (http(500), PUBLISHED),
    "rank_contributors": (
        ok(queryId=QUERY_ID, status="SUCCEEDED", topContributors=[{"value": 1}]),
        http(200),
    ),
    "plan_backfill": (http(500), [http(200, LISTED), http(200)]),
    "plan_sweep": (http(500), http(200, LISTED)),
    "advance_queries": (ok(status="SUCCEEDED", queryId=QUERY_ID), http(500)),
    "stop_queries": (http(200, "{}"), http(500)),
    "store_sweep": (ok(**event("replies/get_query_results")), http(200)),
    "start_execution": (http(500), ok(executionArn="arn", startDate=0)),
    "start_query": (ok(queryId=QUERY_ID), http(500)),
    "stop_query": (http(200, "{}"), http(500)),
}

# Runs one handler, and prints what it answered or raised, and every file that it imported.
CALL = """
import importlib, json, sys

class Context:
    function_name, memory_limit_in_mb, aws_request_id = "function", 128, "request"
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:function"

    def get_remaining_time_in_millis(self):
        return 900_000

handler = importlib.import_module(sys.argv[1]).handler
try:
    answer = {"answer": handler(json.loads(sys.argv[2]), Context())}
except Exception as error:
    answer = {"error": type(error).__name__, "message": str(error)}
files = [module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)]
print(json.dumps({**answer, "files": files}))
"""


@dataclass(frozen=True)
class Build:
    folder: Path

    @property
    def layer(self) -> Path:
        return self.folder / "DependenciesLayer/python"

    def function(self, handler: str) -> Path:
        return self.folder / f"{''.join(word.capitalize() for word in handler.split('_'))}Function"

    def call(self, handler: str, payload: object) -> dict[str, Any]:
        """Call the handler in a Python that has the function and the layer, and nothing of this environment."""
        folders = [str(self.function(handler)), str(self.layer)]
        variables = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "POWERTOOLS_"))}
        variables |= {name: os.environ[name] for name in ("NO_PROXY", *ENVIRONMENT)}
        ran = subprocess.run(
            [sys.executable, "-S", "-c", CALL, handler, json.dumps(payload)],  # -S: no site-packages
            env={**variables, "PYTHONPATH": os.pathsep.join(folders), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            check=False,
            text=True,
        )
        assert ran.returncode == 0, ran.stderr
        answer: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
        return answer


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    if sys.version_info[:2] != DEPLOYED_PYTHON:
        assert "CI" not in os.environ, "sam build needs Python 3.13"
        pytest.skip("sam build needs Python 3.13")
    folder = tmp_path_factory.mktemp("build")
    subprocess.run(
        [".venv-sam/bin/sam", "build", "--no-cached", "--build-dir", folder],
        cwd=ROOT,
        env={
            "HOME": str(folder),
            "PATH": f"{ROOT}/.venv-sam/bin:{os.environ['PATH']}",
            "SAM_CLI_TELEMETRY": "0",
            **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
        },
        check=True,
        capture_output=True,
    )
    return Build(folder)


def script(server: ScriptedServer, handler: str) -> None:
    reply, others = REPLIES[handler]
    server.replies, server.other_replies = [reply], list(others) if isinstance(others, list) else [others]


@pytest.mark.parametrize("handler", REPLIES)
def test_every_handler_runs_on_the_layer_alone(built: Build, server: ScriptedServer, handler: str) -> None:
    script(server, handler)

    ran = built.call(handler, event(handler))

    assert "answer" in ran, ran
    assert server.requests


def test_a_reply_that_the_model_does_not_allow_is_refused_as_before(built: Build, server: ScriptedServer) -> None:
    server.replies = [http(200, "{}")]

    ran = built.call("get_query_status", event("get_query_status"))

    assert (ran["error"], ran["message"]) == (
        "MalformedReply",
        "GetQueryStatusWorkloadInsightsTopContributorsData: reply.status is missing",
    )


def test_the_layer_holds_the_packages_that_the_handlers_import_and_no_other(
    built: Build, server: ScriptedServer
) -> None:
    imported = set()
    for handler in REPLIES:
        script(server, handler)
        files = map(Path, built.call(handler, event(handler))["files"])
        imported |= {file.relative_to(built.layer).parts[0] for file in files if file.is_relative_to(built.layer)}

    assert {path.name for path in built.layer.iterdir() if path.suffix != ".dist-info"} == imported | {"__pycache__"}


def test_every_module_has_bytecode_that_is_never_checked(built: Build) -> None:
    for folder in (built.layer, built.function("get_query_status")):
        sources = list(folder.rglob("*.py"))
        assert sources
        for source in sources:
            compiled = source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"
            assert compiled.read_bytes()[4:8] == b"\x01\x00\x00\x00", source


def test_the_layer_has_at_most_3_mb_zipped(built: Build) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in built.layer.rglob("*"):
            packed.write(path, path.relative_to(built.layer.parent))

    assert len(archive.getvalue()) <= 3_000_000


@pytest.mark.parametrize("service", SERVICES)
def test_the_service_model_is_the_same_but_for_its_prose(built: Build, service: str) -> None:
    lean = ServiceModel(lean_loader(built).load_service_model(service, "service-2"))
    full = ServiceModel(Loader().load_service_model(service, "service-2"))

    assert lean.metadata == full.metadata
    assert lean.client_context_parameters == full.client_context_parameters
    assert lean.operation_names == full.operation_names
    assert lean.shape_names == full.shape_names
    for name in full.operation_names:
        assert described_operation(lean.operation_model(name)) == described_operation(full.operation_model(name))
    for name in full.shape_names:
        assert described(lean.shape_for(name)) == described(full.shape_for(name))


@pytest.mark.parametrize("service", SERVICES)
def test_endpoints_are_the_same(built: Build, service: str) -> None:
    lean, full = lean_loader(built), Loader()
    prefix = ServiceModel(full.load_service_model(service, "service-2")).endpoint_prefix
    for region in ("us-east-1", "eu-central-2", "cn-north-1", "us-gov-west-1", "xx-new-1"):
        endpoints = [
            EndpointResolver(loader.load_data("endpoints")).construct_endpoint(prefix, region)
            for loader in (lean, full)
        ]
        assert endpoints[0] == endpoints[1]
    rules = "endpoint-rule-set-1"
    assert lean.load_service_model(service, rules) == full.load_service_model(service, rules)


def test_the_benchmark_measures_what_was_built(built: Build) -> None:
    command = [sys.executable, "-m", "benchmarks.cold_start", "--build", str(built.folder), "--rounds", "1", "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)

    assert ran.returncode in (0, 1), ran.stderr  # whether a target is met is for a quiet machine to say
    report = json.loads(ran.stdout)
    assert report["connections"] == 1
    assert {target["name"]: target["met"] for target in report["targets"]}["layer, MB zipped"]


def test_core_and_polling_may_import_nothing_of_the_layer(built: Build) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    [forbidden] = [one["forbidden_modules"] for one in contracts if "flowquery.core" in one.get("source_modules", [])]

    packages = [path.stem for path in built.layer.iterdir() if path.suffix != ".dist-info"]
    assert sorted(forbidden) == sorted(set(packages) - {"__pycache__"})


def lean_loader(built: Build) -> Loader:
    return Loader(extra_search_paths=[str(built.layer / "botocore/data")], include_default_search_paths=False)


def described_operation(operation: OperationModel) -> object:
    shapes = (operation.input_shape, operation.output_shape, *operation.error_shapes)
    return operation.http, operation.auth_type, [shape.name if shape else None for shape in shapes]


def described(shape: Shape) -> object:
    members = {name: (member.name, member.serialization) for name, member in getattr(shape, "members", {}).items()}
    required = shape.required_members if isinstance(shape, StructureShape) else []
    enum = shape.enum if isinstance(shape, StringShape) else []
    return shape.type_name, shape.metadata, members, required, enum
