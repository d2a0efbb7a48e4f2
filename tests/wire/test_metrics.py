"""WIRE 9: what Sidekiq's Metrics page reads, of both families, read back as Ruby does it."""

from __future__ import annotations

import calendar
import time

import pytest

from sidelamb.store import Store
from sidelamb_handlers.metrics import BUCKETS_MS, Tally, hash_keys, histogram_keys, histograms
from tests.wire.kit import golden_dump

HOURS_8, DAYS_3 = 8 * 3600, 3 * 86_400
NAME = "app.jobs.Resize"


def at(text: str) -> int:
    return calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M"))


def write(link, tally: Tally, now: float) -> None:
    """As a heartbeat does."""
    link.run(Store().metrics(tally.amounts(), hash_keys(now), histograms(tally, now)))


def tallied(*attempts: tuple[float, bool]) -> Tally:
    tally = Tally()
    for ms, failed in attempts:
        tally.add(NAME, ms, failed=failed)
    return tally


@pytest.mark.parametrize(
    ("when", "names"),
    [
        ("2026-01-02 03:04", {"j|260102|3:04", "j|260102|3:0", "j|20260102|3:4"}),
        ("2026-11-23 13:58", {"j|261123|13:58", "j|261123|13:5", "j|20261123|13:58"}),
        ("2026-11-23 00:00", {"j|261123|0:00", "j|261123|0:0", "j|20261123|0:0"}),
    ],
)
def test_the_hashes_of_a_minute_have_these_names_and_live_so_long(when, names, link, db):
    write(link, tallied((5, False)), at(when))
    assert {key.decode() for key in db.keys("j|*")} == names
    ten_minutes = {name for name in names if len(name.split("|")[1]) == 6 and len(name.rpartition(":")[2]) == 1}
    for name in names:
        assert 0 <= (DAYS_3 if name in ten_minutes else HOURS_8) - db.ttl(name) <= 2


@pytest.mark.parametrize(
    ("when", "names"),
    [
        ("2026-01-02 03:04", {f"h|{NAME}-2-3:4", f"{NAME}-02-03:4"}),
        ("2026-11-23 13:50", {f"h|{NAME}-23-13:50", f"{NAME}-23-13:50"}),
    ],
)
def test_the_histograms_of_a_class_have_these_names_and_live_eight_hours(when, names, link, db):
    write(link, tallied((5, False)), at(when))
    assert {key.decode() for key in db.keys(f"*{NAME}-*") if not key.startswith(b"sidelamb:")} == names
    for name in names:
        assert 0 <= HOURS_8 - db.ttl(name) <= 2


def test_our_histogram_beside_them_lives_three_days_and_counts_beyond_sixteen_bits(link, db):
    write(link, tallied((5, False), (70, False)), at("2026-11-23 03:41"))
    (key,) = db.keys("sidelamb:histogram:*")
    assert key.decode() == f"sidelamb:histogram:{NAME}-23-3:40"
    assert 0 <= DAYS_3 - db.ttl(key) <= 2
    db.execute_command("BITFIELD", key, "SET", "u32", "#4", "65535")
    write(link, tallied((70, False), (70, False)), at("2026-11-23 03:49"))
    words = [word for n in range(5) for word in ("GET", "u32", f"#{n}")]
    assert db.execute_command("BITFIELD", key, *words) == [1, 0, 0, 0, 65_537]


def test_sidekiqs_histograms_are_byte_for_byte_what_they_were_without_ours(link, db):
    write(link, tallied((5, False), (5, False), (70, False), (400_000, False)), at("2026-11-23 03:50"))
    buckets = [0] * 26
    buckets[0], buckets[4], buckets[25] = 2, 1, 1
    wanted = b"".join(n.to_bytes(2) for n in buckets)
    assert [db.get(key) for key in histogram_keys(NAME, at("2026-11-23 03:50"))] == [wanted, wanted]


def test_a_key_of_another_type_in_the_place_of_ours_stops_nothing(link, db):
    db.lpush(f"sidelamb:histogram:{NAME}-23-3:50", "another program's")
    write(link, tallied((5, False)), at("2026-11-23 03:50"))
    assert db.get(f"h|{NAME}-23-3:50") == b"\0\1"
    assert db.hget("j|261123|3:50", f"{NAME}|p") == b"1"


def test_the_names_are_those_of_a_real_sidekiq_7():
    dump = golden_dump("11-stats-stopped")
    now = at("2026-11-23 03:50")
    assert "j|20261123|3:50" in dump
    assert "j|20261123|3:50" in hash_keys(now)
    assert histogram_keys("HardJob", now)[1] in dump


def test_the_fields_are_attempts_failures_and_milliseconds_of_those_that_did_not_fail(link, db):
    write(link, tallied((10.4, False), (20, False), (1000, True)), at("2026-11-23 03:50"))
    for key in ("j|261123|3:50", "j|261123|3:5", "j|20261123|3:50"):
        assert db.hgetall(key) == {
            f"{NAME}|p".encode(): b"3",
            f"{NAME}|f".encode(): b"1",
            f"{NAME}|ms".encode(): b"30",
        }


def test_a_minute_adds_up_and_the_ten_minutes_hold_ten_of_them(link, db):
    for minute in ("50", "50", "59"):
        write(link, tallied((7, False)), at(f"2026-11-23 03:{minute}"))
    assert db.hget("j|261123|3:50", f"{NAME}|p") == b"2"
    assert db.hget("j|261123|3:5", f"{NAME}|p") == b"3"


@pytest.mark.parametrize("form", ["h|{}-23-3:50", "{}-23-03:50"])
def test_the_histogram_read_as_ruby_reads_it_has_one_in_each_bucket(form, link, db):
    """Ruby: BITFIELD key GET u16 #0 … GET u16 #25; a bucket is the first whose limit is above the time."""
    times = [0, *BUCKETS_MS]
    write(link, tallied(*((float(ms), False) for ms in times)), at("2026-11-23 03:50"))
    words = [word for n in range(26) for word in ("GET", "u16", f"#{n}")]
    assert db.execute_command("BITFIELD", form.format(NAME), *words) == [1] * 26


def test_the_histogram_of_a_real_sidekiq_has_the_same_layout(link, db):
    """Golden: SlowJob ran three times for about 200 ms: three in bucket 6 or 7, as a 16-bit number."""
    raw = golden_dump("11-stats-stopped")["SlowJob-23-03:50"][2]
    for ms in (201.0, 200.0, 200.0):
        tally = Tally()
        tally.add("SlowJob", ms, failed=False)
        write(link, tally, at("2026-11-23 03:50"))
    ours = db.get("SlowJob-23-03:50")
    bucket = next(n for n, limit in enumerate(BUCKETS_MS) if limit > 200)
    assert int.from_bytes(ours[2 * bucket : 2 * bucket + 2]) == 3
    assert sum(int.from_bytes(raw[n : n + 2]) for n in range(0, len(raw), 2)) == 3


def test_a_full_bucket_stays_full(link, db):
    db.execute_command("BITFIELD", f"{NAME}-23-03:50", "SET", "u16", "#0", "65535")
    write(link, tallied((1, False)), at("2026-11-23 03:50"))
    assert db.execute_command("BITFIELD", f"{NAME}-23-03:50", "GET", "u16", "#0") == [65_535]
