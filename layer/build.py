"""Builds the lean layer: `build.py REQUIREMENTS FOLDER`. Standard library only, as it runs wherever `sam build` does.

What is left out is what no function imports or reads, which a test holds against the handlers.
"""

from __future__ import annotations

import compileall
import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path
from py_compile import PycInvalidationMode

DEPLOYED_PYTHON = (3, 13)  # a test holds it to the template's Runtime
SERVICES = ("networkflowmonitor", "s3", "sns", "stepfunctions")

# Their dist-info stays, since scanners for known vulnerabilities read the versions there, and so do the licences.
NEVER_USED = (
    "bin",
    "aws_lambda_powertools/event_handler",
    "aws_lambda_powertools/metrics/provider/datadog",
    "aws_lambda_powertools/middleware_factory",
    *(
        f"aws_lambda_powertools/utilities/{name}"
        for name in (
            "auth_alpha",
            "batch",
            "circuit_breaker",
            "data_classes",
            "data_masking",
            "feature_flags",
            "idempotency",
            "kafka",
            "metadata",
            "parameters",
            "parser",
            "streaming",
            "validation",
        )
    ),
    "boto3/data",  # of boto3.resource(), where the functions use clients
    "boto3/dynamodb",
    "boto3/ec2",
    "boto3/examples",
    "dateutil/zoneinfo",
    "s3transfer/processpool.py",
    "urllib3/contrib/emscripten",
    "urllib3/http2/connection.py",
)

# Imports that take a tenth of a cold start and serve only what is left out above: HTTP/2, transfers by processes.
UNUSED_IMPORTS = {
    "s3transfer/compat.py": "from multiprocessing.managers import BaseManager  # noqa: F401,E402\n",
    "urllib3/http2/__init__.py": "from importlib.metadata import version\n",
}


def main(requirements: str, folder: str) -> None:
    target = Path(folder)
    install(requirements, target)
    for name in NEVER_USED:
        remove(target / name)
    for name, line in UNUSED_IMPORTS.items():
        remove_line(target / name, line)
    for name in ("boto3/docs", "botocore/docs"):
        replace_docs(target / name)
    reduce_data(target / "botocore/data")
    compile_bytecode(target)


def install(requirements: str, target: Path) -> None:
    """Install the locked wheels, and nothing but pure Python, which runs on arm64 whatever machine builds it."""
    only_pure = ("--only-binary=:all:", "--implementation=py", "--abi=none", "--platform=any")
    version = "--python-version={}.{}".format(*DEPLOYED_PYTHON)
    locked = ("--require-hashes", "--no-deps", "--no-compile", "--disable-pip-version-check")
    pip = (sys.executable, "-m", "pip", "install", "--quiet")
    subprocess.run([*pip, *locked, *only_pure, version, "--target", target, "--requirement", requirements], check=True)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def remove_line(path: Path, line: str) -> None:
    """Remove the line, which has to be there once: another release needs another look."""
    text = path.read_text("utf-8")
    if text.count(line) != 1:
        sys.exit(f"layer: {path.name} does not hold {line.strip()!r} once; see UNUSED_IMPORTS")
    path.write_text(text.replace(line, ""), "utf-8")


def replace_docs(package: Path) -> None:
    """Leave of the package what the SDK imports at start: `utils`, and the classes of docstrings, which stay empty."""
    for path in [path for path in package.iterdir() if path.name != "utils.py"]:
        remove(path)
    package.joinpath("__init__.py").touch()
    shutil.copy(Path(__file__).with_name("docstring.py"), package)


def reduce_data(data: Path) -> None:
    """Keep the models of the services that are called, as they are but for their documentation.

    Shapes, required members and errors are all there, so requests and replies are checked as before. Models are stored
    unpacked: the layer is a zip anyway, and each cold start reads them.
    """
    for folder in [path for path in data.iterdir() if path.is_dir() and path.name not in SERVICES]:
        remove(folder)
    prefixes = set()
    for packed in list(data.rglob("*.json.gz")):
        content = json.loads(gzip.decompress(packed.read_bytes()))
        if packed.name == "service-2.json.gz":
            prefixes.add(content["metadata"]["endpointPrefix"])
            for part in ("operations", "shapes"):  # elsewhere botocore asks for it
                content[part] = without_documentation(content[part])
        packed.unlink()
        write_json(packed.with_suffix(""), content)
    for examples in list(data.rglob("examples-1.json")):
        examples.unlink()
    endpoints = json.loads((data / "endpoints.json").read_bytes())
    for partition in endpoints["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in services if name in prefixes}
    write_json(data / "endpoints.json", endpoints)


def without_documentation(value: object) -> object:
    """Return a part of a model without its prose; a member that is called `documentation` is an object, and stays."""
    if isinstance(value, dict):
        kept = {key: part for key, part in value.items() if not (key == "documentation" and isinstance(part, str))}
        return {key: without_documentation(part) for key, part in kept.items()}
    return [without_documentation(part) for part in value] if isinstance(value, list) else value


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, separators=(",", ":")), "utf-8")


def compile_bytecode(target: Path) -> None:
    """Compile for the deployed Python, and only by it: bytecode of another version would be dead weight.

    Unchecked, since the folder is read-only once deployed and a zip's times are not those of the sources.
    """
    if sys.version_info[:2] != DEPLOYED_PYTHON:
        print("layer: no bytecode, since it takes Python {}.{};".format(*DEPLOYED_PYTHON), "cold starts take longer")
        return
    mode, deployed = PycInvalidationMode.UNCHECKED_HASH, "/opt/python"
    if not compileall.compile_dir(target, quiet=1, stripdir=target, prependdir=deployed, invalidation_mode=mode):
        sys.exit("layer: some modules do not compile")


if __name__ == "__main__":
    main(*sys.argv[1:])
