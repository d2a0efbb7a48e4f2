"""Payload bytes: read, and changed without touching what is not ours."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidelamb import Malformed
from sidelamb.payload import decode, edit, encode, queue_of, stamp_enqueued

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(SCALARS | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=10)
ANY_INTEGERS = st.recursive(
    st.integers() | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=10
)
OBJECTS = st.dictionaries(TEXT, VALUES)


def loosely(value: Any, ascii_: bool, spaced: bool) -> bytes:
    """`value` as another program might write it."""
    separators = (" , ", "\t:\n") if spaced else (",", ":")
    return json.dumps(value, ensure_ascii=ascii_, separators=separators).encode()


class TestEdit:
    @given(OBJECTS, st.booleans(), st.booleans(), VALUES)
    def test_keeps_all_other_fields_in_the_form_that_sidekiq_writes(
        self, payload: dict[str, Any], ascii_: bool, spaced: bool, new: Any
    ) -> None:
        raw = loosely(payload, ascii_, spaced)
        edited = edit(raw, {"\x00new": new})
        assert orjson.loads(edited) == {**orjson.loads(raw), "\x00new": new}
        for name, value in payload.items():
            if name != "\x00new":
                assert loosely(name, False, False) + b":" + loosely(value, False, False) in edited

    @given(OBJECTS, st.data())
    def test_keeps_the_place_of_a_field_that_changes(self, payload: dict[str, Any], data: st.DataObject) -> None:
        if not payload:
            return
        name = data.draw(st.sampled_from(list(payload)))
        edited = edit(encode(payload), {name: "changed"})
        assert edited == encode({**payload, name: "changed"})

    @given(OBJECTS, st.data())
    def test_drops_a_field_and_nothing_else(self, payload: dict[str, Any], data: st.DataObject) -> None:
        dropped = set(data.draw(st.lists(st.sampled_from(list(payload))))) if payload else set()
        kept = {name: value for name, value in payload.items() if name not in dropped}
        assert edit(encode(payload), {}, drop=dropped) == encode(kept)

    @given(OBJECTS)
    def test_without_changes_gives_the_same_bytes(self, payload: dict[str, Any]) -> None:
        assert edit(encode(payload), {}) == encode(payload)

    def test_keeps_what_a_number_looks_like(self) -> None:
        raw = b'{"a":1.0e+20,"b":-0.0,"c":1180591620717411303424,"d":1E5,"e":1.00,"x":1}'
        assert edit(raw, {"x": 2}) == raw.replace(b'"x":1', b'"x":2')

    def test_of_a_field_that_stands_twice_leaves_the_last_value_in_the_first_place_as_ruby_does(self) -> None:
        raw = b'{"a":1,"b":2,"a":3}'
        assert edit(raw, {"a": 4}) == b'{"a":4,"b":2}'
        assert edit(raw, {}, drop=["a"]) == b'{"b":2}'
        assert edit(raw, {"b": 5}) == b'{"a":3,"b":5}'

    def test_finds_a_field_whose_name_is_escaped(self) -> None:
        assert edit(b'{"\\u0061":1}', {"a": 2}) == b'{"a":2}'

    @pytest.mark.parametrize(
        "raw",
        [b"", b"{", b"[]", b"null", b"5", b'"x"', b'{"a"}', b'{"a":}', b'{"a":1,}', b'{"a" 1}', b"{a:1}", b"\xff",
         b'{"a":1 "b":2}', b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"],
    )  # fmt: skip
    def test_refuses_what_is_no_object(self, raw: bytes) -> None:
        with pytest.raises(Malformed):
            edit(raw, {"x": 1})

    @pytest.mark.parametrize("value", [object(), {1}, 2**64, "\ud800", b"x"])
    def test_refuses_a_new_value_that_is_no_json(self, value: Any) -> None:
        with pytest.raises(TypeError):
            edit(b"{}", {"x": value})


class TestDecode:
    @given(st.dictionaries(TEXT, ANY_INTEGERS))
    def test_keeps_integers_of_any_size(self, payload: dict[str, Any]) -> None:
        assert repr(decode(json.dumps(payload).encode())) == repr(payload)

    @given(OBJECTS)
    def test_reads_what_encode_wrote(self, payload: dict[str, Any]) -> None:
        assert repr(decode(encode(payload))) == repr(payload)

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "nan"])
    @pytest.mark.parametrize("big", ["", ',"b":1180591620717411303424'])
    def test_refuses_numbers_that_json_does_not_have(self, number: str, big: str) -> None:
        with pytest.raises(Malformed):
            decode(f'{{"a":{number}{big}}}'.encode())

    @pytest.mark.parametrize(
        "raw", [b"", b"{", b"[1]", b"null", b"1180591620717411303424", b"\xff", b'{"a":1}x', b'{"a":"\\ud800"}']
    )
    def test_refuses_what_is_no_object(self, raw: bytes) -> None:
        with pytest.raises(Malformed):
            decode(raw)

    @pytest.mark.parametrize("filler", [b"", b"1180591620717411303424,"])
    def test_refuses_what_is_nested_too_deeply(self, filler: bytes) -> None:
        with pytest.raises(Malformed):
            decode(b'{"a":[' + filler + b"[" * 50_000 + b"]" * 50_000 + b"]}")

    def test_takes_the_last_of_a_field_that_stands_twice(self) -> None:
        assert decode(b'{"a":1,"a":2}') == {"a": 2}
        assert decode(b'{"a":1180591620717411303424,"a":2}') == {"a": 2}


class TestStampEnqueued:
    @given(OBJECTS, st.floats(1e9, 2e9))
    def test_sets_the_time_drops_the_schedule_and_keeps_the_rest(
        self, payload: dict[str, Any], now: float
    ) -> None:
        stamped = decode(stamp_enqueued(encode(payload), now))
        expected = {name: value for name, value in payload.items() if name != "at"}
        assert repr(sorted(stamped.items())) == repr(sorted({**expected, "enqueued_at": now}.items()))

    def test_renews_a_time_in_its_place(self) -> None:
        raw = b'{"a":1,"enqueued_at":1.5,"at":5,"b":2}'
        assert stamp_enqueued(raw, 2.5) == b'{"a":1,"enqueued_at":2.5,"b":2}'

    def test_is_not_misled_by_an_argument_that_looks_like_the_field(self) -> None:
        raw = b'{"args":["\\"at\\"",{"at":1,"enqueued_at":2}]}'
        assert stamp_enqueued(raw, 2.5) == raw[:-1] + b',"enqueued_at":2.5}'

    @pytest.mark.parametrize("raw", [b"{}", b"{ }", b' {"a":1} ', b'{"a":1}\n'])
    def test_copes_with_any_form_of_object(self, raw: bytes) -> None:
        assert decode(stamp_enqueued(raw, 2.5)) == {**decode(raw), "enqueued_at": 2.5}

    @pytest.mark.parametrize("raw", [b"", b"}", b"[1234567}", b'"at"'])
    def test_of_what_is_no_object_stays_malformed(self, raw: bytes) -> None:
        with pytest.raises(Malformed):
            decode(stamp_enqueued(raw, 2.5))


@pytest.mark.parametrize(
    ("payload", "queue"),
    [({"queue": "low"}, "low"), ({}, "default"), ({"queue": ""}, "default"), ({"queue": None}, "default"),
     ({"queue": 5}, "default")],
)  # fmt: skip
def test_queue_of_falls_back_to_the_default(payload: dict[str, Any], queue: str) -> None:
    assert queue_of(payload) == queue
