"""Amazon CloudWatch Network Flow Monitor for moto, laid out as moto lays out its own services."""

import re
import sys

from moto import backend_index

from localaws.clock import Clock, SystemClock

from . import models, urls
from .models import networkflowmonitor_backends

__all__ = ["install", "networkflowmonitor_backends"]


def install(clock: Clock | None = None) -> None:
    """Make `mock_aws` and the moto server serve it: moto has no hook for services that it does not bring."""
    models.NetworkFlowMonitorBackend.clock = clock or SystemClock()
    for name, module in {"": sys.modules[__name__], ".models": models, ".urls": urls}.items():
        sys.modules[f"moto.networkflowmonitor{name}"] = module
    patterns = [("networkflowmonitor", re.compile(base)) for base in urls.url_bases]
    backend_index.backend_url_patterns += [
        known for known in patterns if known not in backend_index.backend_url_patterns
    ]
