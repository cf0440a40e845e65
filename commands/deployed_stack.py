"""A deployed stack: where its results are, and the defaults that its parameters give to a backfill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import boto3

from flowquery.aws.network_flow_monitor import allowed_values
from flowquery.core.model import Selection, Window
from flowquery.results.store import stored_selections
from flowquery.sweep.backfill import Backfill
from flowquery.sweep.plan import SweepDefaults

StoredSelections = Mapping[Window, frozenset[Selection]]


@dataclass(frozen=True)
class DeployedStack:
    bucket: str
    backfill_arn: str
    scope_id: str
    region: str
    defaults: SweepDefaults

    @classmethod
    def named(cls, name: str) -> DeployedStack:
        """Describe the stack (cloudformation:DescribeStacks), with the user's own credentials."""
        client = boto3.client("cloudformation")
        [stack] = client.describe_stacks(StackName=name)["Stacks"]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        parameters = {item["ParameterKey"]: item["ParameterValue"] for item in stack["Parameters"]}
        return cls(
            bucket=outputs["ResultsBucketName"],
            backfill_arn=outputs["BackfillArn"],
            scope_id=parameters["ScopeId"],
            region=client.meta.region_name,
            defaults=SweepDefaults(
                timeout_seconds=float(parameters["TimeoutSeconds"]),
                requests_per_second=float(parameters["RequestsPerSecond"]),
                ranked_peaks=int(parameters["RankedPeaks"]),
                limit=int(parameters["RankingLimit"]),
            ),
        )

    def parse_backfill(self, event: object) -> Backfill:
        """Read an input of Backfill as the workflow does; raise InvalidInput where that would."""
        return Backfill.parse(event, allowed_values(), self.defaults)

    def stored_selections(self, backfill: Backfill) -> StoredSelections:
        """Return for each window of the backfill which of its selections are stored."""
        return stored_selections(
            self.bucket, backfill.scope_id, backfill.windows, backfill.selections, backfill.family, backfill.limit
        )
