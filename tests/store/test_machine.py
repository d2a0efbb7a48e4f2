"""Any interleaving of what client, poller, worker, scheduler and a person do keeps every job in one place.

The model is the ownership table of docs/architecture.md: who may do what to a lease in which state. Answers get
lost and calls arrive twice; claims, settlements and reaps come late.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from sidelamb import scripts
from sidelamb.api.calls import Calls, Shift
from sidelamb.effects import Effect
from sidelamb.errors import RedisError
from sidelamb.link import Link
from sidelamb.store import Held, Move, Store, keep, to_dead, to_retry, to_schedule
from sidelamb_local.redis_server import RedisServer

STORE = Store()
API = Calls(STORE.keys)
CAP = 4
QUEUES = ("a", "b")
CAPPED = "b"
"""The one with a cap, another one at each reserve."""
START_S, LIFE_S = 30.0, 60.0


@dataclass
class Lease:
    """A lease as the model knows it."""

    id: str
    jobs: dict[str, bytes]
    expires: float
    claim: str = ""
    alone: bool = False
    dead: bool = False
    """Its sandbox is proven gone."""
    narrowed: list[str] = field(default_factory=list)


class Machine(RuleBasedStateMachine):
    """The store, driven as its users drive it."""

    leases = Bundle("leases")
    url = ""

    @initialize()
    def start(self) -> None:
        self.db = redis.Redis.from_url(self.url)
        self.db.flushall()
        self.link = Link(self.url)
        self.now = 1_800_000_000.0
        self.number = itertools.count()
        self.where: dict[bytes, str] = {}
        """Every job that was accepted and is not finished: where it is."""
        self.held: dict[str, Lease] = {}
        self.attempts = self.failures = 0

    def teardown(self) -> None:
        if hasattr(self, "link"):
            self.link.close()
            self.db.close()

    def run(self, call: Any, lost: bool) -> Any:
        """Run a call; if its answer gets lost it is sent again, as a link does."""
        if lost and call.repeatable:
            self.link.run(call)
        return self.link.run(call)

    def job(self, queue: str) -> bytes:
        return b'{"jid":"j%d","class":"W","queue":"%s"}' % (next(self.number), queue.encode())

    # --- client ------------------------------------------------------------------------------------------

    @rule(queue=st.sampled_from(QUEUES), n=st.integers(1, 7))
    def enqueue(self, queue: str, n: int) -> None:
        jobs = [self.job(queue) for _ in range(n)]
        self.link.run(STORE.enqueue([(queue, raw) for raw in jobs]))
        self.where |= dict.fromkeys(jobs, f"queue:{queue}")

    @rule(queue=st.sampled_from(QUEUES), after=st.floats(0, 90), lost=st.booleans())
    def schedule(self, queue: str, after: float, lost: bool) -> None:
        raw = self.job(queue)
        self.run(STORE.schedule([(self.now + after, raw)]), lost)
        self.where[raw] = "schedule"

    @rule(seconds=st.sampled_from([1.0, 20.0, 45.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # --- poller ------------------------------------------------------------------------------------------

    @rule(
        target=leases,
        slots=st.integers(1, 3),
        most=st.integers(1, 5),
        cap=st.sampled_from([1, 2, 4, 9]),
        lost=st.booleans(),
    )
    def reserve(self, slots: int, most: int, cap: int, lost: bool) -> Any:
        ids = [f"c:{next(self.number)}" for _ in range(slots)]
        paused = {q.decode() for q in self.db.smembers("paused")}
        expires = self.now + START_S
        call = STORE.reserve(
            ids,
            QUEUES,
            capsule="c",
            poller="p",
            expires=expires,
            cap=CAP,
            most_jobs=most,
            most_bytes=10_000,
            caps={CAPPED: cap},
        )
        before = self.in_flight()
        made = []
        for held in self.run(call, lost).leases:
            assert len(held.jobs) <= most
            for name, raw in held.jobs.items():
                source = self.where[raw]
                assert source == STORE.keys.source(name).decode(), "it came from where it says"
                assert source.rpartition(":")[2] not in paused, "a paused queue gives none"
                if "alone" in source:
                    assert len(held.jobs) == 1, "a job under suspicion travels alone"
                self.where[raw] = held.lease
            lease = Lease(held.lease, dict(held.jobs), expires)
            self.held[held.lease] = lease
            made.append(lease)
        assert len(self.held) <= max(CAP, len(self.held) - len(made)), "never more leases than the cap"
        assert self.in_flight() <= max(cap, before), "never more of a queue in flight than its cap"
        return multiple(*made)

    @rule(lease=leases, lost=st.booleans())
    def release(self, lease: Lease, lost: bool) -> None:
        before = self.held.get(lease.id)
        (n,) = self.run(STORE.release("c", [Held(lease.id, dict(lease.jobs), "c")]), lost=False)
        if lost:
            assert self.link.run(STORE.release("c", [Held(lease.id, dict(lease.jobs), "c")])) == [0]
        if before is None or before.claim:
            assert n == 0, "only an unclaimed lease can be given back"
            return
        assert n == len(before.jobs)
        self.back(before)

    @rule(lease=leases)
    def sandbox_dies(self, lease: Lease) -> None:
        if lease.claim:
            lease.dead = True

    @rule(target=leases, lease=leases, lost=st.booleans(), first=st.integers(1, 4))
    def narrow(self, lease: Lease, lost: bool, first: int) -> Any:
        if not lease.dead or len(lease.jobs) < 2:
            return multiple()
        first = min(first, len(lease.jobs) - 1)
        ids = (f"c:{next(self.number)}", f"c:{next(self.number)}")
        held = Held(lease.id, dict(lease.jobs), "c", "p", lease.claim)
        expires = self.now + START_S
        call = STORE.narrow(
            held, ids, first=first, request_id=held.token, poller="p", expires=expires, capped=[CAPPED]
        )
        halves = self.run(call, lost)
        if lease.id not in self.held:
            assert halves == [], "a lease that is gone has no halves"
            return multiple()
        assert sorted(raw for half in halves for raw in half.jobs.values()) == sorted(lease.jobs.values())
        del self.held[lease.id]
        made = []
        for half in halves:
            new = Lease(half.lease, dict(half.jobs), expires)
            self.held[new.id] = new
            self.where |= dict.fromkeys(new.jobs.values(), new.id)
            made.append(new)
        return multiple(*made)

    # --- worker ------------------------------------------------------------------------------------------

    @rule(lease=leases, lost=st.booleans(), request=st.integers(0, 2))
    def claim(self, lease: Lease, lost: bool, request: int) -> None:
        token = f"r{request}/{lease.id}"
        deadline = self.now + LIFE_S
        got = self.run(STORE.claim(lease.id, request_id=token, now=self.now, deadline=deadline), lost)
        mine = lease.id in self.held and (not lease.claim or lease.claim.startswith(token + " "))
        assert bool(got) is mine, "claimed once, by one request"
        if got and not lease.claim:
            lease.claim = f"{token} {self.now} {len(lease.jobs)}"
            lease.expires = deadline

    @rule(
        lease=leases,
        outcomes=st.lists(
            st.sampled_from(["done", "retry", "dead", "later", "back", "alone"]), min_size=1, max_size=5
        ),
        lost=st.booleans(),
        stranger=st.booleans(),
    )
    def settle(self, lease: Lease, outcomes: list[str], lost: bool, stranger: bool) -> None:
        if not lease.claim:
            return
        token = "another/1" if stranger else lease.claim.partition(" ")[0]
        done, moves, to = [], [], {}
        for (name, raw), outcome in zip(list(lease.jobs.items()), outcomes, strict=False):
            changed = raw[:-1] + b',"n":%d}' % next(self.number)
            to[name] = (raw, changed if outcome in {"retry", "dead"} else raw, outcome)
            if outcome == "done":
                done.append(name)
            else:
                moves.append(
                    {
                        "retry": lambda n, c: to_retry(n, self.now + 15, c),
                        "dead": lambda n, c: to_dead(n, self.now, c),
                        "later": lambda n, c: to_schedule(n, self.now + 5),
                        "back": lambda n, c: keep(n),
                        "alone": lambda n, c: keep(n, alone=True),
                    }[outcome](name, changed)
                )
        capped = [name for name in to if STORE.keys.source(name).endswith(b":" + CAPPED.encode())]
        leave = Effect("leave", (f"sidelamb:in-flight:{CAPPED}",), (lease.id,))
        moves = [replace(move, effects=[leave]) if move.field in capped else move for move in moves]
        moves += [Move(name, "x", count="p", effects=[leave]) for name in done if name in capped]
        done = [name for name in done if name not in capped]
        call = STORE.settle(lease.id, "c", now=self.now, done=done, moves=moves, request_id=token)
        moved = self.run(call, lost).moved
        if stranger or lease.id not in self.held:
            assert moved in {-1, 0}, "only the claiming request settles, and what is gone stays gone"
            return
        assert moved == (0 if lost else len(to))
        for name, (raw, new, outcome) in to.items():
            del lease.jobs[name]
            del self.where[raw]
            queue, _ = STORE.keys.source(name).decode().rpartition(":")[2], None
            places = {
                "retry": "retry",
                "dead": "dead",
                "later": "schedule",
                "back": STORE.keys.source(name).decode(),
                "alone": f"sidelamb:alone:{queue}",
            }
            if outcome != "done":
                self.where[new] = places[outcome]
            self.attempts += outcome in {"done", "retry", "dead"}
            self.failures += outcome in {"retry", "dead"}
        if not lease.jobs:
            del self.held[lease.id]

    @rule(lease=leases, lost=st.booleans(), stranger=st.booleans(), off=st.sampled_from([0, 0, -1, 1]))
    def finish(self, lease: Lease, lost: bool, stranger: bool, off: int) -> None:
        if not lease.claim:
            return
        token = "another/1" if stranger else lease.claim.partition(" ")[0]
        jobs = len(lease.jobs) + off
        done = self.run(STORE.finish(lease.id, "c", now=self.now, jobs=jobs, request_id=token), lost)
        if stranger or off or lease.id not in self.held:
            assert not done, "only who holds the claim, and only if these are all that is left"
            return
        assert done is not lost, "the second time it is gone"
        for raw in lease.jobs.values():
            del self.where[raw]
        self.attempts += len(lease.jobs)
        lease.jobs.clear()
        del self.held[lease.id]

    # --- scheduler ---------------------------------------------------------------------------------------

    @rule(source=st.sampled_from(["schedule", "retry"]), lost=st.booleans())
    def promote(self, source: Any, lost: bool) -> None:
        due = self.link.run(STORE.due(source, self.now))
        entries = [(raw, raw[:-1] + b',"e":%d}' % next(self.number), _queue(raw)) for raw in due]
        if not entries:
            return
        promoted, _ = self.run(STORE.promote(source, self.now, entries), lost)
        assert promoted == (0 if lost else len(entries))
        for old, new, queue in entries:
            assert self.where.pop(old) == source
            self.where[new] = f"queue:{queue}"

    @rule(lost=st.booleans(), early=st.booleans())
    def reap(self, lost: bool, early: bool) -> None:
        ids = [*self.held] if early else self.link.run(STORE.expired(self.now))
        for name in ids[:3]:
            lease = self.held[name]
            held = self.link.run(STORE.lease(name))
            one = len(held.jobs) == 1 and bool(held.claim)
            changed = {f: raw[:-1] + b',"k":%d}' % next(self.number) for f, raw in held.jobs.items()}
            moves = [
                to_retry(f, self.now + 15, changed[f]) if one else keep(f, alone=bool(held.claim))
                for f in held.jobs
            ]
            moved = self.run(STORE.reap(held, "c", now=self.now, moves=moves), lost).moved
            if lease.expires > self.now:
                assert moved == -1, "not before its time"
                continue
            assert moved == (-1 if lost else len(held.jobs))
            for f, raw in held.jobs.items():
                assert self.where.pop(raw) == name
                source = STORE.keys.source(f).decode()
                alone = f"sidelamb:alone:{source.rpartition(':')[2]}"
                self.where[changed[f] if one else raw] = "retry" if one else alone if held.claim else source
            self.attempts += one
            self.failures += one
            del self.held[name]

    # --- a person ----------------------------------------------------------------------------------------

    @rule(
        source=st.sampled_from(["schedule", "retry", "dead"]),
        to=st.sampled_from(["run", "kill", "time", "delete"]),
    )
    def person(self, source: str, to: str) -> None:
        raws = [raw for raw, place in self.where.items() if place == source][:2]
        if not raws or (to == "kill" and source == "dead"):
            return
        shifts = [
            {
                "run": Shift(raw, raw[:-1] + b',"e":%d}' % next(self.number), queue=_queue(raw)),
                "kill": Shift(raw, dead=True),
                "time": Shift(raw, at=self.now + 7),
                "delete": Shift(raw),
            }[to]
            for raw in raws
        ]
        assert self.link.run(API.shift(source.encode(), self.now, shifts)) == [1] * len(raws)
        again = self.link.run(API.shift(source.encode(), self.now, shifts))
        assert again == [1 if to == "time" else 0] * len(raws), "who comes second moves nothing"
        for raw, shift in zip(raws, shifts, strict=True):
            del self.where[raw]
            if to != "delete":
                place = {"run": f"queue:{shift.queue}", "kill": "dead", "time": source}[to]
                self.where[shift.new or raw] = place

    @rule(queue=st.sampled_from(QUEUES), paused=st.booleans())
    def pause(self, queue: str, paused: bool) -> None:
        self.link.run(API.pause(queue, paused=paused))

    @rule(queue=st.sampled_from(QUEUES))
    def delete_one(self, queue: str) -> None:
        raw = next((raw for raw, place in self.where.items() if place == f"queue:{queue}"), None)
        if raw is not None:
            assert self.link.run(API.unqueue(STORE.keys.queue(queue), raw)) == 1
            del self.where[raw]

    @rule(lease=leases)
    def mend(self, lease: Lease) -> None:
        assert self.link.run(API.mend_lease(lease.id, "c", self.now)) is False, "what is well is left alone"

    @rule(lease=consumes(leases))
    def forget(self, lease: Lease) -> None:
        """No more is heard of it, but for its end."""

    def back(self, lease: Lease) -> None:
        for name, raw in lease.jobs.items():
            self.where[raw] = STORE.keys.source(name).decode()
        del self.held[lease.id]

    # --- what always holds -------------------------------------------------------------------------------

    @invariant()
    def every_job_is_in_exactly_the_place_it_must_be(self) -> None:
        if not hasattr(self, "db"):
            return
        found: list[tuple[bytes, str]] = []
        for name in [f"queue:{q}" for q in QUEUES] + [f"sidelamb:alone:{q}" for q in QUEUES]:
            found += [(raw, name) for raw in self.db.lrange(name, 0, -1)]
        for name in ("schedule", "retry", "dead"):
            found += [(raw, name) for raw in self.db.zrange(name, 0, -1)]
        for key in self.db.keys("sidelamb:lease:*"):
            lease = key.decode().removeprefix("sidelamb:lease:")
            found += [(raw, lease) for f, raw in self.db.hgetall(key).items() if f[:1].isdigit()]
        assert sorted(found) == sorted(self.where.items())

    @invariant()
    def hash_set_and_slots_agree_about_every_lease(self) -> None:
        if not hasattr(self, "db"):
            return
        scores = {k.decode(): v for k, v in self.db.zrange("sidelamb:leases", 0, -1, withscores=True)}
        assert set(scores) == {s.decode() for s in self.db.smembers("sidelamb:slots:c")} == set(self.held)
        assert all(math.isclose(scores[n], lease.expires) for n, lease in self.held.items())

    @invariant()
    def what_is_in_flight_is_counted_to_the_job(self) -> None:
        if not hasattr(self, "db"):
            return
        counted = self.db.hgetall(f"sidelamb:in-flight:{CAPPED}")
        live = {name: n for name, n in counted.items() if name.decode() in self.held}
        assert sum(map(int, live.values())) == self.in_flight()

    def in_flight(self) -> int:
        """How many jobs of the queue with a cap are in leases."""
        names = [name for lease in self.held.values() for name in lease.jobs]
        return sum(STORE.keys.source(name).endswith(b":" + CAPPED.encode()) for name in names)

    @invariant()
    def attempts_are_counted_once(self) -> None:
        if not hasattr(self, "db"):
            return
        assert int(self.db.get("stat:processed") or 0) == self.attempts
        assert int(self.db.get("stat:failed") or 0) == self.failures


def _queue(raw: bytes) -> str:
    return "a" if b'"queue":"a"' in raw else "b"


@pytest.fixture(scope="module")
def machine_redis(tmp_path_factory: pytest.TempPathFactory):
    with RedisServer(tmp_path_factory.mktemp("machine-redis")) as server:
        yield server


def walk(url: str, examples: int, *, seeded: int | None = None) -> None:
    """Walk the ownership table at random, and fail if anything does not hold; with a seed it is not shrunk."""
    Machine.url = url
    phases = tuple(Phase) if seeded is None else (Phase.generate,)
    machine = Machine if seeded is None else seed(seeded)(type("Seeded", (Machine,), {}))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            derandomize=seeded is None,
            database=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_any_interleaving_keeps_the_promise(machine_redis: RedisServer) -> None:
    walk(machine_redis.url, 60)


MUTANTS = {
    "settle without check": ("settle", "if ARGV[2] ~= '' and claim and", "if false and"),
    "reap early": ("reap", "tonumber(score) > tonumber(ARGV[2])", "false"),
    "release twice": ("release", "if redis.call('HEXISTS', key, 'open') == 1 then", "if true then"),
    "no claim": ("claim", "if claim then return", "if false then return"),
    "promote without check": ("promote", "if scores[j] and", "if"),
}

SEED = 2
"""Of those tried the one whose walks come upon all of them soon; any other does too."""


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_walk_finds_each_fault_that_is_put_into_the_code(machine_redis, monkeypatch, mutant) -> None:
    name, old, new = MUTANTS[mutant]
    load = scripts.load

    def mutated(script: str) -> scripts.Script:
        made = load(script)
        if script != name:
            return made
        assert old in made.text.decode(), "the code has changed, and the mutant must too"
        text = made.text.decode().replace(old, new).encode()
        return scripts.Script(script, text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())

    monkeypatch.setattr(scripts, "load", mutated)
    with pytest.raises((AssertionError, KeyError, ExceptionGroup, RedisError)):
        walk(machine_redis.url, 1_000, seeded=SEED)
