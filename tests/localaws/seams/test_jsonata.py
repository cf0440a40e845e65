"""State machines in JSONata on the loopback: what AWS documents, and what moto leaves out or takes lightly."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from localaws.seams import task_timeouts
from tests.loopback import Run, Stack

WRONG = "States.QueryEvaluationError"
VALUES: list[Any] = [
    'He said "no", \\ twice',
    "two\nlines\tand\ra tab",
    "{% $states.input %}",
    "ends %} here",
    "\U0001f6a8 é",
    "half a pair \ud83d",
    "$plan",
    "$.a",
    "$$.Execution.Id",
    "States.Format('{}', 1)",
    "",
    None,
    True,
    False,
    0,
    5,
    -1,
    0.1,
    2**53 + 1,
    2**63 - 1,
    [],
    [1],
    [[]],
    [None],
    {},
    {"a": [None, {"b": 'c"', "d": None}], "$e": {"f.g": []}},
]


def run(stack: Stack, states: dict[str, Any], event: Any = None, language: str = "JSONata") -> Run:
    """Run a state machine of `states`, the first of which it starts at."""
    return start(stack, create(stack, states, language), {} if event is None else event)


def start(stack: Stack, machine: str, event: Any) -> Run:
    client = stack.aws.client("stepfunctions")
    return stack.ended(client.start_execution(stateMachineArn=machine, input=json.dumps(event))["executionArn"])


def create(stack: Stack, states: dict[str, Any], language: str = "JSONata") -> str:
    client = stack.aws.client("stepfunctions")
    role = client.describe_state_machine(stateMachineArn=stack.outputs["RunQueryArn"])["roleArn"]
    definition = json.dumps({"QueryLanguage": language, "StartAt": next(iter(states)), "States": states})
    arn: str = client.create_state_machine(name=f"jsonata-{uuid4().hex}", definition=definition, roleArn=role)[
        "stateMachineArn"
    ]
    return arn


def test_values_pass_through_variables_arguments_and_outputs_as_they_are(stack: Stack) -> None:
    give = create(stack, {"Give": {"Type": "Succeed", "Output": "{% $states.context.Execution.Input %}"}})
    pass_through = create(
        stack,
        {
            "Keep": {"Type": "Pass", "Assign": {"kept": "{% $states.input.value %}"}, "Output": {}, "Next": "Nest"},
            "Nest": {
                "Type": "Task",
                "Resource": "arn:aws:states:::states:startExecution.sync:2",
                "Arguments": {"StateMachineArn": give, "Input": {"value": "{% $kept %}"}},
                "Assign": {"given": "{% $states.result.Output.value %}"},
                "Next": "Give",
            },
            "Give": {"Type": "Succeed", "Output": {"value": "{% $given %}", "same": "{% $given = $kept %}"}},
        },
    )

    for value in VALUES:
        output = start(stack, pass_through, {"value": value}).output
        assert output == {"value": value, "same": True}
        assert type(output["value"]) is type(value)


def test_a_definition_may_hold_any_value(stack: Stack) -> None:
    values = {
        f'"{number}" \\ é\U0001f6a8': value for number, value in enumerate(VALUES) if value != "{% $states.input %}"
    }
    give = {"Type": "Pass", "Assign": {"a": values}, "Output": values, "Next": "Tell \U0001f6a8"}
    tell = {"Type": "Succeed", "Output": ["{% $a %}", "{% $states.input %}", "{% '\"é\U0001f6a8\\\\' & \"'\" %}"]}
    output: Any = run(stack, {"Give": give, "Tell \U0001f6a8": tell}).output

    assert output == [values, values, "\"é\U0001f6a8\\'"]


def test_an_input_may_be_anything(stack: Stack) -> None:
    whole = {"input": "{% $states.input %}", "context": "{% $states.context.Execution.Input %}"}
    machine = create(stack, {"Only": {"Type": "Succeed", "Output": whole}})
    alone = create(stack, {"Only": {"Type": "Pass", "End": True}})

    for event in VALUES:
        assert start(stack, machine, event).output == {"input": event, "context": event}
        assert start(stack, alone, event).output == event


def task(arguments: Any, resource: str = "states:startExecution.sync:2", **fields: Any) -> dict[str, Any]:
    resource = f"arn:aws:states:::{resource}"
    end = {} if "Next" in fields else {"End": True}
    return {"Type": "Task", "Resource": resource, "Arguments": arguments, **end, **fields}


def caught(**fields: Any) -> list[dict[str, Any]]:
    keep = {"failure": "{% $states.errorOutput %}"}
    return [{"ErrorEquals": ["States.ALL"], "Assign": keep, "Next": "Failed", **fields}]


def missing_bucket(**fields: Any) -> dict[str, Any]:
    return task({"Bucket": "no-such-bucket"}, "aws-sdk:s3:getBucketVersioning", **fields)


FAILED = {"Type": "Succeed", "Output": {"input": "{% $states.input %}", "failure": "{% $failure %}"}}


def failure_of(stack: Stack, expression: str, event: Any = None) -> str:
    """Return the cause for which an expression fails the state that it is in."""
    ended = run(stack, {"Only": {"Type": "Succeed", "Output": {"value": expression}}}, event)
    assert (ended.status, ended.error) == ("FAILED", WRONG), ended.output
    assert [event["type"] for event in ended.history].count("EvaluationFailed") == 1
    assert ended.cause is not None
    return ended.cause


def test_a_task_sees_its_input_its_result_and_its_context(stack: Stack) -> None:
    child = create(stack, {"Add": {"Type": "Pass", "Output": {"sum": "{% $states.input.a + 1 %}"}, "End": True}})
    given = {"a": "{% $states.input.a %}", "parent": "{% $states.context.Execution.Name %}"}
    ended = run(
        stack,
        {
            "Nest": task(
                {
                    "StateMachineArn": child,
                    "Name": "{% 'child-of-' & $states.context.Execution.Name %}",
                    "Input": given,
                },
                Assign={"sum": "{% $states.result.Output.sum %}", "state": "{% $states.context.State.Name %}"},
                Output={"input": "{% $states.input %}", "child": "{% $states.result.Input %}"},
                Next="Tell",
            ),
            "Tell": {
                "Type": "Succeed",
                "Output": {
                    "before": "{% $states.input %}",
                    "sum": "{% $sum %}",
                    "state": "{% $state %}",
                    "id": "{% $states.context.Execution.Id %}",
                    "name": "{% $states.context.Execution.Name %}",
                },
            },
        },
        {"a": 41},
    )

    name = ended.output["name"]
    assert ended.output == {
        "before": {"input": {"a": 41}, "child": {"a": 41, "parent": name}},
        "sum": 42,
        "state": "Nest",
        "id": ended.output["id"],
        "name": name,
    }
    assert ended.output["id"].endswith(f":{name}")
    assert type(ended.output["sum"]) is int


def test_an_output_does_not_see_what_is_assigned_beside_it(stack: Stack) -> None:
    ended = run(
        stack,
        {
            "Begin": {"Type": "Pass", "Assign": {"x": 3, "a": 6}, "Next": "Swap"},
            "Swap": {
                "Type": "Pass",
                "Assign": {"x": "{% $a %}", "a": "{% $x %}"},
                "Output": {"x": "{% $x %}"},
                "Next": "Tell",
            },
            "Tell": {"Type": "Succeed", "Output": ["{% $states.input.x %}", "{% $x %}", "{% $a %}"]},
        },
    )

    output: Any = ended.output
    assert output == [3, 6, 3]


def test_whole_numbers_reach_a_function_as_whole_numbers(stack: Stack) -> None:
    payload = {"holdSeconds": "{% $states.input.ten / 2 %}", "large": "{% $states.input.large %}", "float": 2.5}
    arguments = {"FunctionName": stack.outputs["GetQueryStatusFunctionArn"], "Payload": payload}
    ended = run(stack, {"Call": task(arguments, "lambda:invoke")}, {"ten": 10.0, "large": 2**63 - 1})

    [sent] = [details for event in ended.history if (details := event.get("taskScheduledEventDetails"))]
    assert '{"holdSeconds": 5, "large": 9223372036854775807, "float": 2.5}' in sent["parameters"]


def test_a_catch_assigns_the_error_and_a_fail_state_gives_it(stack: Stack) -> None:
    ended = run(
        stack,
        {
            "Get": missing_bucket(
                Retry=[{"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 2}],
                Catch=caught(
                    Assign={
                        "failure": "{% $states.errorOutput %}",
                        "retries": "{% $states.context.State.RetryCount %}",
                    },
                    Output={"from": "{% $states.input.a %}"},
                ),
            ),
            "Failed": {
                "Type": "Fail",
                "Error": "{% $failure.Error %}",
                "Cause": "{% $states.input.from & ': ' & $failure.Cause & ' after ' & $retries & ' retries' %}",
            },
        },
        {"a": "there"},
    )

    assert str(ended.error).endswith(".NoSuchBucketException")
    assert ended.cause is not None
    assert ended.cause.startswith("there: The specified bucket does not exist")
    assert ended.cause.endswith(" after 2 retries")
    assert ended.retries == 2


def test_without_an_output_a_catch_gives_the_error_on(stack: Stack) -> None:
    output = run(stack, {"Get": missing_bucket(Catch=caught()), "Failed": FAILED}).output

    assert output["input"] == output["failure"]
    assert set(output["failure"]) == {"Error", "Cause"}


def test_the_failure_of_a_nested_execution_can_be_parsed(stack: Stack) -> None:
    child = create(stack, {"Fail": {"Type": "Fail", "Error": "Broken", "Cause": 'it "broke" \\'}})
    parsed = {"failure": "{% $parse($states.errorOutput.Cause) %}"}
    nest = task({"StateMachineArn": child, "Input": {}}, Catch=caught(ErrorEquals=["States.TaskFailed"], Assign=parsed))
    failure = run(stack, {"Nest": nest, "Failed": FAILED}).output["failure"]

    assert (failure["Status"], failure["Error"], failure["Cause"]) == ("FAILED", "Broken", 'it "broke" \\')


def test_parsing_what_is_no_json_fails(stack: Stack) -> None:
    parsed = {"failure": "{% $parse($states.errorOutput.Cause) %}"}
    ended = run(stack, {"Get": missing_bucket(Catch=caught(Assign=parsed)), "Failed": FAILED})

    assert (ended.status, ended.error) == ("FAILED", WRONG)


def test_a_timeout_is_caught_as_such_and_can_be_given_on(stack: Stack) -> None:
    task_timeouts.expiring["Get"] = 2
    states = {
        "Get": missing_bucket(
            TimeoutSeconds=60,
            Retry=[
                {"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 5},
                {"ErrorEquals": ["States.Timeout"], "MaxAttempts": 1},
            ],
            Catch=caught(),
        ),
        "Failed": {"Type": "Fail", "Error": "{% $failure.Error %}", "Cause": "{% $string($failure) %}"},
    }
    ended = run(stack, states)

    assert (ended.error, ended.cause) == ("States.Timeout", '{"Error":"States.Timeout","Cause":""}')
    assert [event["type"] for event in ended.history].count("TaskTimedOut") == 2


@pytest.mark.parametrize("kind", ["Map", "Parallel"])
def test_what_fails_in_a_branch_or_an_item_is_caught_by_its_name(stack: Stack, kind: str) -> None:
    inner = {"StartAt": "Fail", "States": {"Fail": {"Type": "Fail", "Error": "States.Timeout", "Cause": "late"}}}
    fields: dict[str, Any] = {"Branches": [inner]} if kind == "Parallel" else {"Items": [1], "ItemProcessor": inner}
    output = run(stack, {"Each": {"Type": kind, **fields, "Catch": caught(), "End": True}, "Failed": FAILED}).output

    assert output["failure"] == {"Error": "States.Timeout", "Cause": "late"}


CHOICES = {
    "Begin": {"Type": "Pass", "Assign": {"by": None, "waits": 5}, "Next": "Choose"},
    "Choose": {
        "Type": "Choice",
        "Choices": [
            {
                "Condition": "{% $states.input.kind = 'odd' %}",
                "Assign": {"by": "rule"},
                "Output": {"kind": "{% $states.input.kind %}"},
                "Next": "Wait",
            },
            {"Condition": "{% $states.input.kind in ['even', 'null'] %}", "Next": "End"},
        ],
        "Assign": {"by": "default", "waits": 7},
        "Output": {"kind": "{% $by %}"},
        "Default": "Wait",
    },
    "Wait": {
        "Type": "Wait",
        "Seconds": "{% $waits %}",
        "Assign": {"waited": "{% $states.input.kind %}"},
        "Next": "End",
    },
    "End": {"Type": "Succeed", "Output": {"by": "{% $by %}", "waited": "{% $waited %}", "waits": "{% $waits %}"}},
}


@pytest.mark.parametrize(("kind", "by", "waited", "waits"), [("odd", "rule", "odd", 5), ("other", "default", None, 7)])
def test_a_choice_assigns_by_its_rule_or_its_default(
    stack: Stack, kind: str, by: str, waited: str | None, waits: int
) -> None:
    ended = run(stack, CHOICES, {"kind": kind})

    assert ended.output == {"by": by, "waited": waited, "waits": waits}
    assert stack.clock.sleeps == [waits]


def test_a_variable_that_was_never_assigned_fails(stack: Stack) -> None:
    ended = run(stack, CHOICES, {"kind": "even"})

    assert ended.error == WRONG
    assert "'$waited' was never assigned" in str(ended.cause)


@pytest.mark.parametrize(
    "expression",
    [
        "$states.input.absent",
        "$states.input.absent > 1",
        "$map([], function($item) { $item })",
        "$exists($never)",
        "$states.errorOutput",
        "$states.input.a > 1",
        "$sum",
        "$eval('1')",
        "a",
        "$$",
        "$parse('no JSON')",
        "$parse('NaN')",
        "$hash('a', 'MD4')",
        "$error('said so')",
        "$merge([{}, null])",
        "($deeper := function($n) { 1 + $deeper($n) }; $deeper(1))",
    ],
)
def test_what_has_no_value_fails_with_its_expression_in_the_cause(stack: Stack, expression: str) -> None:
    assert f"'{expression}'" in failure_of(stack, f"{{% {expression} %}}", {"a": None})


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$states.input.nothing", None),
        ("$exists($states.input.nothing)", True),
        ("$type($states.input.nothing)", "null"),
        ("$states.input.nothing = null", True),
        ("$merge([$states.input.object, {'a': null, 'c': $states.input.absent}])", {"a": None, "b": [1]}),
        ("$merge([{}, $states.input.absent])", {}),
        ("{'there': $states.input.nothing, 'not': $states.input.absent}", {"there": None}),
        ("[$states.input.nothing, $states.input.absent]", [None]),
        ("$states.input.list", [1]),
        ("$states.input.rows.n", 1),  # a sequence of one is its item
        ("$states.input.rows.n[]", [1]),
        ("[$states.input.rows.n]", [1]),
        ("$states.input.list[$ > 1]", None),
        ("[$states.input.list[$ > 1]]", []),
        ("$keys({'only': 1})", "only"),
        ("'is ' & 5 & ' ' & 2.50 & ' ' & true & ' ' & null & $states.input.absent", "is 5 2.5 true null"),
        ("'is ' & $states.input.object", 'is {"a":5,"b":[1]}'),
        ("$string({'é': 'ü'})", '{"é":"ü"}'),
        ("$parse('{\"a\": [null, 5.0, 1e400]}')", {"a": [None, 5, "Infinity"]}),
        ("$range(0, 4, 2)", [0, 2, 4]),
        ("$range(3, 1, -1)", [3, 2, 1]),
        ("$range(1.9, 1, 1)", 1),
        ("$partition([1, 2, 3], 2.9)", [[1, 2], [3]]),
        ("$hash('a', 'SHA-256')", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
        ("$random(7) = $random(7) and $random() < 1", True),
        ("$length($uuid())", 36),
        ("$states.input.object.a in [5, 6]", True),
        ("'a' in []", False),
        ("($number := 2; $number * 2)", 4),
    ],
)
def test_expressions_have_the_values_that_aws_gives_them(stack: Stack, expression: str, value: Any) -> None:
    event = {"nothing": None, "object": {"a": 5.0, "b": [1]}, "list": [1], "rows": [{"n": 1}]}
    if value is None and "nothing" not in expression:
        assert "returned nothing (undefined)" in failure_of(stack, f"{{% {expression} %}}", event)
        return
    ended = run(stack, {"Only": {"Type": "Succeed", "Output": {"value": f"{{% {expression} %}}"}}}, event)
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.output == {"value": value}


@pytest.mark.parametrize(
    "state",
    [
        {"Type": "Fail", "Error": "{% null %}", "Cause": "a cause"},
        {"Type": "Fail", "Error": "AnError", "Cause": "{% 5 %}"},
        {"Type": "Wait", "Seconds": "{% '5' %}", "End": True},
        {"Type": "Wait", "Seconds": "{% 1.5 %}", "End": True},
        {"Type": "Wait", "Seconds": "{% -1 %}", "End": True},
        {"Type": "Choice", "Choices": [{"Condition": "{% 'true' %}", "Next": "Only"}], "Default": "Only"},
        {"Type": "Choice", "Choices": [{"Condition": "{% null %}", "Next": "Only"}], "Default": "Only"},
        task({}, "aws-sdk:s3:listBuckets", TimeoutSeconds="{% 0 %}"),
    ],
    ids=str,
)
def test_a_value_of_the_wrong_type_fails(stack: Stack, state: dict[str, Any]) -> None:
    assert run(stack, {"Only": state}).error == WRONG


@pytest.mark.parametrize("field", ["Arguments", "Assign", "Output"])
def test_what_fails_in_a_task_can_be_caught(stack: Stack, field: str) -> None:
    absent = {"Bucket": "{% $states.input.absent %}"}
    get = task({}, "aws-sdk:s3:listBuckets", **{field: absent}, Catch=caught(Output={}))
    ended = run(stack, {"Get": get, "Failed": FAILED})

    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.output["failure"]["Error"] == WRONG
    assert [event["type"] for event in ended.history].count("EvaluationFailed") == 1


def test_a_state_that_fails_assigns_nothing_but_what_its_catch_assigns(stack: Stack) -> None:
    wrong = {"Assign": {"kept": 1}, "Output": "{% $states.input.absent %}"}
    states = {
        "Begin": {"Type": "Pass", "Assign": {"kept": 0, "failure": None}, "Next": "Get"},
        "Get": task({}, "aws-sdk:s3:listBuckets", **wrong, Catch=caught(Output={})),
        "Failed": {"Type": "Succeed", "Output": {"kept": "{% $kept %}", "error": "{% $failure.Error %}"}},
    }

    assert run(stack, states).output == {"kept": 0, "error": WRONG}


def test_a_failure_without_a_name_is_caught_by_states_all(stack: Stack) -> None:
    inner = {"StartAt": "Fail", "States": {"Fail": {"Type": "Fail"}}}
    states = {"Both": {"Type": "Parallel", "Branches": [inner], "Catch": caught(), "End": True}, "Failed": FAILED}

    assert run(stack, states).status == "SUCCEEDED"


def test_an_expression_that_is_no_jsonata_is_refused_with_its_definition(stack: Stack) -> None:
    with pytest.raises(stack.aws.client("stepfunctions").exceptions.ClientError, match="INVALID_JSONATA_EXPRESSION"):
        create(stack, {"Only": {"Type": "Succeed", "Output": "{% a[1,2) %}"}})


LIMIT = 256 * 1024


@pytest.mark.parametrize("spare", [0, -1])
@pytest.mark.parametrize("data", ["variable", "assign", "output", "arguments"])
def test_no_data_is_larger_than_aws_allows_and_states_all_does_not_catch_it(
    stack: Stack, data: str, spare: int
) -> None:
    room = LIMIT - spare - len('""')
    text = f"{{% $pad('', {room // 2 - 8}, 'é') & $pad('', {room % 2 + 16}, 'x') %}}"  # two bytes each, and one
    keep: dict[str, Any] = {"Type": "Pass", "End": True}
    bucket = {"Bucket": stack.outputs["ResultsBucketName"]}
    states: dict[str, Any] = {
        "variable": {**keep, "Assign": {"a": text}},
        "assign": {**keep, "Assign": {"a": text.replace("16", "13"), "b": 100}},
        "output": {**keep, "Output": text},
        "arguments": task(
            f"{{% $merge([$states.input, {{'Key': $states.input.Bucket, 'Body': $pad('', {room - 150}, 'x')}}]) %}}",
            "aws-sdk:s3:putObject",
            Catch=caught(),
        ),
    }
    if data == "arguments":
        size = len(json.dumps({**bucket, "Key": bucket["Bucket"], "Body": ""}, separators=(",", ":")))
        states[data]["Arguments"] = states[data]["Arguments"].replace(str(room - 150), str(LIMIT - spare - size))
    ended = run(
        stack, {"Only": states[data], "Failed": FAILED} if data == "arguments" else {"Only": states[data]}, bucket
    )

    if spare < 0:
        assert ended.error == "States.DataLimitExceeded"
    else:
        assert ended.status == "SUCCEEDED", ended.cause


def test_sizes_are_told_in_the_bytes_that_aws_counts(stack: Stack) -> None:
    ended = run(
        stack,
        {
            "Keep": {"Type": "Pass", "Assign": {"a": "é", "b": [1, 2]}, "Output": {"c": "\U0001f6a8"}, "Next": "Keep2"},
            "Keep2": {"Type": "Pass", "Assign": {"a": 'q"'}, "Output": {}, "End": True},
        },
    )

    assert ended.sizes() == {"input": 12, "output": 12, "$a": 5, "$b": 5, "assign": 9}


def swept(stack: Stack, percentage: float, **fields: Any) -> tuple[Run, dict[str, Any]]:
    """Run a Distributed Map that reads variables, in a machine whose other states are JSONata."""
    bucket, s3 = stack.outputs["ResultsBucketName"], stack.aws.client("s3")
    items = [{"count": number, "from": None if number else "no-such-bucket"} for number in range(4)]
    s3.put_object(Bucket=bucket, Key="in/items.json", Body=json.dumps(items).encode())
    plan = {
        "bucket": "{% $states.input.bucket %}",
        "key": "in/items.json",
        "prefix": "out",
        "maxConcurrency": 2,
        "percentage": "{% $states.input.percentage %}",
        "sweep": {"from": "{% $states.input.bucket %}", "count": None},
    }
    jsonata = {"QueryLanguage": "JSONata"}
    each = {
        "Type": "Map",
        "Label": "Each",
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON"},
            "Parameters": {"Bucket.$": "$plan.bucket", "Key.$": "$plan.key"},
        },
        "ItemSelector": {
            "both.$": "States.JsonMerge($plan.sweep, $$.Map.Item.Value, false)",
            "bucket.$": "$plan.bucket",
            "name.$": "States.Format('{} of {}', $$.Map.Item.Index, $plan.key)",
            "input.$": "$.other",
        },
        "MaxConcurrencyPath": "$plan.maxConcurrency",
        "ToleratedFailurePercentagePath": "$plan.percentage",
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Get",
            "States": {
                "Get": {
                    **task(
                        {"Bucket": "{% $states.input.both.from ? $states.input.both.from : $states.input.bucket %}"},
                        "aws-sdk:s3:getBucketVersioning",
                        Retry=[{"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 1}],
                        Assign={"count": "{% $states.input.both.count %}"},
                        Catch=caught(),
                        Next="Tell",
                    ),
                    **jsonata,
                },
                "Tell": {
                    **jsonata,
                    "Type": "Succeed",
                    "Output": {
                        "count": "{% $count %}",
                        "name": "{% $states.context.Execution.Input.name %}",
                        "id": "{% $states.context.Execution.Id %}",
                        **fields,
                    },
                },
                "Failed": {**jsonata, "Type": "Fail", "Error": "NoBucket", "Cause": "{% $failure.Cause %}"},
            },
        },
        "ResultWriter": {
            "Resource": "arn:aws:states:::s3:putObject",
            "Parameters": {"Bucket.$": "$plan.bucket", "Prefix.$": "$plan.prefix"},
        },
        "Assign": {"manifest.$": "$.ResultWriterDetails", "mapRun.$": "$.MapRunArn"},
        "ResultPath": None,
        "Catch": [{"ErrorEquals": ["States.ALL"], "Assign": {"failure.$": "$"}, "ResultPath": None, "Next": "Failed"}],
        "Next": "Tell",
    }
    tell = {"manifest": "{% $manifest %}", "mapRun": "{% $mapRun %}", "input": "{% $states.input %}"}
    states = {
        "Plan": {**jsonata, "Type": "Pass", "Assign": {"plan": plan}, "Output": {"other": 1}, "Next": "Each"},
        "Each": each,
        "Failed": {**jsonata, "Type": "Fail", "Error": "{% $failure.Error %}", "Cause": "{% $string($states.input) %}"},
        "Tell": {**jsonata, "Type": "Succeed", "Output": tell},
    }
    ended = run(stack, states, {"bucket": bucket, "percentage": percentage}, "JSONPath")
    written = [key for key in stack.stored() if key.startswith("out/")]
    bodies = {key: json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in written}
    return ended, {key.rsplit("/", 1)[1]: body for key, body in bodies.items()}


def test_a_distributed_map_reads_and_assigns_variables(stack: Stack) -> None:
    ended, written = swept(stack, percentage=25)

    assert ended.status == "SUCCEEDED", ended.cause
    run_id = ended.output["mapRun"].rsplit(":", 1)[1]
    assert ended.output["manifest"] == {
        "Bucket": stack.outputs["ResultsBucketName"],
        "Key": f"out/{run_id}/manifest.json",
    }
    assert ended.output["input"] == {"other": 1}
    [failed] = written["FAILED_0.json"]
    assert (failed["Error"], json.loads(failed["Input"])["both"]["count"]) == ("NoBucket", 0)
    children = sorted(written["SUCCEEDED_0.json"], key=lambda child: str(child["Input"]))
    outputs = [json.loads(child["Output"]) for child in children]
    assert sorted((output["count"], output["name"]) for output in outputs) == [
        (number, f"{number} of in/items.json") for number in (1, 2, 3)
    ]
    assert [output["id"] for output in outputs] == [child["ExecutionArn"] for child in children]
    assert json.loads(children[0]["Input"])["input"] == 1


def test_a_distributed_map_that_fails_keeps_its_input_and_assigns_its_error(stack: Stack) -> None:
    ended, written = swept(stack, percentage=24.5)

    assert (ended.error, ended.cause) == ("States.ExceedToleratedFailureThreshold", '{"other":1}')
    assert written["FAILED_0.json"]


def test_a_child_of_a_distributed_map_has_no_variables_of_its_parent(stack: Stack) -> None:
    _, written = swept(stack, percentage=100, outer="{% $plan.bucket %}")

    assert {child["Error"] for child in written["FAILED_0.json"]} == {"NoBucket", WRONG}


@pytest.mark.parametrize("path", ["$plan.absent", "$absent"])
def test_a_jsonpath_state_that_reads_what_is_not_there_fails(stack: Stack, path: str) -> None:
    keep = {"Type": "Pass", "Assign": {"plan": {}}, "Next": "Tell"}
    ended = run(
        stack, {"Keep": keep, "Tell": {"Type": "Pass", "Parameters": {"a.$": path}, "End": True}}, None, "JSONPath"
    )

    assert ended.error == "States.Runtime"


def test_an_inline_map_has_variables_of_its_own_beside_those_around_it(stack: Stack) -> None:
    ended = run(
        stack,
        {
            "Begin": {"Type": "Pass", "Assign": {"scopes": ["a", "b"], "outer": 1}, "Next": "Each"},
            "Each": {
                "Type": "Map",
                "Items": "{% $scopes %}",
                "ItemSelector": {"scope": "{% $states.context.Map.Item.Value %}"},
                "ItemProcessor": {
                    "StartAt": "Keep",
                    "States": {
                        "Keep": {"Type": "Pass", "Assign": {"scope": "{% $states.input.scope %}"}, "Next": "Tell"},
                        "Tell": {"Type": "Succeed", "Output": ["{% $scope %}", "{% $outer %}"]},
                    },
                },
                "Assign": {"both": "{% $states.result %}"},
                "Next": "Tell",
            },
            "Tell": {"Type": "Succeed", "Output": "{% $both %}"},
        },
    )

    output: Any = ended.output
    assert output == [["a", 1], ["b", 1]]
