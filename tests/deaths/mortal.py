"""A process that does one operation and dies at a round trip of it.

It kills itself just before its Nth round trip to Redis is made (`before`), or just after Redis has carried it out
and before anybody here knows (`after`). With N = 0 it lives, and prints how many round trips there were. What jobs
did, it appends to its ledger.

`python -m tests.deaths.mortal` is the one who bears them: it has imported everything, reads what to do from its
input, a JSON object a line, and forks a process for each.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidelamb import Client, Discard, Kill, Retry, Snooze, job
from sidelamb.alink import AsyncLink
from sidelamb.api import Audit, DeadSet, Queue, RetrySet, ScheduledSet
from sidelamb.link import Link
from sidelamb.store import Held, Store
from sidelamb_handlers.config import CapsuleConfig, Config
from tests.handlers.kit import Context, answered, event_for, exit_error

if TYPE_CHECKING:
    from sidelamb_handlers.poller.reply import Reply

URL = ""
LEDGER = Path()
LATER_S = 3_600.0
"""By this time every lease is over and every entry due."""


class Death:
    """Counts round trips, and comes at one of them."""

    def __init__(self, at: int, when: str) -> None:
        self._at, self._when = at, when
        self._lock = threading.Lock()
        self.trips = 0

    def next(self) -> int:
        with self._lock:
            self.trips += 1
            return self.trips

    def come(self, trip: int, when: str) -> None:
        if (trip, when) == (self._at, self._when):
            os.kill(os.getpid(), signal.SIGKILL)

    def put_in(self) -> None:
        """Into both ways to Redis."""
        exchange, aexchange = Link._exchange, AsyncLink._exchange

        def mortal(link: Link, *args: Any) -> Any:
            trip = self.next()
            self.come(trip, "before")
            replies = exchange(link, *args)
            self.come(trip, "after")
            return replies

        async def amortal(link: AsyncLink, *args: Any) -> Any:
            trip = self.next()
            self.come(trip, "before")
            replies = await aexchange(link, *args)
            self.come(trip, "after")
            return replies

        Link._exchange = mortal  # type: ignore[method-assign]
        AsyncLink._exchange = amortal  # type: ignore[method-assign, assignment]


def note(jid: str, what: str) -> None:
    with LEDGER.open("a") as file:
        file.write(f"{jid} {what}\n")


@job(name="act", backoff=lambda attempt, error: 30.0, max_retries=3)
def act(jid: str, what: str) -> None:
    """Do what a job can do."""
    note(jid, what)
    match what:
        case "fail":
            raise ValueError("as it should")
        case "retry":
            raise Retry(in_=60)
        case "snooze":
            raise Snooze(60)
        case "discard":
            raise Discard
        case "kill":
            raise Kill


# --- operations ------------------------------------------------------------------------------------------------


def enqueue() -> None:
    Client(URL).enqueue("act", "new", "ok", queue="default")


def enqueue_many() -> None:
    act.enqueue_many((str(n), "ok") for n in range(2_500))


def enqueue_in() -> None:
    Client(URL).enqueue_in(60, "act", "new", "ok")


def work() -> None:
    """A worker runs the lease that waits for it."""
    from sidelamb_handlers.worker import Worker

    held = Link(URL).run(Store().lease("c:1"))
    jobs = {field: raw for field, raw in held.jobs.items() if field[:1].isdigit()}
    Worker({"SIDELAMB_JOBS": "json", "SIDELAMB_REDIS_URL": URL}).handle(
        event_for(Held("c:1", jobs)), Context(request_id="w")
    )


def keep_time() -> None:
    """A scheduler makes a pass when everything is due."""
    from sidelamb_handlers.scheduler import Scheduler

    scheduler = Scheduler(Link(URL), Store(), clock=lambda: time.time() + LATER_S)
    scheduler.make_pass(time.time() + 2 * LATER_S)


class Poisoned:
    """A Lambda whose jobs `poison` kill their sandbox, after the claim."""

    def __init__(self) -> None:
        self._link, self._store = Link(URL), Store()
        self._n = 0

    async def invoke(self, function: str, event: bytes, *, timeout: float) -> Reply:
        self._n += 1
        return await asyncio.to_thread(self._run, json.loads(event), f"r{self._n}")

    def _run(self, event: Any, request_id: str) -> Reply:
        lease, now = event["lease"], time.time()
        claim = self._store.claim(lease, request_id=f"{request_id}/x", now=now, deadline=now + 60)
        if not self._link.run(claim):
            return answered({"sidelamb": 1, "lease": lease, "status": "refused", "reason": "gone"}, request_id)
        for raw in event["jobs"]:
            note(raw["jid"], raw["args"][1])
            if raw["args"][1] == "poison":
                return exit_error(request_id)
        done = self._store.settle(lease, "c", now=now, done=event["fields"], request_id=f"{request_id}/x")
        self._link.run(done)
        ran = len(event["fields"])
        return answered({"sidelamb": 1, "lease": lease, "status": "settled", "ran": ran, "ms": 1.0}, request_id)

    async def close(self) -> None:
        pass


def poll() -> None:
    """A poller takes what waits, until nothing does, and stops in good order."""
    from sidelamb_handlers.poller.poller import Poller

    config = Config(URL, (CapsuleConfig("c", "worker", in_flight=2, timeout=5.0),), stop_timeout=5.0)

    async def serve() -> None:
        poller = Poller(config, Poisoned())
        running = asyncio.create_task(poller.run())
        import redis.asyncio

        async with redis.asyncio.Redis.from_url(URL) as db:
            while await db.exists("queue:default", "sidelamb:alone:default", "sidelamb:leases"):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        poller.signal("TERM")
        await running

    asyncio.run(serve())


OPERATIONS = {
    "enqueue": enqueue,
    "enqueue many": enqueue_many,
    "enqueue in": enqueue_in,
    "work": work,
    "work well": work,
    "keep time": keep_time,
    "poll": poll,
    "clear what is unique": lambda: Queue("default").clear(),
    "retry all": lambda: RetrySet().retry_all(),
    "kill all": lambda: RetrySet().kill_all(),
    "revive the dead": lambda: DeadSet().retry_all(),
    "put off": lambda: [ScheduledSet().reschedule(each, time.time() + 99) for each in list(ScheduledSet())],
    "put all off": lambda: ScheduledSet().reschedule_all(time.time() + 99),
    "delete all": lambda: RetrySet().delete_all(),
    "go through and delete": lambda: [DeadSet().delete(each) for each in DeadSet()],
    "delete from a queue": lambda: [Queue("default").delete(each) for each in list(Queue("default"))[:2]],
    "clear": lambda: Queue("default").clear(),
    "mend": lambda: [finding.mend() for finding in Audit().run()],
}


LONGEST_S = 60


def main(operation: str, at: int, when: str, url: str, ledger: str) -> None:
    global URL, LEDGER
    URL, LEDGER = url, Path(ledger)
    os.environ["SIDELAMB_REDIS_URL"] = url
    signal.alarm(LONGEST_S)
    logging.disable()
    death = Death(at, when)
    death.put_in()
    OPERATIONS[operation]()
    print(death.trips)


def born(words: dict[str, Any]) -> dict[str, Any]:
    """Have a child do it, and return how it ended and what it said."""
    out, err = os.memfd_create("out"), os.memfd_create("err")
    child = os.fork()
    if not child:
        os.dup2(out, 1)
        os.dup2(err, 2)
        code = 1
        try:
            main(**words)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    said = {}
    for name, fd in (("out", out), ("err", err)):
        with os.fdopen(fd, "rb") as file:
            file.seek(0)
            said[name] = file.read().decode()
    return {"code": os.waitstatus_to_exitcode(status), **said}


if __name__ == "__main__":
    import sidelamb_handlers.poller.poller
    import sidelamb_handlers.promoter
    import sidelamb_handlers.watch  # noqa: F401 - what children need; worker and scheduler read the world at import

    for line in sys.stdin:
        print(json.dumps(born(json.loads(line))), flush=True)
