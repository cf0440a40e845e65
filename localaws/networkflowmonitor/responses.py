"""Handles incoming networkflowmonitor requests, invokes methods, returns responses."""

from collections.abc import Mapping
from typing import Any

from botocore.model import Shape, StringShape
from moto.core.responses import ActionResult, BaseResponse, EmptyResult
from moto.core.utils import get_service_model

from .exceptions import ValidationException
from .models import DATA, RANKING, NetworkFlowMonitorBackend, networkflowmonitor_backends

Params = Mapping[str, Any]
_TYPES: Mapping[str, type] = {"string": str, "integer": int}


class NetworkFlowMonitorResponse(BaseResponse):
    """Handler for the queries of workload insights' top contributors, over time and ranked."""

    def __init__(self) -> None:
        super().__init__(service_name="networkflowmonitor")
        self.automated_parameter_parsing = True

    def parse_parameters(self, request: Any) -> None:
        try:
            super().parse_parameters(request)
        except (AttributeError, TypeError, ValueError) as error:
            self.params = {"unparsable": str(error)}

    @property
    def backend(self) -> NetworkFlowMonitorBackend:
        return networkflowmonitor_backends[self.current_account][self.region]

    def start_query_workload_insights_top_contributors_data(self) -> ActionResult:
        return self._start(DATA)

    def start_query_workload_insights_top_contributors(self) -> ActionResult:
        return self._start(RANKING)

    def get_query_status_workload_insights_top_contributors_data(self) -> ActionResult:
        return self._status(DATA)

    def get_query_status_workload_insights_top_contributors(self) -> ActionResult:
        return self._status(RANKING)

    def get_query_results_workload_insights_top_contributors_data(self) -> ActionResult:
        return self._results(DATA)

    def get_query_results_workload_insights_top_contributors(self) -> ActionResult:
        return self._results(RANKING)

    def stop_query_workload_insights_top_contributors_data(self) -> ActionResult:
        return self._stop(DATA)

    def stop_query_workload_insights_top_contributors(self) -> ActionResult:
        return self._stop(RANKING)

    def _start(self, family: str) -> ActionResult:
        params = self._validated()
        if params["endTime"] <= params["startTime"]:
            raise ValidationException("endTime must be after startTime")
        query = self.backend.start_query(family, **{name: params[name] for name in sorted(params)})
        return ActionResult({"queryId": query.query_id})

    def _status(self, family: str) -> ActionResult:
        params = self._validated()
        return ActionResult({"status": self.backend.get_query_status(family, params["scopeId"], params["queryId"])})

    def _results(self, family: str) -> ActionResult:
        params = self._validated()
        page = self.backend.get_query_results(
            family, params["scopeId"], params["queryId"], params.get("nextToken"), params.get("maxResults")
        )
        return ActionResult(page)

    def _stop(self, family: str) -> ActionResult:
        params = self._validated()
        self.backend.stop_query(family, params["scopeId"], params["queryId"])
        return EmptyResult()

    def _validated(self) -> Params:
        """Return the parameters, held to every constraint that the service model has for them."""
        model = get_service_model("networkflowmonitor").operation_model(self._get_action())
        params = {name: value for name, value in self._get_params().items() if value is not None}
        if "unparsable" in params:
            raise ValidationException(f"The request cannot be parsed: {params['unparsable']}")
        for name in model.input_shape.required_members:
            if params.get(name, "") == "":
                raise ValidationException(f"{name} is required")
        for name, value in params.items():
            _validate(name, value, model.input_shape.members[name])
        return params


def _validate(name: str, value: object, shape: Shape) -> None:
    if not isinstance(value, _TYPES.get(shape.type_name, object)):
        raise ValidationException(f"{name} must be of type {shape.type_name}, but is {value!r}")
    if isinstance(shape, StringShape) and shape.enum and value not in shape.enum:
        raise ValidationException(f"{name} must be one of {', '.join(shape.enum)}, but is {value!r}")
    if isinstance(value, int) and not shape.metadata.get("min", value) <= value <= shape.metadata.get("max", value):
        raise ValidationException(
            f"{name} must be from {shape.metadata['min']} to {shape.metadata['max']}, but is {value}"
        )
