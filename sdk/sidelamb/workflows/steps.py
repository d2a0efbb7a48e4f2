"""What a workflow is written as.

    chain(fetch.s(url), parse.s(), store.s("table")).enqueue()
    group(resize.s(n) for n in ids).enqueue()
    chain(group(count.s(part) for part in parts), total.s()).enqueue()

A step gets what the one before it has returned as its first argument, if its function takes one more than it was
given. `si` in place of `s` says that it does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sidelamb import settings
from sidelamb.batches.batch import Batch
from sidelamb.errors import BadCall, BadOption, SidelambError
from sidelamb.wording import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidelamb.batches.status import BatchStatus
    from sidelamb.client import Client
    from sidelamb.template import Template

__all__ = ["Chain", "Group", "Run", "Step", "WorkflowStopped", "chain", "group"]

R_co = TypeVar("R_co", covariant=True)


class WorkflowStopped(SidelambError):
    """A step is dead, was cancelled or deleted. Retry a dead one by hand, and the workflow goes on from it."""


class Step(Generic[R_co]):
    """One call of a job in a workflow: what `job.s(…)` returns.

    Args:
        template: the job's, with the options of this call.
        args, kwargs: of the call.
        alone: it does not take the result of the step before it.
    """

    def __init__(
        self, template: Template, args: Sequence[Any], kwargs: Mapping[str, Any], *, alone: bool = False
    ) -> None:
        self.template, self.args, self.kwargs, self.alone = template, tuple(args), dict(kwargs), alone

    def takes(self, *, first: bool) -> bool:
        """Say whether it takes a result, if there is one; checks the call.

        Raises:
            BadCall: its function would not take these arguments.
            BadOption: it is unique, and not the first one.
        """
        shape, name = self.template.shape, self.template.name
        if first:
            shape.check(self.args, self.kwargs)
            return False
        if "lock" in self.template.payload(self.args, self.kwargs, "", 0.0):
            raise BadOption(f"{name}: only the first step of a workflow can be unique (unique_for)")
        if not self.alone:
            try:
                shape.check((None, *self.args), self.kwargs)
            except BadCall:
                pass
            else:
                return True
        shape.check(self.args, self.kwargs)
        return False

    def __repr__(self) -> str:
        return self.template.name


class Run(Batch):
    """A workflow that is under way: its batch, with its result."""

    last: Step[Any] | Group | None = None
    result_of: tuple[str, str | list[str]] = ("", "")
    """The batch that keeps the result, and the ids of the jobs that return it."""

    def result(self, timeout: float | None = None) -> Any:
        """Wait, and return what the last step has returned; of a group a list, None for a job that was discarded.

        Raises:
            WorkflowStopped: it has stopped before its end.
            NotFinished: the time is over. Otherwise as `wait`.
        """
        self._check(self.wait(timeout))
        return self._picked(Batch.of(self.result_of[0], self._client).results())

    async def aresult(self, timeout: float | None = None) -> Any:
        """`result` for async code."""
        self._check(await self.await_(timeout))
        return self._picked(await Batch.of(self.result_of[0], self._client).aresults())

    def _check(self, status: BatchStatus) -> None:
        if status.state != "succeeded":
            dead = ", ".join([*status.dead, *(jid for child in status.children for jid in child.dead)])
            raise WorkflowStopped(
                f"{self.description} (batch {self.bid}) is {status.state}, dead are: {dead or 'none'}. Retry "
                "them, and it goes on from there"
            )

    def _picked(self, found: Mapping[str, Any]) -> Any:
        jids = self.result_of[1]
        return found.get(jids) if isinstance(jids, str) else [found.get(jid) for jid in jids]


class Workflow:
    """What can be enqueued as a whole."""

    nodes: tuple[Step[Any] | Group, ...]

    def enqueue(self, client: Client | None = None, **options: Any) -> Run:
        """Enqueue it, all or nothing, and return the batch that it is.

        Args:
            client: through which; None for the process's.
            **options: of its `Batch`: description, on_success, on_complete, on_death, options, tags, expires_in,
                linger.

        Raises:
            As `Job.enqueue` and `Batch`.
        """
        from sidelamb.workflows.launching import launched  # noqa: PLC0415 - it knows this module

        through = client or settings.default_client()
        with Run(**({"description": repr(self)} | options), results=True, client=through) as run:
            for packed in launched(self, run, through):
                through.store_one(packed)
        return run

    async def aenqueue(self, client: Client | None = None, **options: Any) -> Run:
        """`enqueue` for async code."""
        from sidelamb.workflows.launching import launched  # noqa: PLC0415 - it knows this module

        through = client or settings.default_client()
        async with Run(**({"description": repr(self)} | options), results=True, client=through) as run:
            for packed in launched(self, run, through):
                await through.astore_one(packed)
        return run


class Chain(Workflow):
    """Steps one after the other; each begins when the one before it has succeeded."""

    def __init__(self, nodes: Iterable[Step[Any] | Group | Chain]) -> None:
        flat: list[Step[Any] | Group] = []
        for node in nodes:
            flat += node.nodes if isinstance(node, Chain) else [_checked(node, "chain")]
        if not flat:
            raise BadCall("chain() has no steps; give it some, like chain(fetch.s(url), parse.s())")
        self.nodes = tuple(flat)
        for n, node in enumerate(self.nodes):
            if isinstance(node, Step):
                node.takes(first=n == 0)
            else:
                node.check(first=n == 0)

    def __repr__(self) -> str:
        return f"chain({', '.join(map(repr, self.nodes))})"


class Group(Workflow):
    """Steps, or chains of steps, side by side."""

    def __init__(self, members: Iterable[Step[Any] | Chain]) -> None:
        self.members: list[tuple[Step[Any] | Group, ...]] = []
        for member in members:
            if isinstance(member, Group) or (isinstance(member, Chain) and isinstance(member.nodes[-1], Group)):
                raise BadCall(
                    "a group in a group has no one result; put a step behind it: chain(group(…), total.s())"
                )
            self.members.append(member.nodes if isinstance(member, Chain) else (_checked(member, "group"),))
        self.nodes = (self,)

    def check(self, *, first: bool) -> None:
        """Raise BadCall if one of its steps cannot be called so."""
        for nodes in self.members:
            node = nodes[0]
            node.takes(first=first) if isinstance(node, Step) else node.check(first=first)

    def __repr__(self) -> str:
        names = list(dict.fromkeys(nodes[0].__repr__() for nodes in self.members))
        return f"group({len(self.members)} of {', '.join(names)})"


def chain(*nodes: Step[Any] | Group | Chain) -> Chain:
    """Make a workflow of steps that run one after the other.

    Args:
        *nodes: `job.s(…)`, or a group, after which the next step gets the list of its results.

    Raises:
        BadCall: a step cannot be called so, or there is none.
        BadOption: a step that is not the first one is unique.
    """
    return Chain(nodes)


def group(*members: Step[Any] | Chain | Iterable[Step[Any] | Chain]) -> Group:
    """Make a workflow of steps, or chains, that run side by side: `group(a.s(1), b.s())`, or of an iterable.

    Raises:
        BadCall: a member is none, or is a group.
    """
    if len(members) == 1 and isinstance(members[0], Iterable):
        return Group(members[0])
    return Group(members)  # type: ignore[arg-type]  # what is none is told there


def _checked(node: Any, where: str) -> Any:
    if not isinstance(node, Step | Group):
        raise BadCall(f"{where}(…) takes steps, like fetch.s(url), not {shown(node)}")
    return node
