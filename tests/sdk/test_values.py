"""Arguments: what JSON can carry, and a clear word about everything else."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import pathlib
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobs_of_tests import asynchronous, send

from sidelamb import BadArgument
from sidelamb.packing import Packer
from sidelamb.values import MOST_LEVELS, are_plain

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Real(float):
    pass


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Kind(enum.StrEnum):
    A = "a"


class Pair(NamedTuple):
    a: int


@dataclass
class Point:
    x: int


class Opaque:
    pass


REFUSED: list[tuple[Any, str, str]] = [
    (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "datetime.datetime", "isoformat()"),
    (dt.date(2026, 1, 1), "datetime.date", "isoformat()"),
    (dt.time(1), "datetime.time", "isoformat()"),
    (dt.timedelta(1), "datetime.timedelta", "total_seconds()"),
    (uuid.UUID(int=1), "uuid.UUID", "str(value)"),
    (decimal.Decimal(1), "decimal.Decimal", "str(value)"),
    (pathlib.Path("/x"), "Path", "str(value)"),
    (Colour.RED, "Colour", "value.value"),
    (Level.LOW, "Level", "value.value"),
    (Kind.A, "Kind", "value.value"),
    (b"bytes", "bytes", "base64"),
    (bytearray(b"x"), "bytearray", "base64"),
    ((1, 2), "tuple", "list(value)"),
    (Pair(1), "Pair", "list(value)"),
    ({1}, "set", "sorted(value)"),
    (Text("a"), "Text", "str(value)"),
    (Number(1), "Number", "int(value)"),
    (Real(1), "Real", "float(value)"),
    (collections.OrderedDict(), "OrderedDict", "dict(value)"),
    (collections.UserDict(), "UserDict", "id"),
    (Point(1), "Point", "id of it"),
    (Opaque(), "Opaque", "id of it"),
    (Opaque, "type", "its name"),
    (range(3), "range", "id of it"),
    (float("nan"), "nan", "None or a text"),
    (float("inf"), "inf", "None or a text"),
    (float("-inf"), "-inf", "None or a text"),
    (2**64, "beyond 64 bit", "str(value)"),
    (-(2**63) - 1, "beyond 64 bit", "str(value)"),
    (10**4000, "beyond 64 bit", "str(value)"),
    ("\ud800", "lone surrogate", "clean"),
    ({1: "x"}, "key 1 (int)", "str(key)"),
    ({None: "x"}, "key None (NoneType)", "str(key)"),
    ({True: "x"}, "key True (bool)", "str(key)"),
    ({(1,): "x"}, "key (1,) (tuple)", "str(key)"),
    ({Text("a"): "x"}, "key 'a' (Text)", "str(key)"),
    ({"\udfff": "x"}, "lone surrogate", "clean"),
]

pytestmark = pytest.mark.usefixtures("configured")


@pytest.mark.parametrize(("value", "kind", "advice"), REFUSED)
class TestARefusedValue:
    def test_is_named_with_its_place_and_what_to_send_instead(self, value: Any, kind: str, advice: str) -> None:
        with pytest.raises(BadArgument) as caught:
            send.enqueue(1, {"tags": ["fine", value]})
        message = str(caught.value)
        assert message.startswith("jobs_of_tests.send: argument 2 ('subject')['tags'][1] ")
        assert kind in message
        assert advice in message

    def test_is_refused_as_an_argument_itself_too(self, value: Any, kind: str, advice: str) -> None:
        with pytest.raises(BadArgument, match=r"argument 1 \('value'\) "):
            asynchronous.enqueue(value)

    def test_is_refused_as_a_keyword_argument(self, value: Any, kind: str, advice: str) -> None:
        with pytest.raises(BadArgument, match="argument 'subject'"):
            send.enqueue(1, subject=value)

    def test_stores_nothing(self, value: Any, kind: str, advice: str, db: Any) -> None:
        with pytest.raises(BadArgument):
            send.enqueue_many([(1,), (2, value)])
        assert db.dbsize() == 0


class TestNesting:
    def nested(self, levels: int, kind: str = "list") -> Any:
        value: Any = 1
        for _ in range(levels):
            value = [value] if kind == "list" else {"a": value}
        return value

    @pytest.mark.parametrize("kind", ["list", "dict"])
    def test_may_be_as_deep_as_rubys_json_reads(self, kind: str, queued: Callable[[], list[Any]]) -> None:
        value = self.nested(MOST_LEVELS, kind)
        asynchronous.using(queue="default").enqueue(value)
        assert queued()[0]["args"] == [value]

    @pytest.mark.parametrize("kind", ["list", "dict"])
    @pytest.mark.parametrize("levels", [MOST_LEVELS + 1, 300, 100_000])
    def test_may_not_be_deeper(self, kind: str, levels: int) -> None:
        value = self.nested(levels, kind)
        with pytest.raises(BadArgument, match=r"argument 1 \('value'\) is nested more than 98 levels"):
            asynchronous.enqueue(value)
        while value != 1:  # taken apart by hand: to free 100,000 levels at once would overflow the stack
            value = value[0] if kind == "list" else value["a"]

    def test_may_not_be_endless(self) -> None:
        endless: list[Any] = [1]
        endless.append(endless)
        also: dict[str, Any] = {}
        also["a"] = [also]
        for value in (endless, also):
            with pytest.raises(BadArgument, match="contains itself"):
                asynchronous.enqueue(value)
            with pytest.raises(BadArgument, match="contains itself"):
                send.enqueue(1, subject=value)


@pytest.mark.parametrize(
    "value",
    [
        0,
        -(2**63),
        2**64 - 1,
        True,
        None,
        "",
        "é😀\u2028\x00</script>",
        1.5,
        -0.0,
        1e300,
        5e-324,
        [],
        {},
        {"": [{}]},
    ],
)
def test_an_allowed_value_arrives_as_it_was_sent(value: Any, queued: Callable[..., list[Any]]) -> None:
    asynchronous.enqueue(value)
    arrived = queued("low")[0]["args"][0]
    assert arrived == value
    assert type(arrived) is type(value)


@given(args=st.lists(VALUES), kwargs=st.dictionaries(TEXT, VALUES))
def test_any_json_value_survives_its_way_into_bytes(args: list[Any], kwargs: dict[str, Any]) -> None:
    packer = Packer(None, 5_000_000, lambda: None)
    head = {"retry": True, "queue": "q", "class": "c", "jid": "j", "created_at": 1.5}
    packed = packer.pack({**head, "args": args, "kwargs": kwargs}, 1.5)
    assert packed is not None
    decoded = orjson.loads(packed.raw)
    assert repr(decoded["args"]) == repr(args)
    assert repr(decoded["kwargs"]) == repr(kwargs)


@given(VALUES)
def test_any_json_value_is_plain(value: Any) -> None:
    assert are_plain([value])


def test_a_large_argument_is_checked_within_a_moment() -> None:
    value = [{"id": n, "name": "x", "ratio": 0.5} for n in range(10_000)]
    started = time.perf_counter()
    assert are_plain([value])
    assert time.perf_counter() - started < 0.5
