"""The Lambda function that keeps time: `sidelamb_handlers.scheduler.handler`.

It makes one pass and returns: reaps leases whose time is over, enqueues periodic jobs, and promotes all that is
due in `retry` and `schedule`, by turns. EventBridge wakes it every minute, a poller as soon as something is due.
Two passes at once are harmless: each move checks that the entry is still where it was read.

Settings, from the environment: SIDELAMB_REDIS_URL (required), SIDELAMB_NAMESPACE, SIDELAMB_TIMESTAMPS;
SIDELAMB_JOBS, the app's modules, which are imported only if something is periodic; SIDELAMB_NOTIFY, modules with
hooks of `on_old_queue`, which the minute's pass calls; and SIDELAMB_STACK, the stack's name: with it, the minute's
pass writes what waits where as metrics for CloudWatch. That pass also gives back the locks of unique jobs
that are provably gone.
"""

from __future__ import annotations

import os
import random
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sidelamb import settings
from sidelamb.errors import ConfigError, RedisError, RedisRefused
from sidelamb.link import Link
from sidelamb.store import MARK_SCORE, Store, capsule_of
from sidelamb_handlers.coldstart import once
from sidelamb_handlers.declaring import Declaring
from sidelamb_handlers.givenup import tell
from sidelamb_handlers.logger import new_logger
from sidelamb_handlers.promoter import Promoter
from sidelamb_handlers.reaping import reaping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sidelamb.client import Client
    from sidelamb_handlers.worker import Context

__all__ = ["Pass", "Scheduler", "handler"]

MARGIN_S = 2.0
"""A pass ends so long before its function's timeout; the next one goes on."""

REAP_MOST = 100
"""Leases that are read at a time."""

POLLER = "sidelamb.poller"
"""What a poller's event names as its source; it may come every second."""


@dataclass(slots=True)
class Pass:
    """What one pass did, in jobs."""

    promoted: int = 0
    to_dead: int = 0
    """Entries that could not be read."""
    reaped: int = 0
    leases: int = 0
    """Leases that were reaped."""
    ticked: int = 0
    """Periodic jobs that were enqueued."""
    planned: int = 0
    """Periodic jobs whose next time was set, without a job."""


class Scheduler:
    """Makes passes.

    Args:
        link, store: the way to Redis.
        clock: epoch s.
        declaring: what the app declares as periodic; None to leave that as it is.
    """

    def __init__(
        self,
        link: Link,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        declaring: Declaring | None = None,
    ) -> None:
        self._link = link
        self._store = store
        self._clock = clock
        self._declaring = declaring

    def make_pass(self, until: float, *, minute: bool = False) -> Pass:
        """Reap, enqueue and promote all that is due, or what can be done until epoch second `until`.

        Args:
            until: when to stop.
            minute: whether it is the minute's pass, which also sees that what the app declares is in Redis.

        Raises:
            RedisError: Redis is away; what was not done is done by the next pass.
        """
        done = Pass()
        tick = self._reap(done, until)
        try:
            self._keep_time(done, until, tick, minute=minute)
        except RedisRefused as error:  # what is periodic keeps nothing else waiting
            _log.error("what is periodic is not enqueued now, nor written down: %s", error)
        self._promote(done, until)
        return done

    def _keep_time(self, done: Pass, until: float, tick: float | None, *, minute: bool) -> None:
        """Enqueue what is periodic and due, and write down what the app declares, if it is time to."""
        app = self._declaring
        if app is not None and app.wants(tick, minute=minute):
            if not app.looked:
                self._promote(done, until)  # before code is imported that might never come back
            app.sync(self._clock(), asked=tick is not None and tick <= MARK_SCORE)
            tick = MARK_SCORE
        if tick is not None and tick <= self._clock():
            self._tick(done, until)

    def has_locks(self) -> bool:
        """Say whether there are locks of unique jobs."""
        return bool(self._link.command("ZCARD", self._store.keys.locks))

    def _promote(self, done: Pass, until: float) -> None:
        promoter = Promoter(self._link, self._store, self._clock)
        promoter.run(until)
        done.promoted += promoter.promoted
        done.to_dead += promoter.to_dead

    def _tick(self, done: Pass, until: float) -> None:
        from sidelamb_handlers.ticker import Ticker  # noqa: PLC0415 - only where something is periodic

        ticker = Ticker(self._link, self._store, self._clock)
        ticker.run(until)
        done.ticked, done.planned = ticker.ticked, ticker.planned

    def _reap(self, done: Pass, until: float) -> float | None:
        """Reap; return when the next periodic job is due, None if there is none."""
        skip, tick = 0, None
        while self._clock() < until:
            expired, tick = self._link.run(self._store.overdue(self._clock(), REAP_MOST, skip))
            moved = [self._reap_one(lease_id) for lease_id in reversed(expired)]
            done.reaped += sum(max(0, n) for n in moved)
            done.leases += sum(n >= 0 for n in moved)
            skip += sum(n < 0 for n in moved)
            if len(expired) < REAP_MOST:
                break
        return tick

    def _reap_one(self, lease_id: str) -> int:
        """Return how many jobs of an expired lease moved, -1 if it is not to be reaped, or Redis refuses it."""
        try:
            held = self._link.run(self._store.lease(lease_id))
            now = self._clock()
            moves = reaping(held, now=now, random=random.random)
            reaped = self._link.run(self._store.reap(held, capsule_of(lease_id), now=now, moves=moves))
        except RedisRefused as error:
            _log.error("lease %s cannot be reaped: %s", lease_id, error)
            return -1
        tell(_log.error, lease_id, reaped.given_up)
        return reaped.moved


def from_environment(environ: Mapping[str, str] = os.environ) -> Scheduler:
    """Return the scheduler that the environment describes.

    Raises:
        ConfigError: SIDELAMB_REDIS_URL is missing or no URL.
    """
    url = environ.get("SIDELAMB_REDIS_URL", "")
    if not url:
        raise ConfigError("SIDELAMB_REDIS_URL is not set for the scheduler; nothing can be promoted")
    settings.timestamps()  # says now if it is wrong
    link, store = Link(url), Store(environ.get("SIDELAMB_NAMESPACE", ""))
    return Scheduler(link, store, declaring=Declaring(environ, link, store))


class _Metrics:
    """Writes metrics, if the environment names a stack."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._stack = environ.get("SIDELAMB_STACK", "")
        self._client: Client | None = None

    def write(self, done: Pass, *, look: bool) -> None:
        """Write what a pass did, and if it is to look, what waits where. Figures, not jobs: they stop nothing."""
        if not self._stack:
            return
        from sidelamb_handlers.gauges import lines, lost_line, seen  # noqa: PLC0415 - half of the cold start

        now = time.time()
        text = lost_line(self._stack, now, done.leases) if done.leases else ""
        if look:
            try:
                text += "".join(lines(self._stack, now, seen(self.connected())))
            except RedisError as error:
                _log.warning("what waits could not be looked at: %s", error)
        sys.stdout.write(text)

    def connected(self) -> Client:
        """Return a client; connects when somebody first has to look."""
        if self._client is None:
            from sidelamb.client import Client  # noqa: PLC0415 - the same

            url, namespace = self._environ["SIDELAMB_REDIS_URL"], self._environ.get("SIDELAMB_NAMESPACE", "")
            self._client = Client(url, namespace=namespace)
        return self._client


def _tell_of_old_queues(environ: Mapping[str, str]) -> None:
    """Have the app's hooks know of queues that are too old, if SIDELAMB_NOTIFY names modules that have some."""
    modules = environ.get("SIDELAMB_NOTIFY", "")
    if not modules:
        return
    from sidelamb.client import Client  # noqa: PLC0415 - only for those who want to be told
    from sidelamb.registry import registry  # noqa: PLC0415 - the same
    from sidelamb_handlers.oldqueues import tell_of_old_queues  # noqa: PLC0415 - the same

    registry.load(modules.replace(",", " ").split())
    try:
        tell_of_old_queues(Client(environ["SIDELAMB_REDIS_URL"], namespace=environ.get("SIDELAMB_NAMESPACE", "")))
    except RedisError as error:
        _log.warning("whether a queue is too old could not be looked at: %s", error)


def _give_back_lost_locks() -> None:
    """Give back the locks of unique jobs that are provably gone."""
    try:
        if not _scheduler().has_locks():
            return
        from sidelamb.api.locks import Locks  # noqa: PLC0415 - only for those who have unique jobs

        for lock in Locks(_metrics.connected()).release_lost():
            _log.warning("the lock %s is given back: its job %s is gone", lock.key, lock.jid)
    except RedisError as error:
        _log.warning("whether a lock's job is gone could not be looked at: %s", error)


def handler(event: Any, context: Context) -> dict[str, Any]:
    """Lambda's entry point; the event only says who woke it.

    Raises:
        RedisError: Redis is away, or full. Lambda counts it as an error; the log says it once an outage.
    """
    global _is_away  # noqa: PLW0603 - for a sandbox's life
    woken_by = event.get("source") if isinstance(event, dict) else None
    until = time.time() + context.get_remaining_time_in_millis() / 1000 - MARGIN_S
    try:
        made = _scheduler().make_pass(until, minute=woken_by != POLLER)
    except RedisError as error:
        if not _is_away:
            _log.error("pass not finished: %s; what is due waits for a pass that is", error)
        _is_away = True
        raise
    if _is_away:
        _log.warning("Redis works again")
        _is_away = False
    done = asdict(made)
    if any(done.values()):
        _log.info("pass", extra={**done, "woken_by": woken_by})
    _metrics.write(made, look=woken_by != POLLER)
    if woken_by != POLLER:
        _tell_of_old_queues(os.environ)
        _give_back_lost_locks()
    return {"sidelamb": 1, "lease": "", "status": "settled", "ran": 0, "ms": 0, **done}


_log = new_logger()
_is_away = False
_scheduler = once(from_environment)
_metrics = _Metrics()
