"""Logs Insights on real log lines: the commands and functions that our saved queries use, and no others.

As AWS documents the language: the fields of JSON lines are found by themselves (nested ones with dots, true and
false as 1 and 0), a comparison with a field that is not there is false, and `stats` makes one row a group. What a
query says beyond that is an error here, so that nothing is taken on trust.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Test = Callable[[Row], Any]

TOKEN = re.compile(
    r"""\s*(?:(?P<regex>/(?:[^/\\]|\\.)*/)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>\d+(?:\.\d+)?(?=[smhd]?\b))"""
    r"""|(?P<name>@?[A-Za-z_][\w.]*)|(?P<sign>!=|<=|>=|[=<>()\[\],*/+-]))(?P<unit>[smhd]\b)?"""
)
SPANS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def ask(query: str, lines: Sequence[tuple[float, str]]) -> list[dict[str, Any]]:
    """Return the rows that a query gives.

    Args:
        query: Its commands, with pipes between them.
        lines: (epoch s, log line).
    """
    rows: list[dict[str, Any]] = [_discovered(at, line) for at, line in lines]
    shown: list[str] = []
    for command in _commands(query):
        verb, _, rest = command.partition(" ")
        if verb == "fields":
            shown = [name.strip() for name in rest.split(",")]
        elif verb == "filter":
            test = _Parser(rest).whole()
            rows = [row for row in rows if test(row)]
        elif verb == "stats":
            rows, shown = _stats(rest, rows), []
        elif verb == "sort":
            name, _, way = rest.strip().partition(" ")
            rows.sort(key=lambda row: _rank(row.get(name)), reverse=way == "desc")
            assert way in {"asc", "desc"}
        elif verb == "limit":
            rows = rows[: int(rest)]
        else:
            raise AssertionError(f"{verb} is no command that is known here")
    return [{name: row.get(name) for name in shown} for row in rows] if shown else rows


def fields_of(query: str) -> set[str]:
    """Return the fields of log lines that a query names."""
    found: set[str] = set()
    made: set[str] = set()
    for command in _commands(query):
        verb, _, rest = command.partition(" ")
        if verb == "fields":
            found |= {name.strip() for name in rest.split(",")}
        elif verb == "filter":
            parser = _Parser(rest)
            parser.whole()
            found |= parser.fields
        elif verb == "stats":
            for _, parser, name in _columns(rest):
                found |= parser.fields
                made.add(name)
        elif verb == "sort":
            found.add(rest.split()[0])
    return {name for name in found if not name.startswith("@") and name not in made}


def _commands(query: str) -> list[str]:
    """Split at pipes that are neither in a text nor in a regular expression."""
    parts = re.findall(r'(?:"(?:[^"\\]|\\.)*"|(?<=like )/(?:[^/\\]|\\.)*/|[^|])+', query)
    return [part.strip() for part in parts]


def _discovered(at: float, line: str) -> dict[str, Any]:
    row: dict[str, Any] = {"@timestamp": at, "@message": line}
    try:
        said = json.loads(line)
    except ValueError:
        return row
    if isinstance(said, dict):
        _flatten("", said, row)
    return row


def _flatten(prefix: str, said: Mapping[str, Any], row: dict[str, Any]) -> None:
    for name, value in said.items():
        if isinstance(value, dict):
            _flatten(f"{prefix}{name}.", value, row)
        elif value is not None:
            row[prefix + name] = int(value) if isinstance(value, bool) else value


class _Parser:
    """An expression: `or` of `and` of comparisons of sums of products."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str, str]] = []
        self.fields: set[str] = set()
        at = 0
        while at < len(text.rstrip()):
            found = TOKEN.match(text, at)
            assert found, f"{text[at:]!r} is not understood here"
            kind = str(found.lastgroup if found.lastgroup != "unit" else "number")
            self._tokens.append((kind, found[kind], found["unit"] or ""))
            at = found.end()

    def whole(self) -> Test:
        test = self.any()
        assert not self._tokens, f"{self._tokens} is left"
        return test

    def any(self) -> Test:
        tests = [self._all()]
        while self._next("or"):
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda row: any(test(row) for test in tests)

    def _all(self) -> Test:
        tests = [self._comparison()]
        while self._next("and"):
            tests.append(self._comparison())
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _comparison(self) -> Test:
        if self._next("not"):
            test = self._comparison()
            return lambda row: not test(row)
        left = self._product()
        sign = self._tokens[0][1] if self._tokens else ""
        if sign in {"=", "!=", "<", ">", "<=", ">="}:
            self._tokens.pop(0)
            right = self._product()
            return lambda row: _compared(left(row), sign, right(row))
        if self._next("in"):
            assert self._next("[")
            values = [self._value()]
            while self._next(","):
                values.append(self._value())
            assert self._next("]")
            return lambda row: left(row) in [value(row) for value in values]
        if self._next("like"):
            kind, text, _ = self._tokens.pop(0)
            if kind == "regex":
                pattern = re.compile(text[1:-1])
                return lambda row: left(row) is not None and bool(pattern.search(str(left(row))))
            part = json.loads(text)
            return lambda row: left(row) is not None and part in str(left(row))
        return left

    def _product(self) -> Test:
        left = self._value()
        while self._tokens and self._tokens[0][1] in {"*", "/"} and self._tokens[0][0] == "sign":
            sign, before, factor = self._tokens.pop(0)[1], left, self._value()
            left = _product(before, sign, factor)
        return left

    def _value(self) -> Test:
        kind, text, unit = self._tokens.pop(0)
        if text == "(":
            inner = self.any()
            assert self._next(")")
            return inner
        if kind == "number":
            number = float(text) * (SPANS[unit] if unit else 1)
            return lambda _row: number
        if kind == "text":
            said = json.loads(text)
            return lambda _row: said
        assert kind == "name", f"{text!r} is not understood here"
        if self._next("("):
            return self._call(text)
        self.fields.add(text)
        return lambda row: row.get(text)

    def _call(self, name: str) -> Test:
        given: list[Test] = []
        while not self._next(")"):
            if self._next("*"):
                given.append(lambda _row: 1)
            else:
                given.append(self.any())
            self._next(",")
        if name == "ispresent":
            return lambda row: given[0](row) is not None
        if name == "bin":
            return lambda row: row["@timestamp"] // given[0](row) * given[0](row)
        assert name in AGGREGATES, f"{name} is no function that is known here"
        return lambda group: AGGREGATES[name]([[one(row) for one in given] for row in group["rows"]])

    def _next(self, word: str) -> bool:
        if self._tokens and self._tokens[0][1] == word and self._tokens[0][0] in {"name", "sign"}:
            self._tokens.pop(0)
            return True
        return False


def _product(left: Test, sign: str, right: Test) -> Test:
    return lambda row: left(row) * right(row) if sign == "*" else left(row) / right(row)


def _compared(left: Any, sign: str, right: Any) -> bool:
    if left is None or right is None:
        return False
    if isinstance(left, str) is not isinstance(right, str):
        left, right = str(left), str(right)
    return {
        "=": left == right,
        "!=": left != right,
        "<": left < right,
        ">": left > right,
        "<=": left <= right,
    }.get(sign, left >= right)


def _numbers(given: list[list[Any]]) -> list[float]:
    return [values[0] for values in given if isinstance(values[0], int | float)]


def _percentile(given: list[list[Any]]) -> float | None:
    numbers = sorted(_numbers(given))
    return numbers[max(0, math.ceil(len(numbers) * given[0][1] / 100) - 1)] if numbers else None


AGGREGATES: dict[str, Callable[[list[list[Any]]], Any]] = {
    "count": lambda given: sum(values[0] is not None for values in given),
    "sum": lambda given: sum(_numbers(given)),
    "avg": lambda given: sum(_numbers(given)) / len(_numbers(given)) if _numbers(given) else None,
    "max": lambda given: max(_numbers(given), default=None),
    "min": lambda given: min(_numbers(given), default=None),
    "pct": _percentile,
}


def _columns(text: str) -> list[tuple[bool, _Parser, str]]:
    """Return (whether it groups, its expression, its name) for each column of a `stats` command."""
    figures, _, groups = text.partition(" by ")
    columns = []
    for is_group, part in [(False, one) for one in _split(figures)] + [(True, one) for one in _split(groups)]:
        expression, _, name = part.partition(" as ")
        parser = _Parser(expression)
        parser.whole()  # it can be read; its fields are known
        columns.append((is_group, parser, (name or expression).strip()))
    return columns


def _split(text: str) -> list[str]:
    return [part.strip() for part in re.findall(r"(?:\([^()]*\)|[^,()])+", text) if part.strip()]


def _stats(text: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    figures, _, by = text.partition(" by ")

    def column(part: str) -> tuple[str, Test]:
        expression, _, name = part.partition(" as ")
        return (name or expression).strip(), _Parser(expression).whole()

    groups = [column(part) for part in _split(by)]
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(test(row) for _, test in groups), []).append(row)
    out = []
    for key, members in found.items():
        named = dict(zip((name for name, _ in groups), key, strict=True))
        out.append(named | {name: test({"rows": members}) for name, test in map(column, _split(figures))})
    return out


def _rank(value: Any) -> tuple[int, Any]:
    if value is None:
        return (0, 0)
    return (1, value) if isinstance(value, int | float) else (2, str(value))
