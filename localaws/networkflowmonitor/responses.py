"""Handles incoming networkflowmonitor requests, invokes methods, returns responses."""

from typing import Any

from botocore.model import Shape, StringShape
from moto.core.responses import ActionResult, BaseResponse, EmptyResult
from moto.core.utils import get_service_model

from .exceptions import ValidationException
from .models import DATA, RANKING, NetworkFlowMonitorBackend, networkflowmonitor_backends

PYTHON_TYPES = {"string": str, "integer": int}


class NetworkFlowMonitorResponse(BaseResponse):
    """Handler for NetworkFlowMonitor requests and responses."""

    def __init__(self) -> None:
        super().__init__(service_name="networkflowmonitor")
        self.automated_parameter_parsing = True
        self.parse_error: str | None = None

    @property
    def networkflowmonitor_backend(self) -> NetworkFlowMonitorBackend:
        """Return backend instance specific for this region."""
        return networkflowmonitor_backends[self.current_account][self.region]

    def start_query_workload_insights_top_contributors(self) -> ActionResult:
        return self._start_query(RANKING)

    def start_query_workload_insights_top_contributors_data(self) -> ActionResult:
        return self._start_query(DATA)

    def get_query_status_workload_insights_top_contributors(self) -> ActionResult:
        return self._get_query_status(RANKING)

    def get_query_status_workload_insights_top_contributors_data(self) -> ActionResult:
        return self._get_query_status(DATA)

    def get_query_results_workload_insights_top_contributors(self) -> ActionResult:
        return self._get_query_results(RANKING)

    def get_query_results_workload_insights_top_contributors_data(self) -> ActionResult:
        return self._get_query_results(DATA)

    def stop_query_workload_insights_top_contributors(self) -> ActionResult:
        return self._stop_query(RANKING)

    def stop_query_workload_insights_top_contributors_data(self) -> ActionResult:
        return self._stop_query(DATA)

    def _start_query(self, family: str) -> ActionResult:
        self._validate_parameters()
        if self._get_param("endTime") <= self._get_param("startTime"):
            raise ValidationException("endTime must be after startTime")
        query = self.networkflowmonitor_backend.start_query(
            family=family,
            scope_id=self._get_param("scopeId"),
            metric_name=self._get_param("metricName"),
            destination_category=self._get_param("destinationCategory"),
            start_time=self._get_param("startTime"),
            end_time=self._get_param("endTime"),
            limit=self._get_param("limit"),
        )
        return ActionResult({"queryId": query.query_id})

    def _get_query_status(self, family: str) -> ActionResult:
        self._validate_parameters()
        status = self.networkflowmonitor_backend.get_query_status(
            family=family,
            scope_id=self._get_param("scopeId"),
            query_id=self._get_param("queryId"),
        )
        return ActionResult({"status": status})

    def _get_query_results(self, family: str) -> ActionResult:
        self._validate_parameters()
        results = self.networkflowmonitor_backend.get_query_results(
            family=family,
            scope_id=self._get_param("scopeId"),
            query_id=self._get_param("queryId"),
            max_results=self._get_param("maxResults"),
            next_token=self._get_param("nextToken"),
        )
        return ActionResult(results)

    def _stop_query(self, family: str) -> ActionResult:
        self._validate_parameters()
        self.networkflowmonitor_backend.stop_query(
            family=family,
            scope_id=self._get_param("scopeId"),
            query_id=self._get_param("queryId"),
        )
        return EmptyResult()

    def parse_parameters(self, request: Any) -> None:
        try:
            super().parse_parameters(request)
        except (AttributeError, TypeError, ValueError) as error:
            # raised here, it would be answered with 500
            self.parse_error = str(error)

    def _validate_parameters(self) -> None:
        """Hold the parameters to the constraints of the service model."""
        if self.parse_error:
            raise ValidationException(f"The request cannot be parsed: {self.parse_error}")
        operation = get_service_model(self.service_name).operation_model(self._get_action())
        for name, shape in operation.input_shape.members.items():
            value = self._get_param(name)
            if value not in (None, ""):
                _validate(name, value, shape)
            elif name in operation.input_shape.required_members:
                raise ValidationException(f"{name} is required")


def _validate(name: str, value: Any, shape: Shape) -> None:
    if not isinstance(value, PYTHON_TYPES.get(shape.type_name, object)):
        raise ValidationException(f"{name} must be of type {shape.type_name}, but is {value!r}")
    if isinstance(shape, StringShape) and shape.enum and value not in shape.enum:
        raise ValidationException(f"{name} must be one of {', '.join(shape.enum)}, but is {value!r}")
    if isinstance(value, int):
        least, most = shape.metadata.get("min", value), shape.metadata.get("max", value)
        if not least <= value <= most:
            raise ValidationException(f"{name} must be from {least} to {most}, but is {value}")
