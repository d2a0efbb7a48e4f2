"""Arguments by annotation, as they are sent."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import uuid
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from sidelamb import BadArgument, BadCall, ConfigError, job
from sidelamb.codec import Codec
from sidelamb.template import Shape
from tests.sdk import typed_jobs as typed

WHEN = dt.datetime(2026, 11, 26, 7, 30, 0, 123456, tzinfo=dt.UTC)
DAY = dt.date(2026, 11, 26)
ID = uuid.UUID("12345678-1234-5678-1234-567812345678")
LINE = typed.Line(ID, Decimal("1.10"), DAY, ["a"])
LINE_SENT = {"sku": str(ID), "price": "1.10", "when": "2026-11-26", "tags": ["a"]}
ORDER = typed.Order(number=1, lines=[LINE], placedAt=WHEN)
ORDER_SENT = {"number": 1, "lines": [LINE_SENT], "placedAt": "2026-11-26T07:30:00.123456Z"}


def made(function):
    return job(name=function.__name__)(function)


@pytest.fixture
def sent(configured, queued):
    """Enqueues a call of a function and returns how its arguments stand in the payload."""

    def send(function, *args, **kwargs):
        made(function).enqueue(*args, **kwargs)
        payload = queued()[-1]
        return (payload["args"], payload["kwargs"]) if kwargs else payload["args"]

    return send


def test_every_type_is_plain_json_in_the_payload(sent):
    address = {"city": "Rome", "since": DAY}
    args, kwargs = sent(
        typed.every,
        *(WHEN, DAY, dt.time(7, 30), dt.timedelta(hours=1, seconds=2), ID, Decimal("0.30")),
        *(typed.Color.RED, typed.Size.BIG, LINE, ORDER, address, DAY),
        maybe=None,
        many=[LINE],
        by_name={"a": Decimal(2)},
        either=5,
        other=ID,
    )
    assert args == [
        "2026-11-26T07:30:00.123456Z",
        "2026-11-26",
        "07:30:00",
        "PT1H2S",
        str(ID),
        "0.30",
        "red",
        3,
        LINE_SENT,
        ORDER_SENT,
        {"city": "Rome", "since": "2026-11-26"},
        "2026-11-26",
    ]
    assert kwargs == {"maybe": None, "many": [LINE_SENT], "by_name": {"a": "2"}, "either": 5, "other": str(ID)}


def test_what_is_sent_already_as_json_is_taken_too(sent):
    """A command line has no datetimes."""
    assert sent(typed.mixed, 1, "2026-11-26T07:30:00Z") == [1, "2026-11-26T07:30:00Z"]
    assert sent(typed.order, ORDER_SENT) == [ORDER_SENT]


def test_a_value_of_another_type_is_refused_where_the_call_stands(sent):
    with pytest.raises(
        BadArgument, match=r"^mixed: argument 'when' is not datetime.datetime: Input should be a val"
    ):
        sent(typed.mixed, 1, "soon")
    with pytest.raises(
        BadArgument, match=r"^order: argument 'value' is not .*Order: lines.0.price: Input should be"
    ):
        sent(typed.order, {**ORDER_SENT, "lines": [{**LINE_SENT, "price": "much"}]})
    with pytest.raises(BadArgument, match=r"bounded: argument 'number' is not .*greater than 0"):
        sent(typed.bounded, 0)


def test_an_error_does_not_tell_the_value(sent):
    with pytest.raises(BadArgument) as caught:
        sent(typed.order, {**ORDER_SENT, "number": "hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("function", "value", "says"),
    [
        (typed.either, WHEN, "would come back as '2026-11-26T07:30:00.123456Z'"),
        (typed.order, typed.Gift(number=1, lines=[], placedAt=WHEN, note="x"), "cannot carry it"),
        (typed.secret, typed.Secret(word="hunter2"), "would come back as"),
    ],
)
def test_what_would_come_back_as_something_else_is_refused(sent, function, value, says):
    with pytest.raises(BadArgument, match=says):
        sent(function, value)


def test_what_comes_back_equal_is_taken(sent):
    in_rome = WHEN.astimezone(ZoneInfo("Europe/Rome"))
    assert sent(typed.mixed, 1, in_rome) == [1, "2026-11-26T08:30:00.123456+01:00"]
    assert sent(typed.mixed, 1, WHEN.replace(tzinfo=None)) == [1, "2026-11-26T07:30:00.123456"]
    assert sent(typed.either, "text") == ["text"]
    assert sent(typed.odd, typed.Odd(DAY)) == [{"when": "2026-11-26"}]
    assert sent(typed.pair, (1, DAY)) == [[1, "2026-11-26"]]


def test_without_an_annotation_all_is_as_strict_as_ever(sent):
    with pytest.raises(BadArgument, match=r"argument 1 \('value'\) is a datetime.datetime.*isoformat"):
        sent(typed.one, WHEN)
    with pytest.raises(BadArgument, match=r"argument 1 \('number'\) is a uuid.UUID"):
        sent(typed.mixed, ID, WHEN)
    with pytest.raises(BadArgument, match="send the id of it"):
        sent(typed.unknown, typed.Plain())


def test_arguments_are_checked_for_the_call_first(sent):
    with pytest.raises(BadCall):
        sent(typed.mixed, 1)
    with pytest.raises(BadCall):
        sent(typed.mixed, 1, WHEN, 3)


def test_many_calls_are_carried_and_pressed(configured, queued):
    mixed = made(typed.mixed)
    assert mixed.enqueue_many((n, WHEN) for n in range(1_500)) == 1_500
    assert mixed.enqueue_many([{"number": 1, "when": WHEN}]) == 1
    calls = queued()
    assert [call["args"] for call in calls[:1_500]] == [[n, "2026-11-26T07:30:00.123456Z"] for n in range(1_500)]
    assert calls[1_500]["kwargs"] == {"number": 1, "when": "2026-11-26T07:30:00.123456Z"}
    with pytest.raises(BadCall):
        mixed.enqueue_many([(1,)])
    with pytest.raises(BadCall, match="takes a tuple"):
        mixed.enqueue_many([5])
    with pytest.raises(BadArgument) as caught:
        mixed.enqueue_many([*((n, WHEN) for n in range(1_000)), (1, "soon")])
    assert caught.value.stored == 1_000


async def test_async_calls_are_carried(configured, queued):
    from sidelamb import default_client

    await made(typed.mixed).aenqueue(1, WHEN)
    await made(typed.mixed).aenqueue_many([(2, WHEN)])
    assert [call["args"] for call in queued()] == [[n, "2026-11-26T07:30:00.123456Z"] for n in (1, 2)]
    await default_client().aclose()


def test_what_makes_a_job_unique_is_reckoned_from_what_stands_in_the_payload(configured, queued):
    seen = []
    mixed = job(name="mixed", unique_for=60, unique_by=lambda *args: seen.append(args))(typed.mixed)
    mixed.enqueue(1, WHEN)
    assert seen == [(1, "2026-11-26T07:30:00.123456Z")]


def test_a_method_of_a_class_is_carried(configured, queued):
    typed.User.remind.enqueue(WHEN)
    assert queued()[0]["args"] == ["2026-11-26T07:30:00.123456Z"]


def test_an_annotation_that_cannot_be_resolved_says_nothing_and_is_named_in_the_error(sent):
    from fractions import Fraction

    assert sent(typed.unresolved, 1, DAY) == [1, "2026-11-26"]
    says = r"'Fraction' says nothing.*name 'Fraction' is not defined.*TYPE_CHECKING"
    with pytest.raises(BadArgument, match=says):
        sent(typed.unresolved, Fraction(1), DAY)


def test_a_dataclass_that_cannot_be_carried_says_why(configured):
    with pytest.raises(BadArgument, match=r"its annotation is not carried: Unable to generate.*Plain"):
        job(name="wrapping")(typed.wrapping).enqueue(typed.Wrapping(typed.Plain()))


def test_jobs_of_plain_types_have_no_codec_and_never_load_pydantic():
    assert Shape("plain", typed.plain).codec is None
    assert Shape("one", typed.one).codec is None
    assert isinstance(Shape("mixed", typed.mixed).codec, Codec)
    code = (
        "import sys; from sidelamb.template import Shape\n"
        "def f(a: int, b: 'str | None', c: list[dict[str, int]], d: 'list[float]', e=1, *g: float): ...\n"
        "assert Shape('f', f).codec is None\n"
        "print([name for name in ('pydantic', 'sidelamb.codec') if name in sys.modules])\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert said.stdout.strip() == "['sidelamb.codec']"


def test_without_pydantic_the_error_names_the_extra(sent, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(ConfigError, match=r"argument 'when' is annotated datetime.datetime.*sidelamb\[pydantic\]"):
        sent(typed.mixed, 1, WHEN)
    assert sent(typed.plain, 1, None, [{"a": 1}], 2, "x", None) == [1, None, [{"a": 1}], 2, "x", None]
    with pytest.raises(BadArgument, match="send the id of it"):
        sent(typed.unknown, typed.Plain())
