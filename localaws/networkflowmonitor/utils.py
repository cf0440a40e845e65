"""Results, made up: the same for the same query, and in the form of the one sample that AWS publishes.

The sample is the AWS CLI's example of get-query-results-workload-insights-top-contributors-data: a point every five
minutes, and labels such as use1-az6.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import TypedDict

POINT_PERIOD = timedelta(minutes=5)


class Datapoint(TypedDict):
    """A member of `datapoints`: the values of one label over time."""

    timestamps: list[datetime]
    values: list[float]
    label: str


class Contributor(TypedDict):
    """A member of `topContributors`."""

    accountId: str
    localSubnetId: str
    localAz: str
    localVpcId: str
    localRegion: str
    remoteIdentifier: str
    value: int


def zone_ids(region_name: str, count: int) -> list[str]:
    """Return the ids of the first zones of a Region, such as use1-az1."""
    area, direction, number = region_name.split("-")[:3] if region_name.count("-") == 2 else ("us", "east", "1")
    return [f"{area}{direction[0]}{number}-az{zone}" for zone in range(1, count + 1)]


def make_datapoints(random: Random, labels: Sequence[str], start_time: datetime, end_time: datetime) -> list[Datapoint]:
    count = max(1, (end_time - start_time) // POINT_PERIOD)
    timestamps = [start_time + index * POINT_PERIOD for index in range(count)]
    return [Datapoint(timestamps=timestamps, values=_make_values(random, count), label=label) for label in labels]


def make_contributors(
    random: Random, account_id: str, region_name: str, zones: Sequence[str], count: int
) -> list[Contributor]:
    """Return contributors with the highest value first, spread over the zones."""
    values = sorted((random.randrange(100, 2000) for _ in range(count)), reverse=True)
    return [
        Contributor(
            accountId=account_id,
            localSubnetId=f"subnet-{random.randrange(16**17):017x}",
            localAz=zones[rank % len(zones)],
            localVpcId=f"vpc-{random.randrange(16**17):017x}",
            localRegion=region_name,
            remoteIdentifier=f"subnet-{random.randrange(16**17):017x}",
            value=value,
        )
        for rank, value in enumerate(values)
    ]


def _make_values(random: Random, count: int) -> list[float]:
    level = random.uniform(50, 500)
    return [round(level * random.uniform(0.7, 1.3) * (4 if random.random() < 0.1 else 1), 1) for _ in range(count)]
