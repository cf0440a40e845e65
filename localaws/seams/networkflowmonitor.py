"""Network Flow Monitor: a service that moto does not have, and no hook to add one.

Patches `sys.modules`, where moto's `mock_aws` and its server look for the package of a service, and
`moto.backend_index.backend_url_patterns`, by which they know whose a URL is.
"""

from __future__ import annotations

import re
import sys

from moto import backend_index

from localaws import networkflowmonitor
from localaws.networkflowmonitor import models, urls


def install() -> None:
    for name, module in {"": networkflowmonitor, ".models": models, ".urls": urls}.items():
        sys.modules[f"moto.networkflowmonitor{name}"] = module
    patterns = [("networkflowmonitor", re.compile(base)) for base in urls.url_bases]
    backend_index.backend_url_patterns += [
        pattern for pattern in patterns if pattern not in backend_index.backend_url_patterns
    ]
