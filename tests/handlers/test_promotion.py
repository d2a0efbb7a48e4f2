"""How an entry looks when its time has come."""

from __future__ import annotations

import pytest

from sidelamb.payload import decode, edit
from sidelamb_handlers.promotion import end_of, promotion, runs_of
from tests.handlers.kit import NOW, golden


def test_it_is_stamped_and_goes_to_the_queue_it_names():
    old, new, queue = promotion(b'{"class":"A","queue":"mail"}', NOW)
    assert (old, queue) == (b'{"class":"A","queue":"mail"}', "mail")
    assert new == b'{"class":"A","queue":"mail","enqueued_at":1795405727.5}'


def test_an_old_stamp_is_renewed_in_its_place_and_the_time_to_run_is_gone():
    raw = b'{"enqueued_at":1.5,"at":9,"class":"A","queue":"q"}'
    assert promotion(raw, NOW)[1] == b'{"enqueued_at":1795405727.5,"class":"A","queue":"q"}'


@pytest.mark.parametrize("raw", [b'{"class":"A"}', b'{"class":"A","queue":""}', b'{"class":"A","queue":5}'])
def test_one_that_names_no_queue_goes_to_the_default(raw):
    assert promotion(raw, NOW)[2] == "default"


@pytest.mark.parametrize(
    "raw", [b"", b"junk", b"[1]", b"null", b'{"a":1', b"\xff", b'{"a":NaN}', b'{"a":"\\ud800"}', b"[" * 5000]
)
def test_one_that_cannot_be_read_goes_to_dead_as_it_is(raw):
    assert promotion(raw, NOW) == (raw, raw, None)


def test_the_stamp_inside_of_arguments_is_left_alone():
    raw = b'{"args":[{"enqueued_at":1,"at":2}],"class":"A","queue":"q"}'
    assert promotion(raw, NOW)[1] == raw[:-1] + b',"enqueued_at":1795405727.5}'


@pytest.mark.parametrize("version", ["sidekiq-641", "sidekiq-7310"])
def test_every_field_that_sidekiq_wrote_is_kept(version):
    raws = list(golden(version))
    assert len(raws) > 20
    for raw in raws:
        before = decode(raw)
        _, new, queue = promotion(raw, NOW)
        after = decode(new)
        assert after.pop("enqueued_at") == NOW
        before.pop("enqueued_at", None)
        before.pop("at", None)
        assert after == before
        assert queue == before["queue"]
        assert [*after] == [*before]


def test_an_empty_object_stays_json():
    for raw in (b"{}", b"{ }"):
        assert decode(promotion(raw, NOW)[1])["enqueued_at"] == NOW


def test_an_empty_object_with_much_space_in_it_stays_json():
    assert decode(promotion(b"{          }", NOW)[1])["enqueued_at"] == NOW


@pytest.mark.parametrize(
    "raw",
    [
        b'{"enqueued_at":1.5,"class":"A","queue":"q"}',
        b'{"class":"A","queue":"q","enqueued_at":-1.5e3}',
        b'{"class":"A","enqueued_at":1795405727500,"queue":"q"}',
        b'{"class":"A","queue":"q","args":["\\"enqueued_at\\":1"],"enqueued_at":1.5}',
        b'{"class":"A","queue":"q","args":[{"enqueued_at":1}],"enqueued_at":1.5}',
        b'{"class":"A","queue":"q","args":["enqueued_at"],"enqueued_at":1.5}',
        b'{"enqueued_at":1,"class":"A","queue":"q","enqueued_at":1.5}',
        b'{"class":"A","queue":"q","enqueued_at":"2026-01-01T00:00:00Z"}',
        b'{"class":"A","queue":"q","enqueued_at":null}',
        b'{"class":"A","queue":"q","args":[{"enqueued_at":1}]}',
    ],
)
def test_an_old_stamp_is_replaced_as_by_editing_the_payload(raw):
    assert promotion(raw, NOW)[1] == edit(raw, {"enqueued_at": NOW})


USUAL = b'{"class":"A","queue":"q","args":["\\"x"],"created_at":1795405727.5}'
OTHER = b'{"class":"A","queue":"r"}'


def test_usual_entries_are_told_apart_by_their_queues_only():
    assert runs_of([USUAL]) == [(1, "q")]
    assert runs_of([USUAL, USUAL, OTHER, USUAL]) == [(2, "q"), (1, "r"), (1, "q")]


@pytest.mark.parametrize(
    "odd",
    [
        b"junk",
        b"1",
        b"{}",
        b"",
        b'{"class":"A"}',
        b'{"class":"A","queue":""}',
        b'{"class":"A","queue":5}',
        b'{"class":"A","queue":"q","enqueued_at":1.5}',
        b'{"class":"A","queue":"q","at":1.5}',
        b'{"class":"A","queue":"q","created_at":"yesterday"}',
        b'{"class": "A","queue":"q"}',
        b'{"class":"A","queue":"q"}\n',
        b'{"class":"\\u0041","queue":"q"}',
        b'{"class":"A","queue":"q"},{"class":"A","queue":"q"}',
        b'{"class":"A","queue":"q","args":["\xff"]}',
    ],
)
def test_one_that_is_not_the_usual_among_the_others_is_seen(odd):
    assert runs_of([USUAL, odd, USUAL]) is None


def test_pieces_that_are_json_only_together_are_no_entries():
    assert runs_of([b'{"queue":"q","args":[1', b"2]}", b'{"queue":"q"},{"queue":"q"}']) is None
    assert runs_of([b'{"queue":"q","a":"', b'","b":"', b'"}']) is None


@pytest.mark.parametrize("version", ["sidekiq-641", "sidekiq-7310"])
def test_a_usual_entry_is_the_same_whether_it_moves_alone_or_with_others(version):
    seen = 0
    for raw in golden(version):
        if runs := runs_of([raw]):
            seen += 1
            assert promotion(raw, NOW) == (raw, raw[:-1] + end_of(NOW), runs[0][1])
    assert seen or version == "sidekiq-641"
