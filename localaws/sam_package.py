"""`sam package`, for the loopback AWS."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse


def package(path: Path, s3: Any, bucket: str) -> str:
    """Upload what the template at `path` names, and return it with the addresses on S3, as `sam package` does."""
    template = yaml_parse(path.read_text("utf-8"))
    uploaded: dict[str, str] = {}

    def upload(local: str, body: Callable[[], bytes]) -> str:
        if local not in uploaded:
            key = local.strip("/").replace("/", "-")
            s3.put_object(Bucket=bucket, Key=key, Body=body())
            uploaded[local] = f"s3://{bucket}/{key}"
        return uploaded[local]

    property_sets = [template.get("Globals", {}).get("Function", {})]
    property_sets += [resource.get("Properties", {}) for resource in template["Resources"].values()]
    for properties in property_sets:
        for name in ("CodeUri", "ContentUri"):
            if name in properties:
                folder = path.parent / properties[name]
                properties[name] = upload(properties[name], partial(zip_folder, folder))
        if "DefinitionUri" in properties:
            file = path.parent / properties["DefinitionUri"]
            properties["DefinitionUri"] = upload(properties["DefinitionUri"], file.read_bytes)
    return json.dumps(template)


def zip_folder(folder: Path) -> bytes:
    """Return the folder as a zip, the same bytes each time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            archive.writestr(zipfile.ZipInfo(str(file.relative_to(folder)), (2026, 1, 1, 0, 0, 0)), file.read_bytes())
    return buffer.getvalue()
