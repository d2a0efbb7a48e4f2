"""The verbs of a job: enqueue it now, later, in bulk, from blocking and from async code.

`Job` has them, and so has what `Job.using(…)` returns: the job with other options for the calls that follow.
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import islice
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from sidelamb.errors import BadOption
from sidelamb.handle import Handle
from sidelamb.late import late_import
from sidelamb.times import epoch_seconds, seconds
from sidelamb.wording import shown

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sidelamb.client import Client
    from sidelamb.template import Template
    from sidelamb.transactions import OnCommit, Outbox
    from sidelamb.workflows.steps import Step

__all__ = ["Enqueues", "Setter", "Takes", "way_of"]

P = ParamSpec("P")
Q = ParamSpec("Q")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)


class Takes(Protocol):
    """What calls go through: a `Client`, or a transaction."""

    @property
    def through(self) -> Client:
        """The client by which their status is read."""

    def now(self) -> float:
        """Return the time, epoch s."""

    def submit(
        self, template: Template, args: Sequence[Any], kwargs: Mapping[str, Any], at: float | None = None
    ) -> str:
        """Take one call, and return its job's id."""

    def submit_many(
        self, template: Template, items: Iterable[Any], progress: Callable[[int], None] | None = None
    ) -> int:
        """Take many calls, and return how many."""

    async def asubmit(
        self, template: Template, args: Sequence[Any], kwargs: Mapping[str, Any], at: float | None = None
    ) -> str:
        """`submit` for async code."""

    async def asubmit_many(
        self, template: Template, items: Iterable[Any], progress: Callable[[int], None] | None = None
    ) -> int:
        """`submit_many` for async code."""


def way_of(client: Client | None, on_commit: OnCommit, outbox: Outbox) -> Takes | None:
    """Return what calls with these options of `Job.using` go through; None for the process's client."""
    if (on_commit is None or on_commit is False) and (outbox is None or outbox is False):
        return client
    with late_import:
        from sidelamb.transactions import within  # noqa: PLC0415 - few calls are part of a transaction

    return within(client, on_commit, outbox)


class Enqueues(Generic[P, R_co]):
    """What can be enqueued.

    All verbs raise, before anything is stored: BadCall for arguments that the function would not take,
    BadArgument for values that JSON does not have, PayloadTooLarge, UnknownQueue, and ConfigError without a
    Redis; and RedisUnreachable, RedisRefused (certainly not stored) or RedisUncertain (perhaps stored), with the
    `jids` that it is about.
    """

    @property
    @abstractmethod
    def template(self) -> Template:
        """What all these calls have in common."""

    @property
    @abstractmethod
    def client(self) -> Takes:
        """The client, or the transaction, that they go through."""

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R_co]:
        """Put the job on its queue and return its id; the empty text if client middleware stopped it.

        The id is a `Handle`: of a job with `result_ttl` it knows status and result. Of a unique job that is there
        already it is the id of that one.
        """
        client = self.client
        return Handle(client.submit(self.template, args, kwargs), client.through)

    def enqueue_in(self, delay: float | dt.timedelta, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R_co]:
        """Have the job run after `delay` (seconds or timedelta); returns as `enqueue`.

        Raises:
            BadOption: `delay` is no such thing. A negative one is in the past: the job is pushed at once.
        """
        template, client = self.template, self.client
        at = client.now() + seconds(delay, template.name)
        return Handle(client.submit(template, args, kwargs, at=at), client.through)

    def enqueue_at(self, when: float | dt.datetime, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R_co]:
        """Have the job run at `when` (aware datetime or epoch seconds); returns as `enqueue`.

        Raises:
            BadOption: `when` has no timezone or is no time. In the past, the job is pushed at once.
        """
        template, client = self.template, self.client
        return Handle(client.submit(template, args, kwargs, at=epoch_seconds(when, template.name)), client.through)

    def enqueue_many(
        self,
        items: Iterable[tuple[Any, ...] | dict[str, Any]],
        *,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Put one job on the queue for each item, 1,000 a round trip, and return how many.

        Args:
            items: for each job a tuple of its positional arguments, like `[(1,), (2,)]`, or a dict of its
                keyword arguments. May be a generator: it is read as it is stored, and never held whole.
            progress: called after each round trip with the number of jobs stored so far.

        Raises:
            BadCall: an item is neither tuple nor dict, or its arguments are wrong. On any error whole round
                trips may have been stored before it: `error.stored` says how many jobs.
        """
        return self.client.submit_many(self.template, items, progress)

    def enqueue_chunks(
        self: Enqueues[Concatenate[list[T], Q], Any],
        items: Iterable[T],
        *,
        size: int,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Put one job on the queue for each `size` items, a list of which is its one argument; return how many.

        100 ids with `size=10` are 10 jobs of 10. The last one has what is left; no items are no job.

        Args:
            items: may be a generator: it is read as it is stored, and never held whole.
            size: items a job.
            progress: as for `enqueue_many`, jobs and not items.

        Raises:
            BadOption: `size` is no whole number from 1. Otherwise as `enqueue_many`.
        """
        return self.enqueue_many(_lists(items, size, self.template.name), progress=progress)

    def s(self, /, *args: Any, **kwargs: Any) -> Step[R_co]:
        """Return this call as a step of a workflow; it may lack the first argument, the former step's result."""
        with late_import:
            from sidelamb.workflows.steps import Step  # noqa: PLC0415 - few calls are part of a workflow

        return Step(self.template, args, kwargs)

    def si(self, /, *args: P.args, **kwargs: P.kwargs) -> Step[R_co]:
        """Return this call as a step of a workflow that takes no result of the former one."""
        with late_import:
            from sidelamb.workflows.steps import Step  # noqa: PLC0415 - few calls are part of a workflow

        return Step(self.template, args, kwargs, alone=True)

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R_co]:
        """`enqueue` for async code."""
        client = self.client
        return Handle(await client.asubmit(self.template, args, kwargs), client.through)

    async def aenqueue_in(self, delay: float | dt.timedelta, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R_co]:
        """`enqueue_in` for async code."""
        template, client = self.template, self.client
        at = client.now() + seconds(delay, template.name)
        return Handle(await client.asubmit(template, args, kwargs, at=at), client.through)

    async def aenqueue_at(self, when: float | dt.datetime, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R_co]:
        """`enqueue_at` for async code."""
        template, client = self.template, self.client
        at = epoch_seconds(when, template.name)
        return Handle(await client.asubmit(template, args, kwargs, at=at), client.through)

    async def aenqueue_many(
        self,
        items: Iterable[tuple[Any, ...] | dict[str, Any]],
        *,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """`enqueue_many` for async code."""
        return await self.client.asubmit_many(self.template, items, progress)

    async def aenqueue_chunks(
        self: Enqueues[Concatenate[list[T], Q], Any],
        items: Iterable[T],
        *,
        size: int,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """`enqueue_chunks` for async code."""
        return await self.aenqueue_many(_lists(items, size, self.template.name), progress=progress)


class Setter(Enqueues[P, R_co]):
    """A job with the options of one call: what `Job.using` returns."""

    def __init__(self, template: Template, client: Takes | None = None) -> None:
        self._template = template
        self._client = client

    @property
    def template(self) -> Template:
        """The job's, with the changed options."""
        return self._template

    @property
    def client(self) -> Takes:
        """The one that was given, or else the process's."""
        if self._client is not None:
            return self._client
        from sidelamb.settings import default_client  # noqa: PLC0415 - settings import the client, which knows jobs

        return default_client()

    def __repr__(self) -> str:
        return f"<{self._template.name} with {self._template.head}>"


def _lists(items: Iterable[T], size: int, job: str) -> Iterator[tuple[list[T]]]:
    """Return the arguments of jobs of `size` items each; a wrong size is told at once."""
    if type(size) is not int or size < 1:
        raise BadOption(f"{job}: size of enqueue_chunks is {shown(size)}; expected a whole number from 1")
    left = iter(items)
    return ((some,) for some in iter(lambda: list(islice(left, size)), []))
