"""One attempt at one job, from its bytes' meaning to its outcome, in named steps.

The order in `Runner` is the semantics: `decode` says whether a payload will run at all, `attempt` puts the
middleware around the call, and what the outcome means for the job is the judge's. Nothing here touches Redis or
decides when to run.
"""

from __future__ import annotations

import time
from contextvars import copy_context
from dataclasses import dataclass
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any

from sidelamb.carry import carrying, set_again
from sidelamb.current import running
from sidelamb.effects import FIELDS
from sidelamb.errors import JobError, RedisRefused
from sidelamb.late import late_import
from sidelamb.lenient import epoch_s, number, whole
from sidelamb.tracing import checked
from sidelamb_handlers.decision import SUCCEEDED, Decision
from sidelamb_handlers.iteration import Iteration
from sidelamb_handlers.judge import Judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sidelamb.job import Job
    from sidelamb.registry import Registry
    from sidelamb_handlers.states import States

    CallNext = Callable[[], Any]
    ServerMiddleware = Callable[["Attempt", CallNext], Any]

__all__ = ["Attempt", "Runner"]

_ASKED = FIELDS | {"carries", "doomed", "expiry", "given", "sealed", "timeout"}
"""Fields by which a payload asks for more than that its function is called."""

LOOK_S = 1.0
"""Between two looks whether a running job was cancelled, however often it asks."""


@dataclass(slots=True, eq=False)
class Attempt:
    """A job that is about to run, is running, or has run. Each is itself alone, whatever its fields say."""

    field: str
    """Its field in the lease."""
    queue: str
    payload: Any
    request_id: str
    lease: str
    states: States | None = None
    """The way to what it leaves in Redis between executions; None for a worker without Redis."""
    token: str = ""
    """What the claim of its lease is known by."""
    deadline: float = 0.0
    """Epoch s beyond which its invocation cannot live."""
    job: Job[..., Any] | None = None
    timeout_s: float | None = None
    is_plain: bool = False
    """Decoded; its payload asks for nothing, it has no limit: its function is called, and that is all."""
    on_loop: bool = False
    """Its function is a coroutine's, and nothing is around it that would block: it needs no thread."""
    started_at: float = 0.0
    """Epoch s; 0 while it has not started."""
    ended_at: float = 0.0
    error: BaseException | None = None
    result: Any = None
    """What its function returned, if its features want to know."""
    decision: Decision | None = None
    """What it has decided itself, other than by an error: it goes on later, or was cancelled."""
    iteration: Iteration | None = None
    """The execution of an iterable job."""
    has_state: bool = False
    """It may have something in Redis that goes when it is done."""
    is_cancelled: bool = False
    """It was cancelled, when that was last looked for."""
    look_at: float = 0.0
    """Before this second of the monotonic clock it is not looked for again."""
    interrupt: Callable[[], object] | None = None
    """Asks the running code to stop."""

    @property
    def jid(self) -> str:
        """Its id, empty if the payload has none."""
        return str(self.payload.get("jid", "")) if isinstance(self.payload, dict) else ""

    @property
    def name(self) -> str:
        """The name in the payload."""
        return str(self.payload.get("class", "")) if isinstance(self.payload, dict) else ""

    @property
    def attempt(self) -> int:
        """1 for the first run."""
        count = whole(self.payload.get("retry_count"))
        return 1 if count is None else count + 2

    @property
    def enqueued_at(self) -> float | None:
        """Epoch s, whichever of Sidekiq's units the payload has; None if it says nothing usable."""
        return epoch_s(self.payload.get("enqueued_at"))

    @property
    def tick(self) -> float | None:
        """The time that a periodic job's clock has enqueued it for, epoch s; None for any other."""
        return epoch_s(self.payload.get("tick")) if isinstance(self.payload, dict) else None

    @property
    def traceparent(self) -> str:
        """The trace in which it was enqueued; empty if its payload names none that can be."""
        return checked(self.payload.get("traceparent")) if isinstance(self.payload, dict) else ""

    @property
    def carried(self) -> dict[str, Any]:
        """The context that it brings along; empty if its payload has none that can be."""
        found = self.payload.get("carried") if isinstance(self.payload, dict) else None
        return found if isinstance(found, dict) else {}

    @property
    def executions(self) -> int:
        """How often an iterable job was started."""
        return 1 if self.iteration is None else self.iteration.executions

    @property
    def cursor(self) -> Any:
        """What an iterable job yielded last."""
        return None if self.iteration is None else self.iteration.cursor

    @property
    def cancelled(self) -> bool:
        """Whether somebody has cancelled it; looks at most once a second, and not again once it is so."""
        now = time.monotonic()
        if self.states is not None and not self.is_cancelled and now >= self.look_at and self.jid:
            self.look_at = now + LOOK_S
            self.is_cancelled = self.states.is_cancelled(self.jid)
            self.has_state |= self.is_cancelled
            if not self.is_cancelled and "bid" in self.payload:
                self.is_cancelled = bool(self.states.cancelled([self.payload]))
        return self.is_cancelled

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far it is, if its status is kept."""
        if self.states is not None and "result_ttl" in self.payload:
            self.states.progress(self.jid, done, total, note)


class Runner:
    """Takes attempts through their steps.

    Args:
        registry: the jobs this worker knows.
        run_async: runs a coroutine to its end and returns its result.
        middleware: wrapped around each call, the first one outermost.
        clock: epoch s.
        random: in [0, 1).
        unknown_for_s: how long a job whose name nobody knows is put off.
        gate: says of a job that uses features whether it may run; None to run all.
    """

    def __init__(
        self,
        registry: Registry,
        run_async: Callable[[Attempt, Any], Any],
        middleware: Sequence[ServerMiddleware] = (),
        *,
        clock: Callable[[], float] = time.time,
        random: Callable[[], float],
        unknown_for_s: float = 3_600.0,
        gate: Callable[[Attempt], Decision | None] | None = None,
    ) -> None:
        self._registry = registry
        self._gate = gate
        self._run_async = run_async
        self._middleware = tuple(middleware)
        self._clock = clock
        self._judge = Judge(registry, clock=clock, random=random, unknown_for_s=unknown_for_s)

    def surround(self, layer: ServerMiddleware) -> None:
        """Put a layer around all there are."""
        self._middleware = (layer, *self._middleware)

    def decode(self, a: Attempt) -> Callable[[], Decision] | None:  # noqa: PLR0911 - one for each reason
        """Resolve the name of a job that may run. If it will not run: return what decides about it.

        Deciding tells the app's hooks, and is for whom the job belongs to; this tells nobody.
        """
        payload = a.payload
        if not isinstance(payload, dict):
            return lambda: self._judge.malformed(a, "not an object")
        if not isinstance(payload.get("class"), str):
            return lambda: self._judge.malformed(a, "no class")
        if not isinstance(payload.get("args", []), list) or not isinstance(payload.get("kwargs", {}), dict):
            return lambda: self._judge.malformed(a, "args must be a list and kwargs an object")
        job = a.job = self._registry.find(payload["class"]) or _own(payload["class"])
        if job is not None and job.options.limit is None and _ASKED.isdisjoint(payload):
            a.is_plain, a.timeout_s = True, job.options.timeout_s
            a.on_loop = job.is_async and not self._middleware and not job.options.idempotent
            return None
        if payload.get("doomed") is True:
            return lambda: self._judge.laid_to_rest(a)
        expiry = number(payload.get("expiry"))
        if expiry is not None and expiry < self._clock():
            return self._judge.expired
        if job is None:
            return lambda: self._judge.unknown(a)
        in_payload = number(payload.get("timeout")) or 0.0
        a.timeout_s = in_payload if in_payload > 0 else job.options.timeout_s
        return None

    def run(self, a: Attempt) -> Decision:
        """Take an attempt through all its steps and return what becomes of its job."""
        decide = self.decode(a)
        return self.attempt(a) if decide is None else decide()

    def is_iterable(self, a: Attempt) -> bool:
        """Say whether an attempt, decoded or not, is of an iterable job that this worker knows."""
        job = self._registry.find(a.name)
        return job is not None and job.is_iterable

    def attempt(self, a: Attempt) -> Decision:
        """Run a decoded attempt and return what becomes of its job."""
        token = running.set(a)
        try:
            if self._gate is not None and not a.is_plain:
                try:
                    refused = self._gate(a)
                except RedisRefused as error:  # nobody can say whether it may run
                    a.error = error
                    return self.decide(a, error)
                if refused is not None:
                    return refused
            if (
                carrying
            ):  # in a context of its own: what a job sets there is not seen by the next one on its thread
                copy_context().run(self._run, a)
            else:
                self._run(a)
        finally:
            running.reset(token)
        return a.decision or SUCCEEDED if a.error is None else self.decide(a, a.error)

    async def arun(self, a: Attempt) -> None:
        """Run a decoded attempt that is `on_loop`, in a context of its own. What went wrong is in `a.error`."""
        running.set(a)
        job = a.job
        a.started_at = self._clock()
        try:
            if carrying:
                set_again(a.payload)
            if job is not None:
                args, kwargs = _arguments(a, job)
                await job(*args, **kwargs)
        except BaseException as error:
            a.error = error
        a.ended_at = self._clock()

    def decide(self, a: Attempt, error: BaseException) -> Decision:
        """Return what an error means for the job."""
        return self._judge.decide(a, error)

    def _run(self, a: Attempt) -> None:
        a.started_at = self._clock()
        try:
            if carrying:
                set_again(a.payload)
            self._perform(a)
        except BaseException as error:
            a.error = error
        a.ended_at = self._clock()

    def _perform(self, a: Attempt) -> None:
        if not self._middleware:
            self._call(a)
            return
        call: CallNext = lambda: self._call(a)  # noqa: E731
        for layer in reversed(self._middleware):
            call = _wrapped(layer, a, call)
        call()

    def _call(self, a: Attempt) -> Any:
        job, payload = a.job, a.payload
        if job is None:  # pragma: no cover - decode has refused it
            raise LookupError(a.name)
        if job.is_iterable:
            return self._iterate(a, job)
        args, kwargs = _arguments(a, job)
        if job.options.idempotent:
            with late_import:
                from sidelamb_handlers.idempotent import once  # noqa: PLC0415 - only for jobs that ask for it

            value = once(a, args, kwargs, lambda: self._effect(a, job, args, kwargs))
        else:
            value = self._effect(a, job, args, kwargs)
        if a.is_plain:
            return value
        if payload.get("carries"):
            with late_import:
                from sidelamb.workflows.carrying import carried  # noqa: PLC0415 - only for steps of workflows

            a.result = carried(payload, value, self._registry)
        elif value is not None and not FIELDS.isdisjoint(payload):
            a.result = value
        return value

    def _effect(self, a: Attempt, job: Job[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Call the function and return its result."""
        result = job(*args, **kwargs)
        if result is None:
            return None
        if isinstance(result, GeneratorType | AsyncGeneratorType):
            raise JobError(f"{a.name} returned a generator, which nobody runs; put @job on the generator itself")
        return self._run_async(a, result) if hasattr(type(result), "__await__") else result

    def _iterate(self, a: Attempt, job: Job[..., Any]) -> None:
        """Run one execution of an iterable job. What comes of it is in `a.decision`, None if it is through."""
        iteration = a.iteration = Iteration(a, job, a.states, self._clock)
        goes_on_with = iteration.begin()
        if goes_on_with is None:
            return
        try:
            args, kwargs = _arguments(a, job)
            items: Any = job(*args, **{**kwargs, **goes_on_with})
            if isinstance(items, AsyncGeneratorType):
                self._run_async(a, iteration.arun(items))
            else:
                iteration.run(items)
        except BaseException:
            iteration.keep()
            raise
        iteration.conclude()


def _own(name: str) -> Job[..., Any] | None:
    """Return a job of our own, which apps need not name."""
    if name != "sidelamb.workflows.start":
        return None
    with late_import:
        from sidelamb.workflows.launching import start  # noqa: PLC0415 - only for workflows

    found: Job[..., Any] = start
    return found


def _arguments(a: Attempt, job: Job[..., Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """Return what the payload's arguments are for the function."""
    args, kwargs = a.payload.get("args", ()), a.payload.get("kwargs", {})
    if not a.is_plain:
        args, kwargs = _opened(a, args, kwargs)
    codec = job.template.shape.codec
    return (args, kwargs) if codec is None else codec.decode(args, kwargs)


def _opened(a: Attempt, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """Return arguments as their job means them: sealed ones opened, and with what a callback is given."""
    if a.payload.get("sealed") is not None:
        with late_import:
            from sidelamb.seal import opened  # noqa: PLC0415 - only for jobs that encrypt their arguments

        args, kwargs = opened(a.payload)
    if a.payload.get("given") is not None:
        with late_import:
            from sidelamb_handlers.given import given  # noqa: PLC0415 - only for callbacks

        args = given(a, args)
    return args, kwargs


def _wrapped(layer: ServerMiddleware, a: Attempt, call: CallNext) -> CallNext:
    return lambda: layer(a, call)
