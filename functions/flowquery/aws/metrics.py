"""The metrics, made once. Namespace and service come from the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

if TYPE_CHECKING:
    from flowquery.core.model import Peak, Selection

METRICS = Metrics()

# All have the one dimension `service`, the stack: each further value of a dimension is another metric to pay for.
UNITS = {
    "StatusChecks": MetricUnit.Count,
    "Throttles": MetricUnit.Count,
    "DetectionLag": MetricUnit.Seconds,
    "QuerySeconds": MetricUnit.Seconds,
    "SweepSeconds": MetricUnit.Seconds,
    "RunDollars": MetricUnit.NoUnit,
    "AlarmsRaised": MetricUnit.Count,
    "FindingsRaised": MetricUnit.Count,
}


def measure(name: str, value: float) -> None:
    """Add to a metric of `UNITS`. A handler under `METRICS.log_metrics` sends it."""
    METRICS.add_metric(name, UNITS[name], value)


def measure_peak(selection: Selection, peak: Peak) -> None:
    """Send the metric `Peak` by metric and category. Labels are without bound, so they are never dimensions."""
    with single_metric(name="Peak", unit=MetricUnit.NoUnit, value=peak.value) as metric:
        metric.service = ""  # no dimension more: an account has one scope, and so one stack, in a Region
        metric.add_dimension("metricName", selection.metric_name)
        metric.add_dimension("destinationCategory", selection.destination_category)
