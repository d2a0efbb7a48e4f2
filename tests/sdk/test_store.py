"""The transitions, one by one, on a real Redis."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb.errors import RedisRefused
from sidelamb.link import Link
from sidelamb.scripts import load
from sidelamb.store import Claim, Held, Look, Move, Reserved, Settled, Store, keep, to_dead, to_retry, to_schedule

if TYPE_CHECKING:
    import redis

NOW = 1_795_405_727.5
STORE = Store()


@pytest.fixture
def link(redis_url: str) -> Any:
    link = Link(redis_url)
    yield link
    link.close()


def job(n: int) -> bytes:
    return b'{"jid":"%d"}' % n


def push(link: Link, count: int, queue: str = "default", start: int = 0) -> list[bytes]:
    jobs = [job(n) for n in range(start, start + count)]
    if jobs:
        link.run(STORE.enqueue([(queue, raw) for raw in jobs]))
    return jobs


def reserve(link: Link, *ids: str, queues: tuple[str, ...] = ("default",), **changes: Any) -> Reserved:
    options: dict[str, Any] = {
        "capsule": "c",
        "poller": "p",
        "expires": NOW + 30,
        "cap": 100,
        "most_jobs": 10,
        "most_bytes": 100_000,
    }
    return link.run(STORE.reserve(ids, queues, **{**options, **changes}))


def claimed(link: Link, lease: str = "c:1", request: str = "r1", deadline: float = NOW + 90) -> None:
    assert link.run(STORE.claim(lease, request_id=request, now=NOW, deadline=deadline))


def contents(db: redis.Redis) -> dict[bytes, Any]:
    """Everything in Redis, comparable."""
    out: dict[bytes, Any] = {}
    for key in db.keys("*"):
        match db.type(key):
            case b"list":
                out[key] = db.lrange(key, 0, -1)
            case b"zset":
                out[key] = db.zrange(key, 0, -1, withscores=True)
            case b"set":
                out[key] = db.smembers(key)
            case b"hash":
                out[key] = db.hgetall(key)
            case _:
                out[key] = db.get(key)
    return out


class TestEnqueue:
    def test_the_first_pushed_is_the_next_to_run_and_its_queue_is_known(self, link, db):
        push(link, 3)
        assert db.lrange("queue:default", 0, -1) == [job(2), job(1), job(0)]
        assert db.smembers("queues") == {b"default"}

    def test_jobs_of_several_queues_go_in_one_call(self, link, db):
        assert link.run(STORE.enqueue([("a", job(1)), ("b", job(2)), ("a", job(3))])) == 3
        assert db.lrange("queue:a", 0, -1) == [job(3), job(1)]
        assert db.smembers("queues") == {b"a", b"b"}

    def test_a_thousand_jobs_go_in_one_call(self, link, db):
        push(link, 1_000)
        assert db.llen("queue:default") == 1_000

    def test_a_namespace_stands_before_every_key(self, link, db):
        link.run(Store("{app}").enqueue([("a", job(1))]))
        assert set(db.keys("*")) == {b"{app}:queues", b"{app}:queue:a"}

    def test_a_job_is_scheduled_at_its_time(self, link, db):
        link.run(STORE.schedule([(NOW + 0.25, job(1)), (NOW, job(2))]))
        assert db.zrange("schedule", 0, -1, withscores=True) == [(job(2), NOW), (job(1), NOW + 0.25)]

    @pytest.mark.parametrize("bad", ["nan", "inf", "-inf", "soon"])
    def test_a_time_that_is_no_finite_number_schedules_nothing(self, link, db, bad):
        with pytest.raises(Exception, match="finite"):
            link.run(STORE.schedule([(NOW, job(1)), (bad, job(2))]))  # type: ignore[list-item]
        assert not db.keys("*")


class TestReserve:
    def test_fewer_jobs_than_slots_are_spread_one_a_lease(self, link):
        push(link, 2)
        reserved = reserve(link, "c:1", "c:2", "c:3")
        assert [list(lease.jobs.values()) for lease in reserved.leases] == [[job(0)], [job(1)]]
        assert (reserved.waiting, reserved.in_use) == (0, 2)

    def test_more_jobs_than_slots_are_packed_evenly(self, link):
        jobs = push(link, 10)
        reserved = reserve(link, "c:1", "c:2", "c:3")
        assert [list(lease.jobs.values()) for lease in reserved.leases] == [jobs[:4], jobs[4:8], jobs[8:]]

    def test_a_pack_has_at_most_so_many_jobs_and_the_rest_waits_in_order(self, link, db):
        jobs = push(link, 10)
        reserved = reserve(link, "c:1", "c:2", most_jobs=3)
        assert [len(lease.jobs) for lease in reserved.leases] == [3, 3]
        assert reserved.waiting == 4
        assert db.lrange("queue:default", 0, -1) == jobs[:5:-1]

    def test_a_pack_has_at_most_so_many_bytes_and_the_rest_waits_in_order(self, link, db):
        jobs = push(link, 6)
        one = len(jobs[0]) + 5
        reserved = reserve(link, "c:1", most_bytes=2 * one, extra_bytes=5)
        assert list(reserved.leases[0].jobs.values()) == jobs[:2]
        assert db.lrange("queue:default", 0, -1) == jobs[:1:-1]

    def test_a_job_over_the_limit_of_bytes_gets_a_lease_of_its_own(self, link):
        huge = b'{"jid":"' + b"x" * 500 + b'"}'
        link.run(STORE.enqueue([("default", job(0)), ("default", huge), ("default", job(1))]))
        reserved = reserve(link, "c:1", most_bytes=100)
        assert list(reserved.leases[0].jobs.values()) == [job(0)]
        reserved = reserve(link, "c:2", most_bytes=100)
        assert list(reserved.leases[0].jobs.values()) == [huge]

    def test_jobs_under_suspicion_come_first_each_alone(self, link, db):
        push(link, 4)
        db.lpush("sidelamb:alone:default", job(100), job(101))
        reserved = reserve(link, "c:1", "c:2", "c:3")
        assert [lease.jobs for lease in reserved.leases[:2]] == [
            {"0!default": job(100)},
            {"0!default": job(101)},
        ]
        assert len(reserved.leases[2].jobs) == 4

    def test_queues_are_looked_at_in_the_order_given(self, link):
        low, high = push(link, 2, "low"), push(link, 2, "high", 10)
        reserved = reserve(link, "c:1", queues=("high", "low"))
        assert list(reserved.leases[0].jobs.items()) == [
            ("0:high", high[0]),
            ("1:high", high[1]),
            ("2:low", low[0]),
            ("3:low", low[1]),
        ]

    def test_a_paused_queue_is_left_alone_and_counted_apart(self, link, db):
        push(link, 2, "a"), push(link, 3, "b")
        db.sadd("paused", "b")
        reserved = reserve(link, "c:1", "c:2", "c:3", "c:4", queues=("a", "b"))
        assert [list(lease.jobs) for lease in reserved.leases] == [["0:a"], ["0:a"]]
        assert (reserved.waiting, reserved.held_back) == (0, ("b",))

    def test_the_capsule_never_has_more_leases_than_its_cap(self, link):
        push(link, 10)
        assert len(reserve(link, "c:1", "c:2", cap=3, most_jobs=1).leases) == 2
        again = reserve(link, "c:3", "c:4", cap=3, most_jobs=1)
        assert ([x.lease for x in again.leases], again.waiting, again.in_use) == (["c:3"], 7, 3)
        assert not reserve(link, "c:5", cap=3).leases

    def test_leases_of_another_capsule_do_not_count(self, link):
        push(link, 2)
        reserve(link, "c:1", cap=1, most_jobs=1)
        assert len(reserve(link, "d:1", capsule="d", cap=1).leases) == 1

    def test_a_repeated_call_returns_what_the_leases_hold_and_takes_nothing(self, link, db):
        push(link, 10)
        first = reserve(link, "c:1", "c:2", most_jobs=2)
        before = contents(db)
        again = reserve(link, "c:1", "c:2", most_jobs=2)
        assert again.leases == first.leases
        assert contents(db) == before

    def test_three_thousand_jobs_fit_into_a_lease(self, link, db):
        push(link, 1000), push(link, 1000, start=1000), push(link, 1000, start=2000)
        reserved = reserve(link, "c:1", most_jobs=5000)
        assert list(reserved.leases[0].jobs.values()) == [job(n) for n in range(3000)]
        assert db.hlen("sidelamb:lease:c:1") == 3003

    def test_an_unclaimed_lease_expires_at_its_time(self, link, db):
        push(link, 1)
        reserve(link, "c:1", expires=NOW + 30)
        assert db.zscore("sidelamb:leases", "c:1") == NOW + 30


class TestClaim:
    def test_a_lease_is_claimed_once_and_then_expires_at_its_deadline(self, link, db):
        push(link, 1)
        reserve(link, "c:1")
        assert link.run(STORE.claim("c:1", request_id="r1", now=NOW, deadline=NOW + 90)) is Claim.YES
        assert link.run(STORE.claim("c:1", request_id="r2", now=NOW, deadline=NOW + 99)) is Claim.NO
        assert db.zscore("sidelamb:leases", "c:1") == NOW + 90
        assert link.run(STORE.lease("c:1")).request_id == "r1"

    def test_the_same_request_may_claim_again(self, link):
        push(link, 1)
        reserve(link, "c:1")
        claimed(link)
        claimed(link)

    def test_a_lease_that_is_gone_cannot_be_claimed(self, link, db):
        assert link.run(STORE.claim("c:1", request_id="r1", now=NOW, deadline=NOW + 90)) is Claim.NO
        assert not db.keys("*")


class TestSettle:
    def settle(self, link: Link, *done: str, moves: tuple[Move, ...] = (), request: str = "r1"):
        return link.run(STORE.settle("c:1", "c", now=NOW, done=done, moves=moves, request_id=request))

    @pytest.fixture(autouse=True)
    def three_jobs_claimed(self, link):
        push(link, 3)
        reserve(link, "c:1")
        claimed(link)

    def test_the_last_settled_job_closes_the_lease(self, link, db):
        assert self.settle(link, "0:default", "1:default") == Settled(2, 1)
        assert self.settle(link, "2:default") == Settled(1, 0)
        assert set(db.keys("*")) == {
            b"queues",
            b"stat:processed",
            b"stat:processed:2026-11-23",
        }
        assert db.get("stat:processed") == b"3"

    def test_a_second_settle_changes_nothing(self, link, db):
        self.settle(link, "0:default", moves=(to_retry("1:default", NOW + 15, b"new"),))
        before = contents(db)
        assert self.settle(link, "0:default", moves=(to_retry("1:default", NOW + 15, b"other"),)) == Settled(0, 1)
        assert contents(db) == before

    def test_each_outcome_goes_where_it_belongs(self, link, db):
        moves = (
            to_retry("0:default", NOW + 15, b"r"),
            to_dead("1:default", NOW, b"d"),
            to_schedule("2:default", NOW + 9),
        )
        assert self.settle(link, moves=moves) == Settled(3, 0)
        assert db.zrange("retry", 0, -1, withscores=True) == [(b"r", NOW + 15)]
        assert db.zrange("dead", 0, -1, withscores=True) == [(b"d", NOW)]
        assert db.zrange("schedule", 0, -1, withscores=True) == [(job(2), NOW + 9)]
        assert (db.get("stat:processed"), db.get("stat:failed")) == (b"2", b"2")

    def test_a_day_counter_lives_five_years(self, link, db):
        self.settle(link, moves=(to_dead("0:default", NOW, b"d"),))
        assert 0 < db.ttl("stat:failed:2026-11-23") <= 5 * 365 * 86_400
        assert db.ttl("stat:failed") == -1

    def test_returned_jobs_go_to_the_head_of_their_queue_uncounted(self, link, db):
        push(link, 1, start=7)
        self.settle(link, moves=(keep("1:default"), keep("0:default")))
        assert db.lrange("queue:default", 0, -1) == [job(7), job(1), job(0)]
        assert db.get("stat:processed") is None

    def test_a_returned_job_may_be_put_under_suspicion(self, link, db):
        self.settle(link, moves=(keep("0:default", alone=True),))
        assert db.lrange("sidelamb:alone:default", 0, -1) == [job(0)]

    def test_only_the_request_that_holds_the_claim_settles(self, link, db):
        before = contents(db)
        assert self.settle(link, "0:default", request="r2") == Settled(-1, 0)
        assert contents(db) == before

    def test_the_dead_set_forgets_what_is_old_and_what_is_too_many(self, link, db):
        db.zadd("dead", {b"old": NOW - 181 * 86_400, b"kept": NOW - 179 * 86_400})
        db.zadd("dead", {b"n%d" % n: NOW - 1000 + n / 100 for n in range(10_000)})
        self.settle(link, moves=(to_dead("0:default", NOW, b"d"),))
        assert db.zcard("dead") == 10_000
        assert db.zscore("dead", b"old") is None
        assert db.zscore("dead", b"kept") is None
        assert db.zscore("dead", b"d") == NOW

    def test_settling_a_lease_that_is_gone_changes_nothing(self, link, db):
        db.delete("sidelamb:lease:c:1")
        assert self.settle(link, "0:default") == Settled(0, 0)
        assert db.get("stat:processed") is None


class TestFinish:
    def finish(self, link: Link, jobs: int = 3, request: str = "r1"):
        return link.run(STORE.finish("c:1", "c", now=NOW, jobs=jobs, request_id=request))

    @pytest.fixture(autouse=True)
    def three_jobs_claimed(self, link):
        push(link, 3)
        reserve(link, "c:1")
        claimed(link)

    def test_it_closes_a_lease_whose_jobs_all_succeeded(self, link, db):
        assert self.finish(link)
        assert set(db.keys("*")) == {b"queues", b"stat:processed", b"stat:processed:2026-11-23"}
        assert (db.get("stat:processed"), db.get("stat:processed:2026-11-23")) == (b"3", b"3")
        assert 0 < db.ttl("stat:processed:2026-11-23") <= 5 * 365 * 86_400

    def test_a_second_time_it_changes_nothing(self, link, db):
        self.finish(link)
        before = contents(db)
        assert not self.finish(link)
        assert contents(db) == before

    @pytest.mark.parametrize(("jobs", "request_id"), [(2, "r1"), (4, "r1"), (3, "r2"), (0, "r1")])
    def test_another_number_of_jobs_or_another_request_changes_nothing(self, link, db, jobs, request_id):
        before = contents(db)
        assert not self.finish(link, jobs, request_id)
        assert contents(db) == before

    def test_a_lease_that_nobody_has_claimed_is_left_alone(self, link, db):
        push(link, 1, start=7)
        reserve(link, "c:2")
        before = contents(db)
        assert not link.run(STORE.finish("c:2", "c", now=NOW, jobs=1, request_id="r1"))
        assert contents(db) == before

    def test_what_was_settled_before_is_not_counted_again(self, link, db):
        link.run(STORE.settle("c:1", "c", now=NOW, done=["1:default"], request_id="r1"))
        assert not self.finish(link)
        assert self.finish(link, 2)
        assert db.get("stat:processed") == b"3"


class TestRelease:
    def test_jobs_go_back_to_the_head_in_their_old_order(self, link, db):
        jobs = push(link, 6)
        leases = reserve(link, "c:1", "c:2", "c:3").leases
        push(link, 1, start=9)
        assert link.run(STORE.release("c", leases)) == [2, 2, 2]
        assert db.lrange("queue:default", 0, -1) == [job(9), *reversed(jobs)]
        assert set(db.keys("*")) == {b"queues", b"queue:default"}

    def test_a_claimed_lease_is_left_alone(self, link):
        push(link, 2)
        leases = reserve(link, "c:1", "c:2").leases
        claimed(link)
        assert link.run(STORE.release("c", leases)) == [0, 1]
        assert link.run(STORE.lease("c:1")).jobs

    def test_a_job_under_suspicion_stays_under_it(self, link, db):
        db.lpush("sidelamb:alone:default", job(1))
        link.run(STORE.release("c", reserve(link, "c:1").leases))
        assert db.lrange("sidelamb:alone:default", 0, -1) == [job(1)]
        assert not db.exists("queue:default")

    def test_a_second_release_changes_nothing(self, link, db):
        push(link, 2)
        leases = reserve(link, "c:1").leases
        link.run(STORE.release("c", leases))
        before = contents(db)
        assert link.run(STORE.release("c", leases)) == [0]
        assert contents(db) == before

    def test_a_released_lease_cannot_be_claimed(self, link):
        push(link, 1)
        link.run(STORE.release("c", reserve(link, "c:1").leases))
        assert link.run(STORE.claim("c:1", request_id="r", now=NOW, deadline=NOW + 1)) is Claim.NO


class TestNarrow:
    def narrow(self, link: Link, held: Held, request: str = "r1", first: int = 3) -> list[Held]:
        ids = ("c:a", "c:b")
        return link.run(STORE.narrow(held, ids, first=first, request_id=request, poller="p", expires=NOW + 30))

    def test_the_jobs_of_a_dead_invocation_are_halved_into_unclaimed_leases(self, link, db):
        jobs = push(link, 5)
        reserve(link, "c:1")
        claimed(link)
        a, b = self.narrow(link, link.run(STORE.lease("c:1")))
        assert (list(a.jobs.values()), list(b.jobs.values())) == (jobs[:3], jobs[3:])
        assert db.smembers("sidelamb:slots:c") == {b"c:a", b"c:b"}
        assert not link.run(STORE.lease("c:a")).claim
        claimed(link, "c:a")

    def test_a_second_narrow_returns_the_same_and_changes_nothing(self, link, db):
        push(link, 5)
        reserve(link, "c:1")
        claimed(link)
        held = link.run(STORE.lease("c:1"))
        first, before = self.narrow(link, held), contents(db)
        assert self.narrow(link, held) == first
        assert contents(db) == before

    @pytest.mark.parametrize("how", ["settled meanwhile", "another request", "gone"])
    def test_a_lease_that_is_not_as_it_was_read_is_left_alone(self, link, db, how):
        push(link, 3)
        reserve(link, "c:1")
        claimed(link)
        held = link.run(STORE.lease("c:1"))
        if how == "settled meanwhile":
            link.run(STORE.settle("c:1", "c", now=NOW, done=["0:default"], request_id="r1"))
        elif how == "gone":
            db.delete("sidelamb:lease:c:1")
        before = contents(db)
        assert self.narrow(link, held, "r2" if how == "another request" else "r1") == []
        assert contents(db) == before


class TestReap:
    def reap(self, link: Link, now: float, lease: str = "c:1") -> int:
        held = link.run(STORE.lease(lease))
        return link.run(STORE.reap(held, "c", now=now, moves=[keep(f) for f in reversed(held.jobs)])).moved

    def test_an_unclaimed_lease_goes_back_after_its_start_time(self, link, db):
        jobs = push(link, 3)
        reserve(link, "c:1")
        assert self.reap(link, NOW + 29) == -1
        assert self.reap(link, NOW + 30) == 3
        assert db.lrange("queue:default", 0, -1) == jobs[::-1]
        assert set(db.keys("*")) == {b"queues", b"queue:default"}

    def test_a_claimed_lease_is_safe_until_its_deadline(self, link):
        push(link, 1)
        reserve(link, "c:1")
        claimed(link, deadline=NOW + 90)
        assert self.reap(link, NOW + 60) == -1
        assert self.reap(link, NOW + 90) == 1

    def test_a_lease_that_was_claimed_since_it_was_read_is_left_alone(self, link):
        push(link, 1)
        reserve(link, "c:1")
        held = link.run(STORE.lease("c:1"))
        claimed(link, deadline=NOW + 1)
        assert link.run(STORE.reap(held, "c", now=NOW + 31, moves=[keep("0:default")])).moved == -1

    def test_a_lease_without_a_hash_is_swept_away(self, link, db):
        push(link, 1)
        reserve(link, "c:1")
        db.delete("sidelamb:lease:c:1")
        assert self.reap(link, NOW + 31) == 0
        assert set(db.keys("*")) == {b"queues"}

    def test_expired_leases_are_read_oldest_first(self, link):
        push(link, 3)
        for n, expires in ((1, 20), (2, 10), (3, 90)):
            reserve(link, f"c:{n}", most_jobs=1, expires=NOW + expires)
        assert link.run(STORE.expired(NOW + 30)) == ["c:2", "c:1"]


class TestPromote:
    def test_a_due_entry_moves_to_its_queue_with_its_new_bytes(self, link, db):
        db.zadd("retry", {b"old": NOW - 1, b"later": NOW + 1})
        assert link.run(STORE.due("retry", NOW)) == [b"old"]
        assert link.run(STORE.promote("retry", NOW, [(b"old", b"new", "mail")])) == (1, 0)
        assert db.lrange("queue:mail", 0, -1) == [b"new"]
        assert db.smembers("queues") == {b"mail"}
        assert db.zrange("retry", 0, -1) == [b"later"]

    def test_an_entry_that_cannot_be_read_goes_to_dead(self, link, db):
        db.zadd("schedule", {b"junk": NOW - 1})
        assert link.run(STORE.promote("schedule", NOW, [(b"junk", b"junk", None)])) == (0, 1)
        assert db.zrange("dead", 0, -1, withscores=True) == [(b"junk", NOW)]

    def test_two_passes_at_once_move_an_entry_once(self, link, db):
        db.zadd("schedule", {b"x": NOW - 1})
        call = STORE.promote("schedule", NOW, [(b"x", b"y", "a")])
        assert (link.run(call), link.run(call)) == ((1, 0), (0, 0))
        assert db.llen("queue:a") == 1

    def test_an_entry_that_was_put_off_meanwhile_stays(self, link, db):
        db.zadd("schedule", {b"x": NOW + 60})
        assert link.run(STORE.promote("schedule", NOW, [(b"x", b"y", "a")])) == (0, 0)
        assert db.zcard("schedule") == 1

    def test_an_entry_whose_queue_is_no_list_stays_and_stops_nobody(self, link, db):
        db.set("queue:bad", "not a list")
        db.zadd("schedule", {b"x": NOW - 1, b"y": NOW - 1})
        entries = [(b"x", b"x2", "bad"), (b"y", b"y2", "good")]
        assert link.run(STORE.promote("schedule", NOW, entries)) == (1, 0)
        assert db.zrange("schedule", 0, -1) == [b"x"]

    def test_a_thousand_go_in_one_call_in_the_order_they_fell_due(self, link, db):
        db.zadd("schedule", {b"%04d" % n: NOW - 2000 + n for n in range(1500)})
        due = link.run(STORE.due("schedule", NOW))
        assert due == [b"%04d" % n for n in range(1000)]
        assert link.run(STORE.promote("schedule", NOW, [(raw, raw, "q") for raw in due])) == (1000, 0)
        assert db.lrange("queue:q", -2, -1) == [b"0001", b"0000"]


class TestLook:
    def test_an_empty_redis_has_nothing_due(self, link):
        assert link.run(STORE.look(["a"])) == Look(None, None, {"a": 0})

    def test_what_is_next_and_what_waits(self, link, db):
        push(link, 2, "a"), push(link, 1, "b")
        db.lpush("sidelamb:alone:a", job(9))
        db.sadd("paused", "b")
        db.zadd("schedule", {b"x": NOW + 5})
        db.zadd("retry", {b"y": NOW + 3})
        db.zadd("sidelamb:leases", {b"c:1": NOW + 7})
        assert link.run(STORE.look(["a", "b"])) == Look(NOW + 3, NOW + 7, {"a": 3})


class TestBeat:
    def test_a_heartbeat_is_written_and_signals_are_read_oldest_first(self, link, db):
        db.lpush("me-signals", "TSTP", "TERM")
        db.hset("me:work", "gone", "x")
        call = STORE.beat("me", 60, {"info": "{}", "busy": 1}, {"c:1": b"{}"})
        assert link.run(call) == ["TSTP", "TERM"]
        assert db.smembers("processes") == {b"me"}
        assert db.hgetall("me") == {b"info": b"{}", b"busy": b"1"}
        assert db.hgetall("me:work") == {b"c:1": b"{}"}
        assert 0 < db.ttl("me") <= 60
        assert 0 < db.ttl("me:work") <= 60


# --- every script: all or nothing ------------------------------------------------------------------------


def _lease_of(link: Link, count: int, *, claim: bool = True) -> Held:
    push(link, count)
    reserve(link, "c:1", most_jobs=count)
    if claim:
        claimed(link)
    return link.run(STORE.lease("c:1"))


def enqueue_call(link: Link):
    return STORE.enqueue([("a", job(1)), ("b", job(2))])


def schedule_call(link: Link):
    return STORE.schedule([(NOW, job(1))])


def reserve_call(link: Link):
    push(link, 5, "a"), push(link, 5, "b")
    link.command("LPUSH", "sidelamb:alone:a", job(77))
    return STORE.reserve(
        ["c:1", "c:2", "c:3"], ["a", "b"], capsule="c", poller="p", expires=NOW, cap=9, most_jobs=2, most_bytes=999
    )


def claim_call(link: Link):
    _lease_of(link, 2, claim=False)
    return STORE.claim("c:1", request_id="r1", now=NOW, deadline=NOW + 9)


def settle_call(link: Link):
    _lease_of(link, 6)
    moves = (
        to_retry("1:default", NOW, b"r"),
        to_dead("2:default", NOW, b"d"),
        to_schedule("3:default", NOW),
        keep("4:default"),
        keep("5:default", alone=True),
    )
    return STORE.settle("c:1", "c", now=NOW, done=["0:default"], moves=moves, request_id="r1")


def release_call(link: Link):
    push(link, 4)
    return STORE.release("c", reserve(link, "c:1", "c:2").leases)


def narrow_call(link: Link):
    return STORE.narrow(_lease_of(link, 4), ("c:a", "c:b"), first=2, request_id="r1", poller="p", expires=NOW)


def reap_call(link: Link):
    held = _lease_of(link, 3)
    moves = [to_retry("0:default", NOW, b"r"), keep("1:default", alone=True), to_dead("2:default", NOW, b"d")]
    return STORE.reap(held, "c", now=NOW + 90, moves=moves)


def promote_call(link: Link):
    for n in range(3):
        link.command("ZADD", "schedule", NOW, f"m{n}")
    return STORE.promote("schedule", NOW, [(b"m0", b"n0", "a"), (b"m1", b"", None), (b"m2", b"n2", "b")])


def beat_call(link: Link):
    return STORE.beat("me", 60, {"info": "{}"}, {"w": b"{}"})


CALLS = [
    enqueue_call,
    schedule_call,
    reserve_call,
    claim_call,
    settle_call,
    release_call,
    narrow_call,
    reap_call,
    promote_call,
]


def _names(contents_: dict[bytes, Any]) -> list[bytes]:
    """Every job payload in Redis, wherever it lies."""
    found = []
    for key, value in contents_.items():
        if isinstance(value, dict):
            found += [v for f, v in value.items() if f[:1].isdigit()]
        elif key not in {b"queues", b"sidelamb:leases"} and isinstance(value, list):
            found += [v[0] if isinstance(v, tuple) else v for v in value]
    return sorted(found)


@pytest.mark.parametrize("make", CALLS, ids=lambda make: make.__name__)
def test_with_any_key_of_the_wrong_type_a_script_does_all_or_nothing(link, db, make):
    for place in range(len(make(link).keys)):
        db.flushall()
        call = make(link)
        key = call.keys[place]
        db.delete(key)
        db.pfadd(key, "x") if db.type(key) == b"none" and b"stat:" not in key else None
        db.delete(key)
        if b"stat:" in key or b"leases" in key or b"schedule" in key or b"retry" in key or b"dead" in key:
            db.lpush(key, "wrong")
        else:
            db.zadd(key, {"wrong": 1})
        before = contents(db)
        try:
            link.run(call)
        except Exception:
            assert contents(db) == before, (make.__name__, key)
        else:
            after = contents(db)
            assert after[key] == before[key], (make.__name__, key)
            assert len(_names(after)) == len(_names(before)), (make.__name__, key)


@pytest.mark.parametrize("make", CALLS, ids=lambda make: make.__name__)
def test_with_a_full_redis_a_script_does_all_or_nothing(link, db, make):
    call = make(link)
    before = contents(db)
    db.config_set("maxmemory", 1)
    try:
        link.run(call)
        refused = False
    except RedisRefused as error:
        refused = "OOM" in str(error)
    finally:
        db.config_set("maxmemory", 0)
    after = contents(db)
    assert refused is (make in {enqueue_call, schedule_call}), "only new jobs are refused by a full Redis"
    if refused:
        assert after == before
    else:
        assert after != before


@pytest.mark.parametrize("make", CALLS[1:], ids=lambda make: make.__name__)
def test_a_repeatable_script_may_arrive_twice(link, db, make):
    call = make(link)
    link.run(call)
    before = contents(db)
    link.run(call)
    assert contents(db) == before
    assert call.repeatable


def test_every_script_declares_every_key_it_touches(link, db, redis_url):
    """Redis checks declared keys only in cluster mode; an ACL that allows just them checks here."""
    for make in [*CALLS, beat_call]:
        db.flushall()
        call = make(link)
        rules = [b"~" + key.replace(b"[", b"\\[") for key in call.keys]
        db.execute_command("ACL", "SETUSER", "narrow", "reset", "on", ">pw", "+@all", *rules)
        narrow = Link(redis_url.replace("://", "://narrow:pw@"))
        narrow.run(call)
        narrow.close()
    db.execute_command("ACL", "DELUSER", "narrow")


def test_a_server_that_forgot_a_script_is_given_its_text(link, db):
    push(link, 1)
    db.script_flush()
    push(link, 1, start=1)
    assert db.llen("queue:default") == 2


def test_the_round_trips_of_a_job_are_few(link, db):
    """Enqueue 1, reserve 1 for all slots, claim 1, settle 1."""
    db.config_resetstat()
    push(link, 100)
    reserve(link, *(f"c:{n}" for n in range(10)))
    for n in range(10):
        claimed(link, f"c:{n}", f"r{n}")
        fields = [f"{i}:default" for i in range(10)]
        link.run(STORE.settle(f"c:{n}", "c", now=NOW, done=fields, request_id=f"r{n}"))
    stats = db.info("commandstats")
    calls = sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval"))
    misses = 4  # each script's text is sent once
    assert calls == 1 + 1 + 10 + 10 + misses


def test_the_clock_is_never_redis_own():
    for name in ("enqueue", "reserve", "claim", "settle", "release", "narrow", "reap", "promote", "look"):
        assert b"'TIME'" not in load(name).text


def test_a_call_to_nowhere_says_so_within_the_time_limit():
    began = time.monotonic()
    with pytest.raises(Exception, match="cannot be reached"):
        Link("redis://127.0.0.1:1").run(STORE.look([]))
    assert time.monotonic() - began < 3
