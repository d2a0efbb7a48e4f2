"""One pass of the scheduler, on a real Redis."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb.errors import ConfigError, RedisError
from sidelamb.link import Link
from sidelamb.payload import decode
from sidelamb_handlers import scheduler as module
from sidelamb_handlers.event import Answer
from sidelamb_handlers.scheduler import Pass, Scheduler, from_environment
from tests.handlers.kit import STORE, Context, golden, payload, places, push, reserve, waiting

if TYPE_CHECKING:
    import redis

    from tests.handlers.proxy import Proxy


@pytest.fixture
def scheduler(link: Link) -> Scheduler:
    return Scheduler(link, STORE)


def make_pass(scheduler: Scheduler, seconds: float = 30.0) -> Pass:
    return scheduler.make_pass(time.time() + seconds)


def numbers(raws: list[bytes]) -> list[int]:
    return [decode(raw)["args"][0] for raw in raws]


def due(db: redis.Redis, key: str, count: int, *, start: int = 0, ago: float = 1_000.0, **fields: Any) -> None:
    at = time.time() - ago
    members = {payload("work", n, **fields): at + (n - start) / 1_000 for n in range(start, start + count)}
    db.zadd(key, members)


class TestPromotion:
    def test_what_is_due_goes_to_its_queue_the_earliest_first_to_run(self, scheduler, db):
        due(db, "schedule", 3)
        due(db, "retry", 2, start=10, queue="mail")
        assert make_pass(scheduler) == Pass(promoted=5)
        assert numbers(waiting(db)) == [0, 1, 2]
        assert numbers(waiting(db, "mail")) == [10, 11]
        assert db.smembers("queues") == {b"default", b"mail"}
        assert not db.exists("schedule", "retry")

    def test_what_is_not_due_stays(self, scheduler, db):
        db.zadd("schedule", {payload("work", 1): time.time() + 60})
        assert make_pass(scheduler) == Pass()
        assert db.zcard("schedule") == 1

    def test_a_promoted_job_is_stamped_with_the_time(self, scheduler, db):
        due(db, "schedule", 1)
        make_pass(scheduler)
        assert decode(waiting(db)[0])["enqueued_at"] == pytest.approx(time.time(), abs=2)

    def test_entries_that_cannot_be_read_go_to_dead_and_hold_up_nobody(self, scheduler, db):
        at = time.time()
        db.zadd("schedule", {b"junk": at - 5, b"[1]": at - 4, b'{"a":': at - 3})
        due(db, "schedule", 1)
        assert make_pass(scheduler) == Pass(promoted=1, to_dead=3)
        assert sorted(db.zrange("dead", 0, -1)) == [b"[1]", b"junk", b'{"a":']

    def test_thousands_are_promoted_in_one_pass_by_turns(self, scheduler, db):
        due(db, "retry", 2_500)
        due(db, "schedule", 1_500, start=10_000)
        assert make_pass(scheduler) == Pass(promoted=4_000)
        order = numbers(waiting(db))
        assert sorted(order) == [*range(2_500), *range(10_000, 11_500)]
        assert order[0] == 0
        assert order[1_000] == 10_000  # schedule has its turn before retry's second thousand
        assert order[2_000] == 1_000
        assert [n for n in order if n < 10_000] == list(range(2_500))

    def test_entries_that_cannot_move_are_passed_over_wherever_they_stand(self, scheduler, db):
        db.set("queue:taken", "no list")
        for n in (0, 999, 1_000, 2_500, 3_999):
            due(db, "schedule", 1, start=n, ago=2_000 - n / 1_000, queue="taken")
        due(db, "schedule", 4_000, start=10_000, ago=2_000)
        assert make_pass(scheduler) == Pass(promoted=4_000)
        assert numbers(waiting(db)) == list(range(10_000, 14_000))
        assert db.zcard("schedule") == 5
        assert make_pass(scheduler) == Pass()

    def test_two_passes_at_once_promote_each_entry_once(self, redis_url, db):
        due(db, "schedule", 3_000)
        done: list[Pass] = []

        def work() -> None:
            link = Link(redis_url)
            done.append(make_pass(Scheduler(link, STORE)))
            link.close()

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sum(p.promoted for p in done) == 3_000
        assert sorted(numbers(waiting(db))) == list(range(3_000))
        assert not db.exists("schedule", "dead")

    def test_an_entry_that_someone_put_off_meanwhile_stays(self, link, db):
        """Between reading what is due and moving it."""
        due(db, "schedule", 2)
        moved, stays = db.zrange("schedule", 0, -1)
        now = time.time()
        entries = [(raw, raw, "default") for raw in link.run(STORE.due("schedule", now))]
        db.zadd("schedule", {stays: now + 60})
        assert link.run(STORE.promote("schedule", now, entries)) == (1, 0)
        assert waiting(db) == [moved]

    @pytest.mark.parametrize(
        ("change", "moved"),
        [
            (lambda db: None, 3),
            (lambda db: db.zrem("schedule", b'{"n":1}'), 0),
            (lambda db: db.zadd("schedule", {b'{"n":0}': 5}), 0),
            (lambda db: db.zadd("schedule", {b'{"n":9}': 0}), 0),
            (lambda db: db.zadd("schedule", {b'{"n":2}': 11}), 0),
            (
                lambda db: (
                    db.delete("schedule"),
                    db.zadd("schedule", {b'{"n":0}': 1, b'\n{"n":1}': 2, b'{"n":2': 3}),
                ),
                0,
            ),
            (lambda db: db.set("queue:b", "no list"), 0),
        ],
        ids=["no", "gone", "put off", "before them", "not due", "other bytes", "no list"],
    )
    def test_the_front_moves_only_as_it_was_seen(self, link, db, change, moved):
        raws = [b'{"n":%d}' % n for n in range(3)]
        db.zadd("schedule", {raw: n for n, raw in enumerate(raws)})
        change(db)
        before = db.zrange("schedule", 0, -1)
        call = STORE.promote_front("schedule", 10.0, raws, [(1, "a"), (2, "b")], b',"t":1}')
        assert link.run(call) == moved
        if moved:
            assert waiting(db, "a") == [b'{"n":0,"t":1}']
            assert waiting(db, "b") == [b'{"n":1,"t":1}', b'{"n":2,"t":1}']
            assert db.smembers("queues") == {b"a", b"b"}
            assert link.run(call) == 0
        else:
            assert db.zrange("schedule", 0, -1) == before
            assert not db.exists("queue:a", "queues")

    def test_one_that_is_not_the_usual_among_many_changes_nothing_for_the_others(self, scheduler, db):
        due(db, "schedule", 1_200)
        odd = b'{"class": "work", "args": [5000], "jid": "odd"}'
        db.zadd("schedule", {odd: time.time() - 1})
        assert make_pass(scheduler) == Pass(promoted=1_201)
        assert sorted(numbers(waiting(db))) == [*range(1_200), 5_000]
        assert all("enqueued_at" in decode(raw) for raw in waiting(db))

    @pytest.mark.parametrize("version", ["sidekiq-641", "sidekiq-7310"])
    def test_a_ruby_payload_keeps_every_field(self, scheduler, db, version):
        raws = list(dict.fromkeys(golden(version)))
        at = time.time() - 10
        db.zadd("retry", dict.fromkeys(raws, at))
        assert make_pass(scheduler).promoted == len(raws)
        found = {}
        for key in db.keys("queue:*"):
            for raw in db.lrange(key, 0, -1):
                after = decode(raw)
                assert after.pop("enqueued_at") == pytest.approx(time.time(), abs=5)
                assert key == b"queue:" + after["queue"].encode()
                found[after["jid"], json.dumps(after)] = 1
        expected = {}
        for raw in raws:
            before = decode(raw)
            before.pop("enqueued_at", None)
            before.pop("at", None)
            expected[before["jid"], json.dumps(before)] = 1
        assert found == expected

    def test_an_entry_whose_queue_is_no_list_stays_and_holds_up_nobody(self, scheduler, db):
        db.set("queue:bad", "mine")
        due(db, "schedule", 1, queue="bad", ago=5_000)
        due(db, "schedule", 2, start=5)
        assert make_pass(scheduler) == Pass(promoted=2)
        assert numbers(db.zrange("schedule", 0, -1)) == [0]

    def test_a_thousand_that_cannot_move_hold_up_nobody(self, scheduler, db):
        db.set("queue:bad", "mine")
        due(db, "schedule", 1_000, queue="bad", ago=5_000)
        due(db, "schedule", 1, start=5_000)
        make_pass(scheduler)
        assert numbers(waiting(db)) == [5_000]

    def test_a_pass_whose_time_is_over_does_nothing(self, scheduler, db):
        due(db, "schedule", 1)
        assert make_pass(scheduler, -1) == Pass()
        assert db.zcard("schedule") == 1


class TestReaping:
    def lease(self, db: redis.Redis, link: Link, *raws: bytes, lease: str = "c:1", claim: str = "") -> None:
        push(db, *raws)
        reserve(link, lease, expires=time.time() + 30)
        if claim:
            assert link.run(STORE.claim(lease, request_id=claim, now=time.time(), deadline=time.time() + 60))

    def expire(self, db: redis.Redis, *leases: str) -> None:
        for n, lease in enumerate(leases):
            db.zadd("sidelamb:leases", {lease: time.time() - 100 + n / 1000}, xx=True)

    def test_a_lease_that_lives_is_left_alone(self, scheduler, db, link):
        self.lease(db, link, payload("work", 1), claim="r1")
        self.lease(db, link, payload("work", 2), lease="c:2")
        assert make_pass(scheduler) == Pass()
        assert set(places(db)) == {payload("work", 1), payload("work", 2)}

    def test_an_unclaimed_one_goes_back_to_the_head_uncharged(self, scheduler, db, link):
        raws = [payload("work", n) for n in range(3)]
        self.lease(db, link, *raws)
        push(db, payload("work", 9))
        self.expire(db, "c:1")
        assert make_pass(scheduler) == Pass(reaped=3, leases=1)
        assert waiting(db) == [*raws, payload("work", 9)]
        assert set(db.keys("*")) == {b"queues", b"queue:default"}

    def test_several_unclaimed_ones_go_back_in_their_old_order(self, scheduler, db, link):
        raws = [payload("work", n) for n in range(6)]
        for n in range(3):
            self.lease(db, link, *raws[2 * n : 2 * n + 2], lease=f"c:{n}")
        self.expire(db, "c:0", "c:1", "c:2")
        assert make_pass(scheduler) == Pass(reaped=6, leases=3)
        assert waiting(db) == raws

    def test_a_claimed_one_with_one_job_charges_it(self, scheduler, db, link):
        self.lease(db, link, payload("work", 1), claim="request-5")
        self.expire(db, "c:1")
        assert make_pass(scheduler) == Pass(reaped=1, leases=1)
        (raw,) = db.lrange("sidelamb:alone:default", 0, -1)
        after = decode(raw)
        assert (after["kills"], after["retry_count"], after["error_class"]) == (1, 0, "SandboxKilled")
        assert "request-5" in after["error_message"]
        assert (db.get("stat:processed"), db.get("stat:failed")) == (b"1", b"1")

    def test_its_second_kill_makes_it_wait(self, scheduler, db, link):
        self.lease(db, link, payload("work", 1, kills=1, retry_count=0, failed_at=1.5), claim="r")
        self.expire(db, "c:1")
        make_pass(scheduler)
        ((raw, at),) = db.zrange("retry", 0, -1, withscores=True)
        assert decode(raw)["kills"] == 2
        assert at > time.time() + 10

    def test_its_third_kill_dooms_it(self, scheduler, db, link):
        self.lease(db, link, payload("work", 1, kills=2, retry_count=1, failed_at=1.5), claim="r")
        self.expire(db, "c:1")
        make_pass(scheduler)
        (raw,) = db.lrange("sidelamb:alone:default", 0, -1)
        assert (decode(raw)["kills"], decode(raw)["doomed"]) == (3, True)

    def test_a_claimed_one_with_several_charges_nobody_and_has_each_served_alone(self, scheduler, db, link):
        raws = [payload("work", n) for n in range(3)]
        self.lease(db, link, *raws, claim="r1")
        self.expire(db, "c:1")
        assert make_pass(scheduler) == Pass(reaped=3, leases=1)
        assert db.lrange("sidelamb:alone:default", 0, -1)[::-1] == raws
        assert db.get("stat:processed") is None

    def test_hundreds_are_reaped_in_one_pass(self, scheduler, db, link):
        for n in range(250):
            self.lease(db, link, payload("work", n), lease=f"c:{n}")
        self.expire(db, *(f"c:{n}" for n in range(250)))
        assert make_pass(scheduler) == Pass(reaped=250, leases=250)
        assert sorted(numbers(waiting(db))) == list(range(250))

    def test_a_lease_of_which_nothing_is_left_but_its_id_is_swept_away(self, scheduler, db, link):
        self.lease(db, link, payload("work", 1))
        db.delete("sidelamb:lease:c:1")
        self.expire(db, "c:1")
        assert make_pass(scheduler) == Pass(leases=1)
        assert set(db.keys("*")) == {b"queues"}

    def test_two_passes_at_once_reap_each_lease_once(self, redis_url, db, link):
        raws = [payload("work", n) for n in range(60)]
        for n, raw in enumerate(raws):
            self.lease(db, link, raw, lease=f"c:{n}", claim="r" if n % 2 else "")
        self.expire(db, *(f"c:{n}" for n in range(60)))
        done: list[Pass] = []

        def work() -> None:
            own = Link(redis_url)
            done.append(make_pass(Scheduler(own, STORE)))
            own.close()

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sum(p.reaped for p in done) == sum(p.leases for p in done) == 60
        charged = db.lrange("sidelamb:alone:default", 0, -1)
        assert sorted(numbers(waiting(db)) + numbers(charged)) == list(range(60))
        assert all(decode(raw)["kills"] == 1 for raw in charged)

    def test_what_a_worker_settled_late_is_not_touched(self, db, link):
        """Between reading the expired lease and emptying it."""
        from sidelamb_handlers.reaping import reaping

        raws = [payload("work", n) for n in range(2)]
        self.lease(db, link, *raws, claim="r1")
        self.expire(db, "c:1")
        held = link.run(STORE.lease("c:1"))
        moves = reaping(held, now=time.time(), random=lambda: 0.0)
        link.run(STORE.settle("c:1", "c", now=time.time(), done=["0:default"], request_id="r1"))
        assert link.run(STORE.reap(held, "c", now=time.time(), moves=moves)).moved == 1
        assert places(db) == {raws[1]: ["sidelamb:alone:default"]}

    def test_a_lease_that_cannot_be_reaped_holds_up_nobody(self, scheduler, db, link):
        self.lease(db, link, payload("work", 1), lease="c:1")
        self.lease(db, link, payload("work", 2), lease="c:2")
        db.delete("sidelamb:lease:c:1")
        db.set("sidelamb:lease:c:1", "someone else's")
        self.expire(db, "c:1", "c:2")
        due(db, "schedule", 1, start=7)
        make_pass(scheduler)
        assert sorted(numbers(waiting(db))) == [2, 7]

    def test_a_job_that_cannot_be_charged_holds_up_nobody(self, scheduler, db, link):
        odd = payload("work", 1)[:-1] + b',"retry_count":123456789012345678901234567890}'
        self.lease(db, link, odd, claim="r1")
        self.expire(db, "c:1")
        due(db, "schedule", 1, start=7)
        try:
            make_pass(scheduler)
        except TypeError:
            pass
        assert numbers(waiting(db)) == [7]


class TestHandler:
    @pytest.fixture(autouse=True)
    def own_outage(self, monkeypatch):
        """Whether Redis was away in another test says nothing here."""
        monkeypatch.setattr(module, "_is_away", False)

    def test_it_answers_with_what_it_did_in_words_the_poller_knows(self, scheduler, db, monkeypatch):
        monkeypatch.setattr(module, "_scheduler", lambda: scheduler)
        due(db, "schedule", 2)
        body = module.handler({"source": "sidelamb.poller"}, Context(10))
        assert (body["promoted"], body["to_dead"], body["reaped"], body["leases"]) == (2, 0, 0, 0)
        assert Answer.from_wire(json.dumps(body).encode()) is not None

    @pytest.mark.parametrize("event", [None, {}, [], {"source": "aws.events"}])
    def test_any_event_wakes_it(self, scheduler, db, monkeypatch, event):
        monkeypatch.setattr(module, "_scheduler", lambda: scheduler)
        due(db, "schedule", 1)
        assert module.handler(event, Context(10))["promoted"] == 1

    def test_it_stops_in_time_for_its_own_timeout(self, scheduler, db, monkeypatch):
        monkeypatch.setattr(module, "_scheduler", lambda: scheduler)
        due(db, "schedule", 1)
        assert module.handler({}, Context(module.MARGIN_S - 0.5))["promoted"] == 0

    def test_without_redis_it_fails_so_that_someone_hears_of_it(self, monkeypatch, proxy: Proxy):
        link = Link(proxy.url)
        monkeypatch.setattr(module, "_scheduler", lambda: Scheduler(link, STORE))
        monkeypatch.setattr(module, "_is_away", False)
        proxy.cut()
        with pytest.raises(RedisError):
            module.handler({}, Context(10))

    def test_an_outage_of_many_passes_is_one_line_and_its_end_another(self, monkeypatch, proxy: Proxy):
        said: list[str] = []
        monkeypatch.setattr(module, "_is_away", False)
        for level in ("error", "warning"):
            monkeypatch.setattr(module._log, level, lambda text, *args: said.append(text % args))
        away = Scheduler(Link(proxy.url), STORE)
        monkeypatch.setattr(module, "_scheduler", lambda: away)
        for _ in range(2):
            proxy.cut()
            for _ in range(3):
                with pytest.raises(RedisError):
                    module.handler({}, Context(10))
            proxy.mend()
            for _ in range(2):
                module.handler({}, Context(10))
        assert [line.partition(":")[0] for line in said] == ["pass not finished", "Redis works again"] * 2

    def test_without_a_url_it_says_what_to_set(self):
        with pytest.raises(ConfigError, match="SIDELAMB_REDIS_URL is not set for the scheduler"):
            from_environment({})

    def test_it_takes_url_and_namespace_from_the_environment(self, redis_url, db):
        db.zadd("{app}:schedule", {payload("work", 1): time.time() - 1})
        made = from_environment({"SIDELAMB_REDIS_URL": redis_url, "SIDELAMB_NAMESPACE": "{app}"})
        assert make_pass(made).promoted == 1
        assert db.llen("{app}:queue:default") == 1
        made._link.close()


class TestALeaseThatSomebodyHasEdited:
    @pytest.mark.parametrize("field", [b"7", b"7:", b"7!", b"7:\xff"])
    def test_does_not_keep_others_from_being_reaped_and_promoted(self, scheduler, link, db, field):
        push(db, payload("work", 1))
        (lease,) = reserve(link)
        db.hset(f"sidelamb:lease:{lease.lease}", field, payload("work", 2))
        db.hset(f"sidelamb:lease:{lease.lease}", "claim", b"\xff junk")
        db.zadd("sidelamb:leases", {lease.lease: 1, b"\xff:odd": 0})
        due(db, "schedule", 3)
        assert make_pass(scheduler).promoted == 3
