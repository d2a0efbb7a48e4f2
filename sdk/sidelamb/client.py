"""Enqueueing by name: jobs of this process, and of other services that share its Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from sidelamb.calls import way_of
from sidelamb.named import setter
from sidelamb.pusher import Pusher
from sidelamb.state import StateStore

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable

    from sidelamb.calls import Setter
    from sidelamb.handle import Handle
    from sidelamb.job import Job
    from sidelamb.options import CallOptions
    from sidelamb.transactions import OnCommit, Outbox

__all__ = ["Client"]


class Client(Pusher):
    """Enqueues jobs, by name or by payload. `Job` has the same verbs and uses the process's own client.

    Args:
        target: Redis URL, or a redis-py client whose connection settings are used; default what `configure` or
            the environment says.
        namespace: prefix of all keys; default what `configure` or SIDELAMB_NAMESPACE says, or none.
        middleware: client middleware, the first the outermost.
        max_payload: most bytes of one payload, up to 5 MiB; default SIDELAMB_MAX_PAYLOAD, or 256 KiB.
        clock: epoch s.
        new_jid: gives job ids, each a different one.

    Attributes:
        store: the transitions, in this client's namespace.
        link: the way to Redis.

    Raises:
        ConfigError: a setting is missing or wrong.
    """

    @property
    def through(self) -> Client:
        """Itself: what its calls' status is read by."""
        return self

    def job(
        self,
        name: str | Job[..., Any],
        /,
        *,
        on_commit: OnCommit = None,
        outbox: Outbox = None,
        **options: Unpack[CallOptions],
    ) -> Setter[..., Any]:
        """Return a job, mostly by its name, with the verbs that `Job` has, for example to send keyword arguments.

        Args:
            name: wire name of a job, here or in another service, in Python or in Ruby.
            on_commit: as for `Job.using`.
            outbox: as for `Job.using`.
            **options: queue, max_retries, on_exhausted, timeout, tags; default those of the job if it is
                registered here, or else Sidekiq's.

        Raises:
            UnknownOption, BadOption: an option, or the name, cannot be.
            NotAJob: `name` is neither a job nor a name.
        """
        return setter(name, dict(options), way_of(self, on_commit, outbox))

    def enqueue(self, name: str | Job[..., Any], /, *args: Any, **options: Unpack[CallOptions]) -> Handle[Any]:
        """Put a job on its queue and return its id: `client.enqueue("Billing::ChargeJob", 12, queue="billing")`.

        Args and raises as `job`, and as `Job.enqueue`. All keywords are options.
        """
        return self.job(name, **options).enqueue(*args)

    def enqueue_in(
        self, delay: float | dt.timedelta, name: str | Job[..., Any], /, *args: Any, **options: Unpack[CallOptions]
    ) -> Handle[Any]:
        """Have a job run after `delay`, seconds or timedelta; otherwise as `enqueue`."""
        return self.job(name, **options).enqueue_in(delay, *args)

    def enqueue_at(
        self, when: float | dt.datetime, name: str | Job[..., Any], /, *args: Any, **options: Unpack[CallOptions]
    ) -> Handle[Any]:
        """Have a job run at `when`, an aware datetime or epoch seconds; otherwise as `enqueue`."""
        return self.job(name, **options).enqueue_at(when, *args)

    def enqueue_many(
        self,
        name: str | Job[..., Any],
        items: Iterable[tuple[Any, ...] | dict[str, Any]],
        /,
        *,
        progress: Callable[[int], None] | None = None,
        **options: Unpack[CallOptions],
    ) -> int:
        """Put one job on the queue for each tuple of arguments in `items`, as `Job.enqueue_many`."""
        return self.job(name, **options).enqueue_many(items, progress=progress)

    async def aenqueue(
        self, name: str | Job[..., Any], /, *args: Any, **options: Unpack[CallOptions]
    ) -> Handle[Any]:
        """`enqueue` for async code."""
        return await self.job(name, **options).aenqueue(*args)

    async def aenqueue_in(
        self, delay: float | dt.timedelta, name: str | Job[..., Any], /, *args: Any, **options: Unpack[CallOptions]
    ) -> Handle[Any]:
        """`enqueue_in` for async code."""
        return await self.job(name, **options).aenqueue_in(delay, *args)

    async def aenqueue_at(
        self, when: float | dt.datetime, name: str | Job[..., Any], /, *args: Any, **options: Unpack[CallOptions]
    ) -> Handle[Any]:
        """`enqueue_at` for async code."""
        return await self.job(name, **options).aenqueue_at(when, *args)

    async def aenqueue_many(
        self,
        name: str | Job[..., Any],
        items: Iterable[tuple[Any, ...] | dict[str, Any]],
        /,
        *,
        progress: Callable[[int], None] | None = None,
        **options: Unpack[CallOptions],
    ) -> int:
        """`enqueue_many` for async code."""
        return await self.job(name, **options).aenqueue_many(items, progress=progress)

    def cancel(self, jid: str) -> None:
        """Cancel a job, queued, scheduled, waiting for a retry or running.

        One that is not running is dropped when its turn comes. One that runs is not stopped from outside: an
        iterable job sees it between two items, any other by `current_job().cancelled`. Cancelling twice, or a
        job that is done, does no harm.

        Raises:
            BadArgument: `jid` is no job id.
            RedisUnreachable, RedisRefused, RedisUncertain: as `Job.enqueue`; it is safe to try again.
        """
        self.link.run(StateStore(self.store.keys).cancel(jid, self.now()))

    async def acancel(self, jid: str) -> None:
        """`cancel` for async code."""
        call = StateStore(self.store.keys).cancel(jid, self.now())
        loop_link = await self._loop_links.here()
        await loop_link.link.run(call)
