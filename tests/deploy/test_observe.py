"""What the stack's dashboard, alarms, metric filters and saved queries look at is what the code really writes.

Every name that they use is held against lines that a whole system wrote on this machine, well and ill; each alarm
and each query is tried on them. What they use of AWS's own is listed here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sidelamb_handlers.emf import UNITS
from sidelamb_local.deploy.assemble import assembled
from sidelamb_local.intrinsics import PLACEHOLDER, TemplateLoader
from tests.deploy.cloudwatch import Alarm, Metrics
from tests.deploy.emission import STACK, emit
from tests.deploy.insights import ask, fields_of
from tests.handlers.test_joblog import FAILURE_MOST, METRICS_MOST, METRICS_PACKED_MOST, SUCCESS_MOST
from tests.infra.filter_pattern import FilterPattern

if TYPE_CHECKING:
    from tests.deploy.emission import Lines

NOW = 1_795_405_740.0
GROUPS = {"WorkerLogs": "worker", "SchedulerLogs": "scheduler", "PollerLogs": "poller"}
KNOWN = {
    "AWS::StackName": STACK,
    "AWS::Region": "eu-west-1",
    "WorkerFunction": "shop-worker",
    "RedisNodes": "shop-redis",
    "RedisServerless": "shop-redis",
    **GROUPS,
}
ON_NODES = frozenset({"HasAlarmTopic", "MadeRedis", "OnNodes", "TwoNodes"})
"""Conditions that hold with a Redis of the stack's own, on two nodes: it has the most to look at."""
TRYING = ON_NODES - {"TwoNodes"}
SERVERLESS = frozenset({"HasAlarmTopic", "MadeRedis", "Serverless"})
EXISTING = frozenset({"HasAlarmTopic"})

# What AWS itself writes: fields of its JSON log lines, and metrics of its services.
FIELDS_OF_AWS = {"type", "record.status", "record.requestId"}
METRICS_OF_AWS = {
    ("AWS/Lambda", "FunctionName"): {"ConcurrentExecutions", "Errors"},
    ("AWS/ElastiCache", "CacheClusterId"): {
        "DatabaseMemoryUsagePercentage",
        "Evictions",
        "EngineCPUUtilization",
        "CurrConnections",
    },
    ("AWS/ElastiCache", "clusterId"): {"BytesUsedForCache", "Evictions", "ThrottledCmds", "CurrConnections"},
}
TIMEOUT_OF_AWS = {
    "time": "2026-11-24T02:36:12.000Z",
    "type": "platform.report",
    "record": {"requestId": "8ea0b4ac", "status": "timeout", "metrics": {"durationMs": 60_000.0}},
}

ON_WHEN = {
    "PollerSilentAlarm": "gone",
    "OldestJobTooOldAlarm": "gone",
    "LeaseStuckAlarm": "gone",
    "DeadSetGrowsAlarm": "failing",
    "FailuresTooManyAlarm": "failing",
    "CircuitOpenAlarm": "broken",
    "ThrottledAlarm": "throttled",
}
"""The phase in which an alarm must go on. In the one that went well all are off."""

HEALTHY_MOST = 12
"""Custom metrics of a stack with one queue while all is well: 0.30 USD a month each, of which ten are free."""
QUEUE_MOST = 9
"""Of each queue, whatever happens."""
STACK_MOST = 14
"""Of a stack beside its queues, whatever happens."""


NOTHING = {"Ref": "AWS::NoValue"}


def resolved(value: Any, parameters: dict[str, Any], holds: frozenset[str] = ON_NODES) -> Any:  # noqa: PLR0911
    """A part of the template as CloudFormation would hand it on, if these conditions hold."""
    match value:
        case {"Ref": name}:
            return parameters.get(name, KNOWN.get(name, name))
        case {"Fn::Sub": [str(text), dict(names)]}:
            said = {name: resolved(part, parameters, holds) for name, part in names.items()}
            return substituted(text, parameters | said)
        case {"Fn::Sub": str(text)}:
            return substituted(text, parameters)
        case {"Fn::If": [name, yes, no]}:
            return resolved(yes if name in holds else no, parameters, holds)
        case dict():
            return {name: resolved(part, parameters, holds) for name, part in value.items()}
        case list():
            return [
                resolved(one, parameters, holds)
                for one in (chosen(part, holds) for part in value)
                if one != NOTHING
            ]
    return value


def chosen(value: Any, holds: frozenset[str]) -> Any:
    match value:
        case {"Fn::If": [name, yes, no]}:
            return chosen(yes if name in holds else no, holds)
    return value


def substituted(text: str, names: dict[str, Any]) -> str:
    known = KNOWN | names
    return PLACEHOLDER.sub(lambda m: f"${{{m[2]}}}" if m[1] else str(known.get(m[2], m[2])), text)


TEMPLATE = yaml.load(assembled(), TemplateLoader)
DEFAULTS = {name: p["Default"] for name, p in TEMPLATE["Parameters"].items()}


def of_type(kind: str, holds: frozenset[str] = ON_NODES) -> dict[str, Any]:
    there = {n: r for n, r in TEMPLATE["Resources"].items() if r.get("Condition", "HasAlarmTopic") in holds}
    return {n: resolved(r["Properties"], DEFAULTS, holds) for n, r in there.items() if r["Type"] == kind}


ALARMS = {name: Alarm(properties) for name, properties in of_type("AWS::CloudWatch::Alarm").items()}
QUERIES = of_type("AWS::Logs::QueryDefinition")
FILTERS = of_type("AWS::Logs::MetricFilter")


def dashboard(holds: frozenset[str]) -> Any:
    (found,) = of_type("AWS::CloudWatch::Dashboard", holds).values()
    return found


def widgets(holds: frozenset[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(dashboard(holds)["DashboardBody"])["widgets"]
    return found


WIDGETS = widgets(ON_NODES)


@pytest.fixture(scope="module")
def phases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Lines]:
    with pytest.MonkeyPatch.context() as shell:
        for name in ("SIDELAMB_REDIS_URL", "REDIS_URL", "SIDELAMB_JOBS"):
            shell.delenv(name, raising=False)
        return emit(tmp_path_factory.mktemp("emission"))


@pytest.fixture(scope="module")
def everything(phases: dict[str, Lines]) -> Lines:
    return [line for lines in phases.values() for line in lines]


def metrics_of(lines: Lines) -> Metrics:
    found = Metrics()
    for source in GROUPS.values():
        filters = [f for f in FILTERS.values() if f["LogGroupName"] == source]
        found.read([line for _, who, line in lines if who == source], filters, at=NOW)
    return found


def during(lines: Lines, alarm: Alarm, periods: int) -> Metrics:
    """The metrics of lines that were written in each of the last so many periods."""
    found = Metrics()
    for n in range(periods):
        found.read([line for *_, line in lines], at=NOW - n * alarm.period)
    return found


def names(metrics: Metrics) -> set[tuple[str, frozenset[str], str]]:
    """Every metric as (namespace, names of dimensions, name)."""
    return {(space, frozenset(d for d, _ in dimensions), name) for space, dimensions, name in metrics.values}


# --- alarms ----------------------------------------------------------------------------------------------------


def is_ours(alarm: Alarm) -> bool:
    return all(metric["Namespace"].startswith("Sidelamb") for metric in alarm.metrics)


OURS = [name for name, alarm in ALARMS.items() if is_ours(alarm)]


def test_every_alarm_on_our_metrics_has_a_phase_in_which_it_is_tried():
    assert set(OURS) == set(ON_WHEN)


@pytest.mark.parametrize("name", OURS)
def test_an_alarm_goes_on_when_it_must(name, phases):
    alarm = ALARMS[name]
    n = int(alarm.properties["EvaluationPeriods"])
    assert alarm.is_on(during(phases[ON_WHEN[name]], alarm, n), NOW)


@pytest.mark.parametrize("name", OURS)
def test_an_alarm_is_off_while_all_is_well(name, phases):
    alarm = ALARMS[name]
    assert not alarm.is_on(during(phases["well"], alarm, int(alarm.properties["EvaluationPeriods"])), NOW)


@pytest.mark.parametrize("name", [name for name in OURS if int(ALARMS[name].properties["EvaluationPeriods"]) > 1])
def test_an_alarm_that_waits_for_more_than_one_period_does_so(name, phases):
    alarm = ALARMS[name]
    n = int(alarm.properties["EvaluationPeriods"])
    ill = during(phases[ON_WHEN[name]], alarm, n - 1)
    ill.read([line for *_, line in phases["well"]], at=NOW - (n - 1) * alarm.period)
    assert not alarm.is_on(ill, NOW)


@pytest.mark.parametrize("name", OURS)
def test_without_any_data_only_the_silence_of_the_poller_is_an_alarm(name):
    assert ALARMS[name].is_on(Metrics(), NOW) is (name == "PollerSilentAlarm")


def test_few_jobs_raise_no_alarm_however_many_fail(phases):
    """Nineteen that all fail are not enough to say anything."""
    alarm = ALARMS["FailuresTooManyAlarm"]
    failed = {"_aws": {"Timestamp": NOW * 1000, "CloudWatchMetrics": []}, "Stack": STACK, "Failed": 19}
    directive = {"Namespace": "Sidelamb", "Dimensions": [["Stack"]], "Metrics": [{"Name": "Failed"}]}
    for jobs, is_on in ((19, False), (20, True)):
        line = failed | {"JobsPerInvocation": jobs}
        line["_aws"]["CloudWatchMetrics"] = [directive, {**directive, "Metrics": [{"Name": "JobsPerInvocation"}]}]
        assert alarm.is_on(during([(NOW, "worker", json.dumps(line))], alarm, 2), NOW) is is_on


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_tells_the_topic_and_says_when_it_is_over(name):
    properties = TEMPLATE["Resources"][name]["Properties"]
    to_topic = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]}
    assert properties["AlarmActions"] == properties["OKActions"] == to_topic
    assert properties["TreatMissingData"] in {"breaching", "notBreaching"}
    assert len(properties["AlarmDescription"]) > 30


# --- alarms of a Redis that the stack makes --------------------------------------------------------------------

GB = 1024**3
TOO_MUCH = {
    "RedisMemoryAlarm": (("DatabaseMemoryUsagePercentage", 75, 76), ("BytesUsedForCache", 3.75 * GB, 3.8 * GB)),
    "RedisEvictionsAlarm": (("Evictions", 0, 1), ("Evictions", 0, 1)),
    "RedisBusyAlarm": (("EngineCPUUtilization", 80, 81), ("ThrottledCmds", 0, 1)),
    "RedisConnectionsAlarm": (("CurrConnections", 50_000, 50_001), ("CurrConnections", 50_000, 50_001)),
}
"""For each alarm the metric of nodes and that of a serverless one: its most that is well, and what is too much."""


def of_redis(name: str, values: dict[tuple[str, str], float], alarm: Alarm, periods: int) -> Metrics:
    found = Metrics()
    for (dimension, value_of), value in values.items():
        key = ("AWS/ElastiCache", frozenset({(dimension, value_of)}), name)
        found.values[key] = [(NOW - n * alarm.period, value) for n in range(periods)]
    return found


@pytest.mark.parametrize("name", TOO_MUCH)
def test_an_alarm_of_redis_goes_on_for_either_node_and_is_off_below(name):
    metric, well, ill = TOO_MUCH[name][0]
    alarm = ALARMS[name]
    n = int(alarm.properties["EvaluationPeriods"])
    one, two = ("CacheClusterId", "shop-redis-001"), ("CacheClusterId", "shop-redis-002")
    for values, is_on in (
        ({one: well, two: well}, False),
        ({one: ill, two: well}, True),
        ({one: well, two: ill}, True),
    ):
        assert alarm.is_on(of_redis(metric, values, alarm, n), NOW) is is_on
    assert alarm.is_on(of_redis(metric, {two: ill}, alarm, n), NOW), "the other one is gone"
    assert not alarm.is_on(Metrics(), NOW)


@pytest.mark.parametrize("name", TOO_MUCH)
def test_an_alarm_of_a_lone_node_and_of_a_serverless_one_looks_at_it(name):
    for holds, which, id_of in (
        (TRYING, 0, ("CacheClusterId", "shop-redis-001")),
        (SERVERLESS, 1, ("clusterId", "shop-redis")),
    ):
        alarm = Alarm(of_type("AWS::CloudWatch::Alarm", holds)[name])
        metric, well, ill = TOO_MUCH[name][which]
        n = int(alarm.properties["EvaluationPeriods"])
        assert len(alarm.metrics) == 1
        assert not alarm.is_on(of_redis(metric, {id_of: well}, alarm, n), NOW)
        assert alarm.is_on(of_redis(metric, {id_of: ill}, alarm, n), NOW)


def test_an_existing_redis_has_no_alarms_of_ours():
    assert not [name for name in of_type("AWS::CloudWatch::Alarm", EXISTING) if name.startswith("Redis")]
    assert set(ALARMS) == set(OURS) | set(TOO_MUCH)


# --- names -----------------------------------------------------------------------------------------------------


def in_widgets(holds: frozenset[str] = ON_NODES) -> set[tuple[str, frozenset[str], str]]:
    found = set()
    for widget in widgets(holds):
        for row in widget["properties"].get("metrics", []):
            if isinstance(row[0], dict):
                said = re.fullmatch(r"SEARCH\('\{(.+?)\} (.+)', '(\w+)', 60\)", row[0]["expression"])
                space, *dimensions = said[1].split(",")
                pairs = dict(re.findall(r'(\w+)="([^"]+)"', said[2]))
                assert pairs.pop("Stack") == STACK
                found.add((space, frozenset(dimensions), pairs.pop("MetricName")))
                assert not pairs
            else:
                words = [word for word in row if isinstance(word, str)]
                found.add((words[0], frozenset(words[2::2]), words[1]))
    return found


def in_alarms(holds: frozenset[str] = ON_NODES) -> set[tuple[str, frozenset[str], str]]:
    return {
        (m["Namespace"], frozenset(d["Name"] for d in m["Dimensions"]), m["MetricName"])
        for properties in of_type("AWS::CloudWatch::Alarm", holds).values()
        for m in Alarm(properties).metrics
    }


# A lease is lost when its deadline has passed, which takes more than the half minute of these phases.
SEEN_ELSEWHERE = {("Sidelamb", frozenset({"Stack"}), "LostLeases")}  # tests/handlers/test_gauges.py


REDISES = pytest.mark.parametrize(
    "holds", [EXISTING, ON_NODES, TRYING, SERVERLESS], ids=["existing", "nodes", "try-it", "serverless"]
)


@REDISES
def test_every_metric_that_is_looked_at_is_really_written(everything, holds):
    written = names(metrics_of(everything)) | SEEN_ELSEWHERE
    of_aws = {(space, frozenset({d}), n) for (space, d), known in METRICS_OF_AWS.items() for n in known}
    assert in_widgets(holds) | in_alarms(holds) <= written | of_aws


def test_every_metric_that_is_written_is_looked_at_and_known(everything):
    written = names(metrics_of(everything))
    assert {name for space, _, name in written if space == "Sidelamb"} <= set(UNITS)
    looked_at = {name for *_, name in in_widgets() | in_alarms()}
    assert {name for *_, name in written} <= looked_at
    assert set(UNITS) <= looked_at


def test_values_are_of_this_stack_alone(everything):
    for space, dimensions, _ in metrics_of(everything).values:
        assert dict(dimensions).get("Stack") == STACK or space == f"Sidelamb/{STACK}"


def test_a_healthy_stack_has_few_metrics_and_an_ill_one_not_many(phases, everything):
    assert len(metrics_of(phases["well"]).values) <= HEALTHY_MOST
    ill = metrics_of(everything).values
    of_queues = [name for name in ill if "Queue" in dict(name[1])]
    assert len(of_queues) <= QUEUE_MOST
    assert len(ill) - len(of_queues) + len(SEEN_ELSEWHERE) <= STACK_MOST


# --- queries ---------------------------------------------------------------------------------------------------


def asked(query: str, lines: Lines, groups: list[str]) -> list[dict[str, Any]]:
    return ask(query, [(at, line) for at, source, line in lines if source in groups])


def rows(name: str, lines: Lines, **replaced: str) -> list[dict[str, Any]]:
    query = QUERIES[name]["QueryString"]
    for old, new in replaced.items():
        query = query.replace(old.strip("_"), new)
    return asked(query, lines, QUERIES[name]["LogGroupNames"])


LOG_WIDGETS = [w["properties"]["query"] for w in WIDGETS if w["type"] == "log"]


@pytest.mark.parametrize("query", [*(q["QueryString"] for q in QUERIES.values()), *LOG_WIDGETS])
def test_every_field_that_is_asked_for_is_really_written(query, everything):
    written = set()
    for _, source, line in everything:
        if source in GROUPS.values() and line.startswith("{"):
            written |= set(json.loads(line))
    assert fields_of(query.removeprefix("SOURCE 'worker' | ")) <= written | FIELDS_OF_AWS


def jid_of(lines: Lines, name: str, outcome: str) -> str:
    said = [json.loads(line) for *_, line in lines if '"outcome"' in line]
    return next(s["jid"] for s in said if (s["class"], s["outcome"]) == (name, outcome))


def test_one_query_tells_the_life_of_a_job(phases):
    """What it logged itself, what the poller said of it, and how each attempt ended."""
    lines = phases["well"]
    jid = jid_of(lines, "jobs.work", "succeeded")
    own, end = rows("OneJobQuery", lines, _0123456789abcdef01234567_=jid)
    assert (own["message"], end["outcome"], end["attempt"]) == ("half way", "succeeded", 1)
    assert end["lease"].startswith("default:")
    failing = phases["failing"]
    crashed = next(line for *_, line in failing if "ended its sandbox" in line)
    jid = json.loads(crashed)["message"].split()[1]
    said = [row["message"] or "" for row in rows("OneJobQuery", failing, _0123456789abcdef01234567_=jid)]
    assert any("it runs again at once" in message for message in said)


def test_failures_are_told_by_class_and_error_and_place(phases):
    found = rows("RetriesQuery", phases["failing"])
    assert (found[0]["class"], found[0]["error_class"], found[0]["failures"]) == ("jobs.fail", "ValueError", 30)
    assert found[0]["error_at"].endswith(" in fail")
    assert found[0]["most_attempts"] == 1
    assert {row["class"] for row in found} >= {"jobs.die", "jobs.spin"}
    assert rows("RetriesQuery", phases["well"]) == []


def test_the_slowest_class_is_told_first(everything):
    found = rows("SlowestQuery", everything)
    assert [row["class"] for row in found[:2]] in (["jobs.hold", "jobs.spin"], ["jobs.spin", "jobs.hold"])
    assert found[0]["p99_ms"] >= 300
    assert found[0]["runs"] >= 1


def test_where_jobs_waited_longest_is_told(phases):
    (found,) = rows("WaitingQuery", phases["well"])
    assert (found["queue"], found["runs"]) == ("default", 25)
    assert found["most_ms"] >= found["p99_ms"] >= found["p50_ms"] > 0


def test_crashes_and_timeouts_are_told_ours_and_lambdas(phases):
    lines = [*phases["failing"], (NOW, "worker", json.dumps(TIMEOUT_OF_AWS))]
    found = rows("CrashesQuery", lines)
    assert any("ended its sandbox" in (row["message"] or "") for row in found)
    assert any((row["class"], row["error_class"]) == ("jobs.spin", "JobTimeout") for row in found)
    assert [row["record.requestId"] for row in found if row["record.status"]] == ["8ea0b4ac"]
    assert rows("CrashesQuery", phases["well"]) == []


def test_cold_starts_are_told_by_the_hour(phases):
    found = rows("ColdStartsQuery", phases["well"])
    assert sum(row["runs"] for row in found) == 25
    assert 1 <= sum(row["in_a_new_sandbox"] for row in found) <= 25
    assert 0 < found[0]["percent"] <= 100


@pytest.mark.parametrize("query", LOG_WIDGETS)
def test_a_log_widget_shows_something(query, phases):
    text = query.removeprefix("SOURCE 'worker' | ")
    assert text != query
    assert asked(text, phases["failing"], ["worker"])[0]["class"] in {"jobs.spin", "jobs.fail"}


# --- metric filters and the dashboard ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILTERS)
def test_a_metric_filter_takes_what_was_said_loudly_and_nothing_else(name, phases, everything):
    group, pattern = FILTERS[name]["LogGroupName"], FilterPattern(FILTERS[name]["FilterPattern"])
    taken = [line for _, source, line in everything if source == group and pattern.matches(line)]
    assert taken
    assert all(json.loads(line)["level"] in {"ERROR", "CRITICAL"} for line in taken)
    assert not any(pattern.matches(line) for _, source, line in phases["well"] if source == group)


@REDISES
def test_the_dashboard_shows_every_alarm(holds):
    (shown,) = (w["properties"]["alarms"] for w in widgets(holds) if w["type"] == "alarm")
    assert {arn.removesuffix(".Arn") for arn in shown} == set(of_type("AWS::CloudWatch::Alarm", holds))


@REDISES
def test_no_widget_lies_on_another(holds):
    found = widgets(holds)
    taken = [(w["x"] + x, w["y"] + y) for w in found for x in range(w["width"]) for y in range(w["height"])]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


def test_every_name_in_the_account_begins_with_the_stacks():
    made = [properties["AlarmName"] for properties in of_type("AWS::CloudWatch::Alarm").values()]
    made += [properties["Name"] for properties in QUERIES.values()]
    made.append(dashboard(ON_NODES)["DashboardName"])
    assert all(name.startswith((f"{STACK}-", f"{STACK}/")) for name in made)


# --- the pages -------------------------------------------------------------------------------------------------

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_has_every_metric_alarm_and_field(everything):
    page, bad_night = (DOCS / "observe.md").read_text(), (DOCS / "operate.md").read_text()
    for name, unit in UNITS.items():
        assert re.search(rf"^\|[^|]*`{name}`[^|]*\| {unit} \|", page, re.MULTILINE), name
    for alarm in ALARMS.values():
        name = alarm.properties["AlarmName"].removeprefix(f"{STACK}-")
        assert f"`…-{name}`" in page
        assert f"`{name}`" in bad_night
    written = {name for *_, line in everything if '"outcome"' in line for name in json.loads(line)}
    for field in written - {"level", "message", "timestamp"}:
        assert f"`{field}`" in page, field


def test_the_page_has_every_ceiling():
    page = (DOCS / "observe.md").read_text()
    for what, ceiling in (
        ("custom metrics, one queue, all well", HEALTHY_MOST),
        ("of each queue, whatever happens", QUEUE_MOST),
        ("beside the queues, whatever happens", STACK_MOST),
        ("bytes of a line about a success", SUCCESS_MOST),
        ("bytes of a line about a failure", FAILURE_MOST),
        ("bytes of metrics of an invocation with one job", METRICS_MOST),
        ("the same, a job of a hundred in one invocation", METRICS_PACKED_MOST),
    ):
        assert f"| {what} | {ceiling:,} |" in page
