"""NetworkFlowMonitorBackend class with methods for supported APIs."""

from collections import OrderedDict
from datetime import datetime
from random import Random
from typing import Any

import boto3
from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.common_models import BaseModel
from moto.moto_api import state_manager
from moto.moto_api._internal import mock_random
from moto.moto_api._internal.managed_state_model import ManagedState

from .exceptions import ResourceNotFoundException, ValidationException
from .utils import Contributor, Datapoint, make_contributors, make_datapoints, zone_ids

# The families of queries about a scope, by how their operations' names end.
DATA = "WorkloadInsightsTopContributorsData"
RANKING = "WorkloadInsightsTopContributors"
TERMINAL_STATUSES = ("SUCCEEDED", "FAILED", "CANCELED")


class TopContributorsQuery(BaseModel, ManagedState):
    """Model for a query of workload insights."""

    page_size = 100
    zone_count = 3
    contributor_count = 3

    def __init__(
        self,
        family: str,
        query_id: str,
        account_id: str,
        region_name: str,
        scope_id: str,
        metric_name: str,
        destination_category: str,
        start_time: datetime,
        end_time: datetime,
        limit: int | None = None,
    ) -> None:
        ManagedState.__init__(
            self,
            "networkflowmonitor::query",
            transitions=[("QUEUED", "RUNNING"), ("RUNNING", "SUCCEEDED")],
        )
        self.family = family
        self.query_id = query_id
        self.account_id = account_id
        self.region_name = region_name
        self.scope_id = scope_id
        self.metric_name = metric_name
        self.destination_category = destination_category
        self.start_time = start_time
        self.end_time = end_time
        self.limit = limit

    @property
    def unit(self) -> str:
        # Which unit counted metrics have is not documented.
        return "Bytes" if self.metric_name == "DATA_TRANSFERRED" else "Count"

    @property
    def labels(self) -> list[str]:
        return zone_ids(self.region_name, self.zone_count)

    @property
    def datapoints(self) -> list[Datapoint]:
        return make_datapoints(self._random(), self.labels, self.start_time, self.end_time)

    @property
    def top_contributors(self) -> list[Contributor]:
        zones = self.labels or zone_ids(self.region_name, 1)
        count = self.contributor_count
        return make_contributors(self._random(), self.account_id, self.region_name, zones, count)[: self.limit]

    def _random(self) -> Random:
        request = (self.metric_name, self.destination_category, self.start_time, self.end_time, self.family)
        return Random(str(request))


class NetworkFlowMonitorBackend(BaseBackend):
    """Implementation of NetworkFlowMonitor APIs."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.queries: dict[str, TopContributorsQuery] = OrderedDict()
        state_manager.register_default_transition(
            model_name="networkflowmonitor::query", transition={"progression": "immediate"}
        )

    def start_query(
        self,
        family: str,
        scope_id: str,
        metric_name: str,
        destination_category: str,
        start_time: datetime,
        end_time: datetime,
        limit: int | None = None,
    ) -> TopContributorsQuery:
        query = self.create_query(
            family=family,
            query_id=self.new_query_id(),
            account_id=self.account_id,
            region_name=self.region_name,
            scope_id=scope_id,
            metric_name=metric_name,
            destination_category=destination_category,
            start_time=start_time,
            end_time=end_time,
            limit=limit,
        )
        self.queries[query.query_id] = query
        return query

    def get_query_status(self, family: str, scope_id: str, query_id: str) -> str | None:
        # What an unknown id answers is not documented; ValidationException is what the service model leaves.
        query = self._find_query(family, scope_id, query_id, ValidationException)
        query.advance()
        status: str | None = query.status
        return status

    def get_query_results(
        self,
        family: str,
        scope_id: str,
        query_id: str,
        max_results: int | None,
        next_token: str | None,
    ) -> dict[str, Any]:
        query = self._find_query(family, scope_id, query_id, ResourceNotFoundException)
        if query.status != "SUCCEEDED":  # the error is a choice, since none is documented
            raise ValidationException(f"The query is {query.status}")
        name = "datapoints" if family == DATA else "topContributors"
        results = query.datapoints if family == DATA else query.top_contributors
        page, token = self._paginate(results, max_results or query.page_size, next_token)
        unit = {"unit": query.unit} if family == DATA else {}
        return {**unit, name: page, "nextToken": token}

    def stop_query(self, family: str, scope_id: str, query_id: str) -> None:
        query = self._find_query(family, scope_id, query_id, ValidationException)
        if query.status in TERMINAL_STATUSES:  # the error is a choice, since none is documented
            raise ValidationException(f"The query has ended as {query.status}")
        query.status = "CANCELED"

    def create_query(self, **members: Any) -> TopContributorsQuery:
        return TopContributorsQuery(**members)

    def new_query_id(self) -> str:
        return str(mock_random.uuid4())

    def _find_query(self, family: str, scope_id: str, query_id: str, error: type[Exception]) -> TopContributorsQuery:
        query = self.queries.get(query_id)
        if query is None or (query.scope_id, query.family) != (scope_id, family):
            raise error(f"Query {query_id} does not exist in scope {scope_id}")
        return query

    @staticmethod
    def _paginate(items: Any, size: int, next_token: str | None) -> tuple[list[Any], str | None]:
        tokens = {str(start): start for start in range(size, len(items), size)}
        if next_token is not None and next_token not in tokens:
            raise ValidationException("The pagination token is invalid.")
        start = tokens[next_token] if next_token else 0
        end = start + size
        return items[start:end], str(end) if end < len(items) else None


networkflowmonitor_backends = BackendDict(
    NetworkFlowMonitorBackend,
    "networkflowmonitor",
    # botocore lists no Regions for this service
    use_boto3_regions=False,
    additional_regions=boto3.Session().get_available_regions("cloudwatch"),
)
