from __future__ import annotations

import tempfile

from bench.features import FEATURES, markdown
from bench.meter import Clock
from bench.proxy import Proxy
from bench.redis_process import RedisProcess
from bench.ticking import TICK, ticking

TIME = {"median": 12.4, "interval": [10.0, 15.6]}
COUNTS = {"enqueue_trips": 0.0, "run_trips": 1.0, "enqueue_commands": 2.0, "run_commands": 7.25}
FOUND = {
    "machine": {"cpu": "a fast one"},
    "jobs": 500,
    "rounds": 11,
    "features": {name: {"enqueue_us": TIME, "run_us": TIME, **COUNTS} for name in FEATURES},
    "periodic": {
        "a pass, 100 declared": {"us": TIME, "trips": 3, "commands": 5},
        TICK: {"us": TIME, "trips": 1.0, "commands": 12.0},
    },
}


def test_the_page_says_what_is_added_and_names_each_features_page():
    page = markdown(FOUND)
    assert "- cpu: a fast one" in page
    assert "| a plain job | 12 (10 to 16) | 12 (10 to 16) | 0.00 | 1.00 | 2.00 | 7.25 |" in page
    row = "| [unique](how-to/unique.md) | +12 (10 to 16) | +12 (10 to 16) | +0.00 | +1.00 | +2.00 | +7.25 |"
    assert row in page
    assert "| [outbox](how-to/outbox.md) |" in page
    assert "| a pass, 100 declared | 12 (10 to 16) | 3.00 | 5.00 |" in page
    assert "| a tick, 100 in a pass | +12 (10 to 16) | +1.00 | +12.00 |" in page


def test_what_is_by_hand_stays_at_its_end():
    by_hand = "\n## Where they are not used\n\nNothing.\n"
    first = markdown(FOUND, f"old figures\n{by_hand}")
    assert first.endswith(by_hand)
    assert markdown(FOUND, first) == first


def test_a_pass_that_finds_nothing_due_costs_the_same_whatever_is_declared_and_a_tick_a_trip():
    with tempfile.TemporaryDirectory() as folder, RedisProcess(folder) as redis, Proxy(redis.port, 0.0) as proxy:
        found = ticking(redis, proxy, Clock(redis.pid), 2)
    counts = [
        (found[f"a pass, {n} declared"]["trips"], found[f"a pass, {n} declared"]["commands"]) for n in (0, 10)
    ]
    assert counts[0] == counts[1]
    assert 1 <= found[TICK]["trips"] < 1.2
    assert found[TICK]["us"]["median"] > 0
