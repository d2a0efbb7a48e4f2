"""Names of every Redis key, Sidekiq's and ours, under one namespace.

With an empty namespace the first group is Sidekiq's own layout, letter by letter. On Redis Cluster the
namespace is a hash tag, `{app}`, which puts all keys into one slot. Ours begin with `sidelamb:`.
"""

from __future__ import annotations

import re

from sidelamb.errors import ConfigError

__all__ = ["FROM_ALONE", "FROM_QUEUE", "Keys", "index_of", "lease_field", "source_of"]

FROM_QUEUE = ":"
"""Between a lease field's index and its queue: the job came off the queue."""
FROM_ALONE = "!"
"""The same, for a job under suspicion: it came off the queue's `alone` list and goes back there."""

_NAMESPACE = re.compile(r"[^\s:]*\Z")


class Keys:
    """Key names, as bytes, for one namespace.

    Args:
        namespace: prefix without the colon that follows it; empty for Sidekiq's own keys.

    Raises:
        ConfigError: the namespace holds white space or a colon.
    """

    def __init__(self, namespace: str = "") -> None:
        if not _NAMESPACE.match(namespace):
            raise ConfigError(
                f"namespace {namespace!r} holds white space or a colon; use letters and digits, like '{{app}}'"
            )
        self.namespace = namespace
        self._prefix = f"{namespace}:" if namespace else ""
        self.queues = self("queues")
        self.schedule = self("schedule")
        self.retry = self("retry")
        self.dead = self("dead")
        self.paused = self("paused")
        self.processes = self("processes")
        self.processed = self("stat:processed")
        self.failed = self("stat:failed")
        self.leases = self("sidelamb:leases")
        self.wake = self("sidelamb:wake")
        self.cancelled = self("sidelamb:cancelled")
        self.locks = self("sidelamb:locks")
        self.batches = self("sidelamb:batches")
        self.stages = self("sidelamb:stages")
        self.periodic = self("sidelamb:periodic")
        self.periodic_due = self("sidelamb:periodic:due")
        self.periodic_paused = self("sidelamb:periodic:paused")
        self.periodic_last = self("sidelamb:periodic:last")
        self.periodic_owners = self("sidelamb:periodic:owners")
        self.periodic_sources = self("sidelamb:periodic:sources")
        self.periodic_imports = self("sidelamb:periodic:imports")

    def __call__(self, name: str) -> bytes:
        """Return the key `name` in this namespace."""
        return (self._prefix + name).encode()

    def queue(self, name: str | bytes) -> bytes:
        """Return the list of a queue: left end newest, right end next to run.

        A name as bytes is one that is in Redis already: another client's need not be UTF-8.
        """
        return self("queue:") + _bytes(name)

    def alone(self, queue: str | bytes) -> bytes:
        """Return the list of a queue's jobs under suspicion, each served alone in a lease."""
        return self("sidelamb:alone:") + _bytes(queue)

    def lease(self, lease_id: str) -> bytes:
        """Return the hash of one lease."""
        return self("sidelamb:lease:" + lease_id)

    def slots(self, capsule: str) -> bytes:
        """Return the set of a capsule's live leases: its slots in use, whichever poller took them."""
        return self("sidelamb:slots:" + capsule)

    def in_flight(self, queue: str) -> bytes:
        """Return the hash of what is in flight of a queue with a cap: by lease id, how many jobs."""
        return self("sidelamb:in-flight:" + queue)

    def state(self, jid: str) -> bytes:
        """Return the hash that an iterable or cancelled job leaves between its executions."""
        return self("it-" + jid)

    def periodic_history(self, name: str) -> bytes:
        """Return the list of what a periodic job has enqueued, newest first."""
        return self("sidelamb:periodic:history:" + name)

    def processed_on(self, day: str) -> bytes:
        """Return the counter of attempts of one UTC day, `YYYY-MM-DD`."""
        return self("stat:processed:" + day)

    def failed_on(self, day: str) -> bytes:
        """Return the counter of failed attempts of one UTC day, `YYYY-MM-DD`."""
        return self("stat:failed:" + day)

    def source(self, field: str) -> bytes:
        """Return the list that the job in a lease field came from, and goes back to."""
        queue, alone = source_of(field)
        return self.alone(queue) if alone else self.queue(queue)


def _bytes(name: str | bytes) -> bytes:
    return name if isinstance(name, bytes) else name.encode()


def lease_field(index: int, queue: str, *, alone: bool = False) -> str:
    """Return the name of a job's field in its lease: `0:mail`, or `0!mail` for one under suspicion."""
    return f"{index}{FROM_ALONE if alone else FROM_QUEUE}{queue}"


def source_of(field: str) -> tuple[str, bool]:
    """Return (queue, was it under suspicion) of a lease field; one that names no queue means `default`."""
    rest = field.lstrip(_DIGITS)
    return rest[1:] or "default", rest[:1] == FROM_ALONE


def index_of(field: str) -> int:
    """Return a lease field's place among the others."""
    return int(field[: len(field) - len(field.lstrip(_DIGITS))])


_DIGITS = "0123456789"
