from .models import networkflowmonitor_backends  # noqa: F401
