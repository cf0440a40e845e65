"""The logger and the metrics, made once. Service and namespace come from the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowquery.results.spool import ResultsRequest

LOGGER = Logger()
METRICS = Metrics()

# All have the one dimension `service`, the stack: each further value of a dimension is another metric to pay for.
UNITS = {
    "StatusChecks": MetricUnit.Count,
    "Throttles": MetricUnit.Count,
    "DetectionLag": MetricUnit.Seconds,
    "QuerySeconds": MetricUnit.Seconds,
    "SweepSeconds": MetricUnit.Seconds,
    "RunDollars": MetricUnit.NoUnit,
}


def measure(name: str, value: float) -> None:
    """Add to a metric of `UNITS`; a handler under `METRICS.log_metrics` sends it."""
    METRICS.add_metric(name, UNITS[name], value)


def count_peak(fetch: ResultsRequest, results: Mapping[str, object]) -> None:
    """Send the peak as the metric `Peak`, by metric and category; labels are without bound and never dimensions."""
    peak = results.get("peak")
    if fetch.request and isinstance(peak, dict):
        with single_metric(name="Peak", unit=MetricUnit.NoUnit, value=peak["value"]) as metric:
            metric.service = ""  # no dimension more: an account has one scope, and so one stack, in a Region
            metric.add_dimension("metricName", fetch.request.metric_name)
            metric.add_dimension("destinationCategory", fetch.request.destination_category)
