"""The service's names in words, and text that is safe to show: labels come from elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from flowquery.core.text import visible

METRICS = {
    "RETRANSMISSIONS": "TCP retransmissions",
    "TIMEOUTS": "TCP retransmission timeouts",
    "DATA_TRANSFERRED": "Data transferred",
}
CATEGORIES = {
    "INTRA_AZ": "within Availability Zones",
    "INTER_AZ": "between Availability Zones",
    "INTER_VPC": "between VPCs",
    "UNCLASSIFIED": "to unclassified destinations",
    "AMAZON_S3": "to Amazon S3",
    "AMAZON_DYNAMODB": "to Amazon DynamoDB",
    "INTER_REGION": "between Regions",
    "INTERNET": "to the internet",
    "AWS_SERVICE": "to AWS services",
    "LOCAL_ZONE": "to Local Zones",
    "TRANSIT_GATEWAY": "through transit gateways",
}
LONGEST_LABEL = 200


def subject(metric_name: object, category: object) -> str:
    """Return what a query asks for; of one that was handed in nobody knows."""
    if metric_name is None:
        return "A query that was handed in"
    words = CATEGORIES.get(str(category), str(category))
    return f"{METRICS.get(str(metric_name), str(metric_name))} {words}"


def unit_in_words(unit: str, metric_name: object) -> str:
    """Return what a value counts: the service says `Count` whatever it counts."""
    if unit == "Count":
        return METRICS.get(str(metric_name), "events, the service does not say of what kind")
    return {"None": "a number without a unit"}.get(unit, unit[:1].lower() + unit[1:])


def number(value: float) -> str:
    """Return the value to two decimals with separators of thousands, small ones to three digits."""
    if value and abs(value) < 0.01:
        return f"{value:.3g}"
    if abs(value) >= 1e15:
        return f"{value:.4g}"
    text = f"{value:,.2f}"
    return text.rstrip("0").rstrip(".")


def moment(seconds: float, form: str = "%Y-%m-%d %H:%M") -> str:
    """Return epoch seconds as a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def shown(text: object, longest: int = LONGEST_LABEL) -> str:
    """Return the text for HTML and SVG: visible, and escaped."""
    return escape(visible(text, longest))
