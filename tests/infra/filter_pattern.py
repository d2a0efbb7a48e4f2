"""CloudWatch's filter patterns for JSON lines, as far as ours use them: `{ $.a = "b" && ($.c = 5 || $.d = "*") }`.

As CloudWatch documents it: a comparison with a field that is not there is false, `*` in a text stands for any
characters, `&&` binds closer than `||`.
"""

from __future__ import annotations

import json
import re
from typing import Any

TOKEN = re.compile(r'\s*(\$\.[A-Za-z_][\w.]*|&&|\|\||!=|>=|<=|[=><(){}]|"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?)')


class FilterPattern:
    """One pattern."""

    def __init__(self, text: str) -> None:
        self._tokens, at = [], 0
        while at < len(text.rstrip()):
            found = TOKEN.match(text, at)
            assert found, f"{text[at:]!r} is no filter pattern"
            self._tokens.append(found[1])
            at = found.end()
        self.fields: set[str] = set()
        self._take("{")
        self._test = self._any()
        self._take("}")
        assert not self._tokens

    def matches(self, line: str) -> bool:
        """Say whether a log event matches."""
        try:
            said = json.loads(line)
        except ValueError:
            return False
        return isinstance(said, dict) and self._test(said)

    def _take(self, *wanted: str) -> str:
        token = self._tokens.pop(0)
        assert not wanted or token in wanted, f"{token!r} stands where {wanted} should"
        return token

    def _any(self) -> Any:
        tests = [self._all()]
        while self._tokens[:1] == ["||"]:
            self._take()
            tests.append(self._all())
        return lambda said: any(test(said) for test in tests)

    def _all(self) -> Any:
        tests = [self._one()]
        while self._tokens[:1] == ["&&"]:
            self._take()
            tests.append(self._one())
        return lambda said: all(test(said) for test in tests)

    def _one(self) -> Any:
        if self._tokens[0] == "(":
            self._take()
            inner = self._any()
            self._take(")")
            return inner
        field, sign, value = (
            self._take()[2:],
            self._take("=", "!=", ">", "<", ">=", "<="),
            json.loads(self._take()),
        )
        self.fields.add(field)
        return lambda said: _holds(_get(said, field), sign, value)


def _get(said: Any, field: str) -> Any:
    for name in field.split("."):
        said = said.get(name) if isinstance(said, dict) else None
    return said


def _holds(found: Any, sign: str, value: Any) -> bool:
    if found is None:
        return False
    if isinstance(value, str):
        pattern = re.escape(value).replace(r"\*", ".*") if "*" in value else None
        same = bool(re.fullmatch(pattern, str(found), re.DOTALL)) if pattern else str(found) == value
        return same is (sign == "=")
    if not isinstance(found, int | float):
        return False
    return {"=": found == value, "!=": found != value, ">": found > value, "<": found < value}.get(
        sign, found >= value if sign == ">=" else found <= value
    )


__all__ = ["FilterPattern"]
