"""Distributed Maps: failures that are tolerated, and what ResultWriter exports.

Patches `MapRunRecord`, `DistributedItemProcessorWorker`, `StateMap`, `ResultWriter` and `ResourceEvalS3`. moto counts
the failures of a Map Run and goes on however many they are. It gives a child execution the context and the variables of
the state machine around it, writes an empty manifest, and takes a level of Python's stack for each item.

The forms are those of "ResultWriter (Map)" in the Step Functions Developer Guide. The order in which a file lists
executions is not documented.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from moto.stepfunctions.parser.api import HistoryEventType, MapRunFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_map import state_map
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor import (
    distributed_item_processor,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor.distributed_item_processor_worker import (  # noqa: E501
    DistributedItemProcessorWorker,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor.map_run_record import (
    MapRunRecord,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer.resource_eval.resource_eval_s3 import (
    ResourceEvalS3,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer.result_writer_decl import ResultWriter
from moto.stepfunctions.parser.asl.component.state.exec.state_map.state_map import StateMap
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded, ProgramError, ProgramStopped
from moto.stepfunctions.parser.asl.eval.variable_store import VariableStore
from moto.stepfunctions.parser.utils import long_uid

EXCEEDED = StatesErrorNameType.StatesExceedToleratedFailureThreshold
REDRIVABLE = {"FAILED": "REDRIVABLE", "ABORTED": "REDRIVABLE", "SUCCEEDED": "NOT_REDRIVABLE"}
_eval_execution = StateMap._eval_execution


def install() -> None:
    state_map.MapRunRecord = EndedChildrenRecord
    distributed_item_processor.DistributedItemProcessorWorker = ItemWorker
    ResourceEvalS3._handle_put_object = staticmethod(_write)
    StateMap._eval_execution = _evaluate
    ResultWriter._eval_body = _export


class EndedChildrenRecord(MapRunRecord):
    """A Map Run that knows the executions which have ended."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ended: list[dict[str, Any]] = []
        self.lock = Lock()

    def exceeds(self, items: int) -> bool:
        """Tell whether more failed than is tolerated; a limit that is not given is 0."""
        failed = sum(child["Status"] == "FAILED" for child in self.ended)
        exceeded = failed * 100 > self.tolerated_failure_percentage * items, failed > self.tolerated_failure_count
        has_both_limits = self.tolerated_failure_percentage and self.tolerated_failure_count
        return any(exceeded) if has_both_limits else all(exceeded)


class ItemWorker(DistributedItemProcessorWorker):
    """Takes items until there are none, the Map Run has failed, or somebody has stopped its execution."""

    def eval(self) -> None:
        while (job := self._job_pool.next_job()) is not None:
            if self._env.is_running():
                self._take(job)
            self._job_pool.close_job(job)

    def _take(self, job: Any) -> None:
        record, frame, began = self._map_run_record, self._env.open_inner_frame(), datetime.now(UTC)
        frame.child_name = long_uid()
        self._eval_job(env=frame, job=job)
        child = _describe(record, frame, began, job)
        self._env.delete_frame(frame)
        with record.lock:
            record.ended.append(child)
            if child["Status"] == "FAILED" and record.exceeds(self._job_pool._jobs_number):
                job.job_output = _exceeded(self._env)

    def _eval_input(self, env_frame: Any) -> None:
        super()._eval_input(env_frame)
        env_frame.child_input = env_frame.states.get_input()
        _separate(env_frame, self._map_run_record)


def _separate(frame: Any, record: Any) -> None:
    """Give a child execution its own context, and no variables of the state machine around it, as AWS does."""
    frame.variable_store = VariableStore()
    context = frame.states.context_object.context_object_data
    identity = {"Id": _arn(record, frame), "Name": frame.child_name, "Input": frame.child_input}
    context["Execution"] = {**context["Execution"], **identity}
    machine = record.map_state_machine_arn
    context["StateMachine"] = {"Id": machine, "Name": machine.rsplit(":", 1)[1]}


def _arn(record: Any, frame: Any) -> str:
    return f"{record.map_state_machine_arn.replace(':stateMachine:', ':execution:')}:{frame.child_name}"


def _describe(record: Any, frame: Any, began: datetime, job: Any) -> dict[str, Any]:
    """Return the child execution as ResultWriter exports it."""
    state = frame.program_state()
    status = {ProgramEnded: "SUCCEEDED", ProgramStopped: "ABORTED"}.get(type(state), "FAILED")
    child = {
        "ExecutionArn": _arn(record, frame),
        "Input": json.dumps(getattr(frame, "child_input", job.job_input), separators=(",", ":")),
        "InputDetails": {"Included": True},
        "Name": frame.child_name,
        "RedriveCount": 0,
        "RedriveStatus": REDRIVABLE[status],
        "StartDate": _timestamp(began),
        "StateMachineArn": record.map_state_machine_arn,
        "Status": status,
        "StopDate": _timestamp(datetime.now(UTC)),
    }
    if status == "SUCCEEDED":
        return {
            **child,
            "Output": json.dumps(job.job_output, separators=(",", ":")),
            "OutputDetails": {"Included": True},
        }
    error: Mapping[str, Any] = state.error or {} if isinstance(state, ProgramError) else {}
    return {**child, "Error": error.get("error") or "States.Runtime", "Cause": error.get("cause") or ""}


def _timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _exceeded(env: Any) -> FailureEventException:
    details = MapRunFailedEventDetails(
        error=EXCEEDED.to_name(), cause="The specified tolerated failure threshold was exceeded"
    )
    return FailureEventException(
        FailureEvent(
            env=env,
            error_name=StatesErrorName(typ=EXCEEDED),
            event_type=HistoryEventType.MapRunFailed,
            event_details=EventDetails(mapRunFailedEventDetails=details),
        )
    )


def _evaluate(state: Any, env: Any) -> None:
    """Export what ended also where the Map Run fails."""
    try:
        _eval_execution(state, env)
    except FailureEventException as failure:
        if state.result_writer and failure.failure_event.error_name.error_name == EXCEEDED.to_name():
            env.stack.append(None)  # in the place of the results
            state.result_writer.eval(env)
        raise


def _export(writer: Any, env: Any) -> None:
    """Read the parameters of ResultWriter in the state's input, not in its results."""
    env.stack[-1] = env.states.get_input()
    writer.parargs.eval(env=env)
    writer.resource_eval.eval_resource(env=env)


def _write(env: Any, resource_runtime_part: Any, state_credentials: Any) -> None:
    """Write the manifest and a file for each status; give what the Map state then answers instead of its results."""
    parameters, _ = env.stack.pop(), env.stack.pop()
    record, bucket = env.map_run_record_pool_manager.get_all()[-1], parameters["Bucket"]
    prefix, map_run_id = parameters["Prefix"].strip("/"), record.map_run_arn.split(":")[-1]
    folder = f"{prefix}/{map_run_id}" if prefix else map_run_id
    s3 = ResourceEvalS3._get_s3_client(resource_runtime_part, state_credentials)
    files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    by_status = defaultdict(list)
    for child in record.ended:
        by_status["SUCCEEDED" if child["Status"] == "SUCCEEDED" else "FAILED"].append(child)
    for status, children in by_status.items():
        key, body = f"{folder}/{status}_0.json", json.dumps(children, separators=(",", ":")).encode()
        s3.put_object(Bucket=bucket, Key=key, Body=body)
        files[status].append({"Key": key, "Size": len(body)})
    manifest = {"DestinationBucket": bucket, "MapRunArn": record.map_run_arn, "ResultFiles": files}
    key = f"{folder}/manifest.json"
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(manifest).encode())
    details = {"Bucket": bucket, "Key": key}
    env.stack.append({"MapRunArn": record.map_run_arn, "ResultWriterDetails": details})
