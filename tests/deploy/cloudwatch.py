"""CloudWatch's metrics on real log lines: taken out of them, put into periods, and looked at by alarms.

As AWS documents it: Embedded Metric Format, metric filters, statistics, `TreatMissingData`, and of metric math the
functions that our alarms use.
"""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Any

from tests.infra.filter_pattern import FilterPattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Name = tuple[str, frozenset[tuple[str, str]], str]
"""Namespace, dimensions, metric."""

STATISTICS = {
    "Sum": sum,
    "Maximum": max,
    "Minimum": min,
    "Average": lambda values: sum(values) / len(values),
    "SampleCount": len,
}


class Metrics:
    """What CloudWatch knows."""

    def __init__(self) -> None:
        self.values: dict[Name, list[tuple[float, float]]] = {}

    def read(self, lines: Iterable[str], filters: Iterable[Mapping[str, Any]] = (), *, at: float) -> None:
        """Take metrics out of log lines, and of those that filters match, as if they were said at epoch s `at`."""
        for line in lines:
            self._embedded(line, at)
            for one in filters:
                if FilterPattern(one["FilterPattern"]).matches(line):
                    for to in one["MetricTransformations"]:
                        name = (to["MetricNamespace"], frozenset(), to["MetricName"])
                        self.values.setdefault(name, []).append((at, float(to["MetricValue"])))

    def _embedded(self, line: str, at: float) -> None:
        if '"_aws"' not in line:
            return
        said = json.loads(line)
        assert said["_aws"]["Timestamp"] > 1_700_000_000_000
        for directive in said["_aws"]["CloudWatchMetrics"]:
            assert 0 < len(directive["Metrics"]) <= 100
            for names in directive["Dimensions"]:
                assert len(names) <= 30
                dimensions = frozenset((name, said[name]) for name in names)
                for metric in directive["Metrics"]:
                    found = said[metric["Name"]]
                    values = found if isinstance(found, list) else [found]
                    assert 0 < len(values) <= 100
                    key = (directive["Namespace"], dimensions, metric["Name"])
                    self.values.setdefault(key, []).extend((at, float(value)) for value in values)

    def series(
        self, namespace: str, dimensions: Mapping[str, str], name: str, stat: str, period: int
    ) -> dict[int, float]:
        """Return a statistic of a metric by period."""
        found: dict[int, list[float]] = {}
        for at, value in self.values.get((namespace, frozenset(dimensions.items()), name), []):
            found.setdefault(int(at // period), []).append(value)
        return {bucket: float(STATISTICS[stat](values)) for bucket, values in found.items()}


class Alarm:
    """One alarm, its intrinsics resolved."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self.properties = properties
        self.metrics = [m["MetricStat"]["Metric"] for m in properties.get("Metrics", []) if "MetricStat" in m]
        self.metrics = self.metrics or [properties]
        stats = [m["MetricStat"]["Period"] for m in properties.get("Metrics", []) if "MetricStat" in m]
        (self.period,) = set(stats) or {properties["Period"]}

    def is_on(self, metrics: Metrics, now: float) -> bool:
        """Say whether the alarm is on at epoch s `now`: every period it evaluates is breaching."""
        last = int(now // self.period)
        n = int(self.properties["EvaluationPeriods"])
        series = self._series(metrics, range(last - n + 1, last + 1))
        missing = self.properties["TreatMissingData"] == "breaching"
        return all(self._breaches(series[b]) if b in series else missing for b in range(last - n + 1, last + 1))

    def _breaches(self, value: float) -> bool:
        threshold = float(self.properties["Threshold"])
        return {
            "GreaterThanThreshold": value > threshold,
            "GreaterThanOrEqualToThreshold": value >= threshold,
            "LessThanThreshold": value < threshold,
            "LessThanOrEqualToThreshold": value <= threshold,
        }[self.properties["ComparisonOperator"]]

    def _series(self, metrics: Metrics, buckets: range) -> dict[int, float]:
        if "Metrics" not in self.properties:
            return _of(metrics, self.properties, self.properties["Statistic"], self.period)
        known = {
            m["Id"]: _of(metrics, m["MetricStat"]["Metric"], m["MetricStat"]["Stat"], self.period)
            for m in self.properties["Metrics"]
            if "MetricStat" in m
        }
        (expression,) = (m["Expression"] for m in self.properties["Metrics"] if "Expression" in m)
        found = {bucket: calculated(expression, known, bucket) for bucket in buckets}
        return {bucket: value for bucket, value in found.items() if value is not None}


def _of(metrics: Metrics, metric: Mapping[str, Any], stat: str, period: int) -> dict[int, float]:
    dimensions = {d["Name"]: d["Value"] for d in metric.get("Dimensions", [])}
    return metrics.series(metric["Namespace"], dimensions, metric["MetricName"], stat, period)


def calculated(expression: str, known: Mapping[str, Mapping[int, float]], bucket: int) -> float | None:
    """Return the value of a metric math expression in one period, None if what it needs is missing."""
    return _value(ast.parse(re.sub(r"\bIF\(", "IF_(", expression), mode="eval").body, known, bucket)


def _value(node: ast.expr, known: Mapping[str, Mapping[int, float]], bucket: int) -> Any:  # noqa: PLR0911
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return known[node.id].get(bucket)
        case ast.List():
            return [_value(one, known, bucket) for one in node.elts]
        case ast.Call(func=ast.Name(id="FILL"), args=[what, other]):
            found = _value(what, known, bucket)
            return _value(other, known, bucket) if found is None else found
        case ast.Call(func=ast.Name(id="IF_"), args=[test, yes, no]):
            said = _value(test, known, bucket)
            return None if said is None else _value(yes if said else no, known, bucket)
        case ast.Call(func=ast.Name(id="MAX"), args=[what]):
            return max((value for value in _value(what, known, bucket) if value is not None), default=None)
        case ast.BinOp() | ast.Compare():
            left, right = (
                (node.left, node.right) if isinstance(node, ast.BinOp) else (node.left, node.comparators[0])
            )
            a, b = _value(left, known, bucket), _value(right, known, bucket)
            return (
                None
                if a is None or b is None
                else _applied(node.op if isinstance(node, ast.BinOp) else node.ops[0], a, b)
            )
    raise AssertionError(f"{ast.unparse(node)} is no metric math that is known here")


def _applied(sign: ast.AST, a: float, b: float) -> Any:
    match sign:
        case ast.Mult():
            return a * b
        case ast.Div():
            return a / b if b else None
        case ast.Add():
            return a + b
        case ast.Sub():
            return a - b
        case ast.GtE():
            return a >= b
        case ast.Gt():
            return a > b
    raise AssertionError(f"{sign} is no sign that is known here")
