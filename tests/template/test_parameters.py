"""The parameters of the template: bounds and defaults of the code, and values that would break later are refused."""

from __future__ import annotations

import json
import re

import pytest
from samtranslator.yaml_helper import yaml_parse

from benchmarks.cold_start import MEMORY_SIZES
from flowquery.aws.network_flow_monitor import allowed_values
from flowquery.core import limits
from flowquery.core.limits import Bounds
from flowquery.query.request import QueryDefaults
from flowquery.sweep.plan import SweepDefaults
from tests.loopback import ROOT, Stack

TEMPLATE = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))
PARAMETERS = TEMPLATE["Parameters"]
FUNCTIONS = [name for name, one in TEMPLATE["Resources"].items() if one["Type"] == "AWS::Serverless::Function"]
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1c5c9516-8eaa-4255-bfb0-82d9d794fb1c"

NUMBERS = {
    "HoldSeconds": limits.HOLD_SECONDS,
    "TimeoutSeconds": limits.TIMEOUT_SECONDS,
    "RequestsPerSecond": limits.REQUESTS_PER_SECOND,
}
WHOLE_NUMBERS = {
    "RankingLimit": limits.RANKING_LIMIT,
    "RankedPeaks": limits.RANKED_PEAKS,
    "ScheduleWindowMinutes": limits.WINDOW_MINUTES,
    "ScheduleDelayMinutes": limits.DELAY_MINUTES,
    "SweepWindowMinutes": limits.WINDOW_MINUTES,
    "SweepDelayMinutes": limits.DELAY_MINUTES,
    "ResultsRetentionDays": Bounds(1, 999_999, 365),
}


def is_allowed(name: str, value: str) -> bool:
    """Tell whether CloudFormation takes the value: a pattern has to match all of it, of a list each member."""
    parameter = PARAMETERS[name]
    values = value.split(",") if parameter["Type"] == "CommaDelimitedList" else [value]
    if "AllowedValues" in parameter:
        return all(member in map(str, parameter["AllowedValues"]) for member in values)
    return all(re.fullmatch(parameter["AllowedPattern"], member) for member in values)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_has_the_bounds_and_the_default_of_the_code(name: str) -> None:
    parameter = PARAMETERS[name]

    assert parameter["Type"] == "Number"
    assert Bounds(parameter["MinValue"], parameter["MaxValue"], parameter["Default"]) == NUMBERS[name]


@pytest.mark.parametrize("name", WHOLE_NUMBERS)
def test_a_whole_number_has_the_bounds_and_the_default_of_the_code(name: str) -> None:
    parameter, bounds = PARAMETERS[name], WHOLE_NUMBERS[name]
    numbers = range(min(int(bounds.most) + 100, 50_000))

    allowed = [number for number in numbers if is_allowed(name, str(number))]
    assert allowed == [number for number in numbers if bounds.least <= number <= bounds.most]
    assert is_allowed(name, f"{bounds.most:g}" if bounds.most < 10**5 else str(int(bounds.most)))
    assert not is_allowed(name, str(int(bounds.most) + 1))
    assert parameter["Default"] == str(int(bounds.default))


@pytest.mark.parametrize("name", [*WHOLE_NUMBERS, "ScanLimitBytes"])
def test_what_is_no_whole_number_is_refused(name: str) -> None:
    default = PARAMETERS[name]["Default"]

    assert is_allowed(name, default)
    for value in (
        "",
        "007",
        f"0{default}",
        f"{default}.5",
        f"-{default}",
        f"+{default}",
        f" {default}",
        "1e2",
        "\u0661",
    ):
        assert not is_allowed(name, value), value


def test_athena_takes_every_scan_limit_that_is_allowed() -> None:
    assert is_allowed("ScanLimitBytes", "10000000")
    assert not is_allowed("ScanLimitBytes", "9999999")


def test_the_memory_is_one_of_the_sizes_that_the_benchmark_prints() -> None:
    assert PARAMETERS["StatusMemorySize"]["AllowedValues"] == list(MEMORY_SIZES)


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("ScheduleMetricName", "metricName"),
        ("SweepMetricNames", "metricName"),
        ("ScheduleDestinationCategory", "destinationCategory"),
        ("SweepDestinationCategories", "destinationCategory"),
    ],
)
def test_names_are_those_of_the_service_model(name: str, member: str) -> None:
    parameter, names = PARAMETERS[name], list(allowed_values()[member])

    assert parameter["AllowedValues"] == names
    if parameter["Type"] == "CommaDelimitedList":
        assert parameter["Default"].split(",") == names


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AlarmEmail", ""),
        ("AlarmEmail", "network@example.com"),
        ("AlarmTopicKeyArn", ""),
        ("AlarmTopicKeyArn", KEY),
        ("AlarmTopicKeyArn", KEY.replace("arn:aws:", "arn:aws-us-gov:")),
        ("AlarmTopicKeyArn", "arn:aws:kms:eu-west-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab"),
        ("MonitorName", "between-zones_1.a"),
        ("ScheduleExpression", "rate(15 minutes)"),
        ("SweepScheduleExpression", "at(2026-11-24T08:00:00)"),
        ("SweepMetricNames", "TIMEOUTS"),
    ],
)
def test_what_can_be_used_is_allowed(name: str, value: str) -> None:
    assert is_allowed(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AlarmEmail", "network"),
        ("AlarmEmail", "network@example"),
        ("AlarmEmail", "a@example.com, b@example.com"),
        ("AlarmTopicKeyArn", "alias/aws/sns"),
        ("AlarmTopicKeyArn", "arn:aws:kms:eu-west-1:123456789012:alias/alarms"),
        ("AlarmTopicKeyArn", KEY.rpartition("/")[2]),
        ("AlarmTopicKeyArn", f"{KEY}\n"),
        ("MonitorName", "between zones"),
        ("MonitorName", 'a"b'),
        ("ScheduleExpression", "every 15 minutes"),
        ("ScheduleExpression", ""),
        ("SweepMetricNames", "TIMEOUTS,LATENCY"),
        ("SweepMetricNames", ""),
        ("SweepDestinationCategories", "AWS_SERVICES"),
    ],
)
def test_what_would_break_later_is_refused(name: str, value: str) -> None:
    assert not is_allowed(name, value)


@pytest.mark.parametrize("value", ["null", "0", "1000", "-1.5", "0.25", "999999999999999.000000001"])
def test_a_threshold_of_a_query_is_json(value: str) -> None:
    json.loads(value)

    assert is_allowed("ScheduleAlarmAbove", value)


@pytest.mark.parametrize("value", ["", "007", "1.", ".5", "1e400", "NaN", "1,000", "9" * 400, "Null", "-", "--1"])
def test_a_threshold_of_a_query_that_would_break_later_is_refused(value: str) -> None:
    assert not is_allowed("ScheduleAlarmAbove", value)


@pytest.mark.parametrize(
    "value",
    [
        "{}",
        "{ }",
        '{"RETRANSMISSIONS": 1000}',
        '{"TIMEOUTS":0.5,"RETRANSMISSIONS" : -1 , "DATA_TRANSFERRED": 10}',
    ],
)
def test_thresholds_of_a_sweep_are_json(value: str) -> None:
    json.loads(value)

    assert is_allowed("SweepAlarmAbove", value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "null",
        "{",
        "{,}",
        '{"TIMEOUTS": 1,}',
        '{"TIMEOUTS": 1, }',
        '{"TIMEOUTS": 1 "RETRANSMISSIONS": 2}',
        '{"LATENCY": 1}',
        '{"timeouts": 1}',
        '{"TIMEOUTS": 007}',
        '{"TIMEOUTS": null}',
        '{"TIMEOUTS": "1"}',
        '{"TIMEOUTS"}',
        '{"TIMEOUTS": 1}}',
    ],
)
def test_thresholds_of_a_sweep_that_would_break_later_are_refused(value: str) -> None:
    assert not is_allowed("SweepAlarmAbove", value)


@pytest.mark.parametrize("name", [name for name, one in PARAMETERS.items() if "Default" in one])
def test_a_default_is_allowed(name: str) -> None:
    parameter = PARAMETERS[name]

    if parameter["Type"] != "Number" or "AllowedValues" in parameter:
        assert is_allowed(name, str(parameter["Default"]))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_gets_the_variables_that_it_reads_and_no_other(function: str) -> None:
    properties = TEMPLATE["Resources"][function]["Properties"]
    handler = ROOT / "functions" / properties["Handler"].replace(".handler", ".py")

    given = properties.get("Environment", {"Variables": {}})["Variables"]
    assert set(given) == variables_of(handler.read_text("utf-8"))


def variables_of(source: str) -> set[str]:
    read = Variables()
    for defaults in (QueryDefaults, SweepDefaults):
        if f"{defaults.__name__}.from_environment" in source:
            defaults.from_environment(read)
    return {*read.names, *re.findall(r'os\.environ\["(\w+)"\]', source)} - {"AWS_REGION"}  # Lambda sets that one


class Variables(dict[str, str]):
    """An environment that has every variable, and remembers which were read."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __missing__(self, name: str) -> str:
        self.names.add(name)
        return "1"


def test_names_of_resources_are_valid_whatever_the_name_of_the_stack(deployed: Stack) -> None:
    """A stack's name has up to 128 letters, digits and hyphens, and nothing in a template can check it.

    Glue takes no capitals, a state machine's name has 80 characters at most. CloudFormation makes names that fit.
    """
    resources = TEMPLATE["Resources"]
    database = resources["ResultsDatabase"]["Properties"]["DatabaseInput"]["Name"]
    named = [name for name, one in resources.items() if {"Name", "FunctionName", "RoleName"} & one["Properties"].keys()]

    assert named == ["SqlWorkGroup", "TopContributorsQuery", "WeekOverWeekQuery", "FirstAppearanceQuery"]
    assert resources["SqlWorkGroup"]["Properties"]["Name"] == {"Ref": "AWS::StackName"}  # up to 128 of [A-Za-z0-9._-]
    assert "AWS::StackName" not in json.dumps(database)
    assert re.fullmatch("flowquery_[a-z0-9]{8}", deployed.outputs["SqlDatabaseName"])
