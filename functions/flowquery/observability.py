"""The logger and the metrics, made once. Service and namespace come from the environment."""

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

LOGGER = Logger()
METRICS = Metrics()

# All have the one dimension `service`, the stack: each further value of a dimension is another metric to pay for.
UNITS = {
    "StatusChecks": MetricUnit.Count,
    "Throttles": MetricUnit.Count,
    "DetectionLag": MetricUnit.Seconds,
    "QuerySeconds": MetricUnit.Seconds,
    "RunDollars": MetricUnit.NoUnit,
}


def measure(name: str, value: float) -> None:
    """Add to a metric of `UNITS`; a handler under `METRICS.log_metrics` sends it."""
    METRICS.add_metric(name, UNITS[name], value)
