"""New bytes of a payload have the form that Ruby would write, and every value that passes through stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidelamb import Malformed
from sidelamb.payload import decode, edit, encode, is_tidy, stamp_enqueued, tidy

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
DIGITS = st.text("0123456789", min_size=1, max_size=40)
NUMBERS = st.one_of(
    st.integers().map(str),
    st.builds(lambda sign, a, b: f"{sign}{int(a)}.{b}", st.sampled_from(["", "-"]), DIGITS, DIGITS),
    st.builds(
        lambda a, e, n: f"{a}.0{e}{n}", st.integers(0, 9), st.sampled_from(["e+", "E-", "e"]), st.integers(0, 99)
    ),
    st.sampled_from(["-0", "-0.0", "1.0e+20", "1E5", "1.00"]),
)
"""Numbers as they are written."""


class Written:
    """A JSON value as another program writes it, and as it must stand in our bytes."""

    def __init__(self, loose: str, clean: str) -> None:
        self.loose, self.clean = loose, clean

    def __repr__(self) -> str:
        return self.loose


SPACE = st.sampled_from(["", " ", "\n", "\t ", "\r\n  "])


def texts(value: str, escaped: bool) -> Written:
    return Written(json.dumps(value, ensure_ascii=escaped), json.dumps(value, ensure_ascii=False))


def lists(items: list[Written], space: str) -> Written:
    return Written(
        f"[{space}" + f"{space},{space}".join(i.loose for i in items) + f"{space}]",
        "[" + ",".join(i.clean for i in items) + "]",
    )


def objects(items: list[tuple[Written, Written]], space: str) -> Written:
    return Written(
        f"{{{space}"
        + f"{space},{space}".join(f"{k.loose}{space}:{space}{v.loose}" for k, v in items)
        + f"{space}}}",
        "{" + ",".join(f"{k.clean}:{v.clean}" for k, v in items) + "}",
    )


NAMES = st.builds(texts, TEXT, st.booleans())
LEAVES = (
    NUMBERS.map(lambda n: Written(n, n)) | NAMES | st.sampled_from(["true", "null"]).map(lambda w: Written(w, w))
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(lists, st.lists(inner), SPACE)
        | st.builds(objects, st.lists(st.tuples(NAMES, inner), unique_by=lambda kv: kv[0].clean), SPACE)
    ),
    max_leaves=12,
)
PAYLOADS = st.builds(objects, st.lists(st.tuples(NAMES, VALUES), unique_by=lambda kv: kv[0].clean), SPACE)


@given(PAYLOADS)
def test_every_value_passes_through_to_the_last_digit(payload: Written) -> None:
    assert tidy(payload.loose.encode()) == payload.clean.encode()
    assert edit(payload.loose.encode(), {}) == payload.clean.encode()


@given(PAYLOADS)
def test_what_is_tidy_keeps_its_very_bytes(payload: Written) -> None:
    clean = payload.clean.encode()
    assert tidy(clean) == clean
    assert edit(clean, {}) == clean


@given(PAYLOADS)
def test_what_it_takes_for_tidy_is(payload: Written) -> None:
    loose = payload.loose.encode()
    if is_tidy(loose):
        assert loose == payload.clean.encode()


@given(PAYLOADS, st.floats(1e9, 2e9))
def test_a_stamped_payload_is_tidy(payload: Written, now: float) -> None:
    stamped = stamp_enqueued(payload.loose.encode(), now)
    assert tidy(stamped) == stamped
    assert decode(stamped)["enqueued_at"] == now


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (rb'{"a":"\u00e9\ud83d\ude00"}', '{"a":"é😀"}'.encode()),
        (rb'{"a":"\u000a\u0009\u0008\u000c\u000d"}', rb'{"a":"\n\t\b\f\r"}'),
        (rb'{"a":"\u001F\u0022\u005c\/\u002f\u007f"}', b'{"a":"\\u001f\\"\\\\//\x7f"}'),
        (rb'{"a":"\\u00e9 \\/ \\\\"}', rb'{"a":"\\u00e9 \\/ \\\\"}'),
        (b'{"a b" : " , : " , "c":[ 1 , 2 ] }', b'{"a b":" , : ","c":[1,2]}'),
        (b'{"n":1.0e+20 ,"m":-0.0,"i":99999999999999999999}', b'{"n":1.0e+20,"m":-0.0,"i":99999999999999999999}'),
        (b"\n{}\n", b"{}"),
        (b'{"a":1, "a":2}', b'{"a":2}'),
    ],
)  # fmt: skip
def test_forms_by_hand(raw: bytes, clean: bytes) -> None:
    assert edit(raw, {}) == clean


@pytest.mark.parametrize("raw", [b'{"a":1 2}', b'{"a":tr ue}', b'{"a":"\\ud800"}', b'{"a": NaN}', b'{"a":1 } x'])
def test_spaces_that_are_taken_away_never_make_json_of_what_is_none(raw: bytes) -> None:
    with pytest.raises(Malformed):
        edit(raw, {"x": 1})


@given(st.dictionaries(TEXT, TEXT))
def test_what_we_write_ourselves_is_tidy(payload: dict[str, Any]) -> None:
    assert tidy(encode(payload)) == encode(payload)
