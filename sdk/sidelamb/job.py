"""`@job`: makes a job of a function, registered under its name and typed as the function is.

    @job(queue="mail", max_retries=5)
    def send(user_id: int, *, subject: str = "") -> None: ...

    send(12)                 # runs it here, plainly
    send.enqueue(12)         # has it run by a worker

Functions, async functions, staticmethods and classmethods can be jobs, with `@job` above or below
`@staticmethod` and `@classmethod`; generators too, if they yield a cursor (see `iteration.py`). Methods of
instances cannot: an object's state is not stored with a job.
"""

from __future__ import annotations

import functools
import inspect
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, Unpack, overload

from sidelamb import settings
from sidelamb.binding import ClassBinding
from sidelamb.calls import Enqueues, Setter, way_of
from sidelamb.errors import BadOption, JobError
from sidelamb.iteration import Callbacks, is_iterable
from sidelamb.names import check_queue, default_name, job_name
from sidelamb.options import CallOptions, DeclareOptions, JobOptions, marks_of, wire_head
from sidelamb.registry import registry
from sidelamb.template import Shape, Template
from sidelamb.wording import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sidelamb.client import Client
    from sidelamb.transactions import OnCommit, Outbox

__all__ = ["Job", "job"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
C_contra = TypeVar("C_contra", bound=type[Any], contravariant=True)


class Job(Callbacks, Enqueues[P, R_co], Generic[P, R_co]):
    """A function that can be enqueued; made by `@job`.

    Attributes:
        name: its name on the wire.
        aliases: its former names, under which a worker still finds it.
        function: the plain function.
        options: its options.
        is_async: whether it is an `async def`.
        is_iterable: whether it is a generator that yields its cursor.
    """

    name: str
    aliases: tuple[str, ...]
    function: Callable[..., Any]
    options: JobOptions
    is_async: bool

    def __init__(self, declared: Any, options: Mapping[str, Any]) -> None:
        function = _function(declared)
        functools.update_wrapper(self, function, updated=())
        where = f"@job on {function.__module__}.{function.__qualname__}"
        _refuse_methods(declared, function, where)
        given = dict(options)
        own_name, aliases = given.pop("name", None), given.pop("aliases", ())
        self.function = function
        self.options = JobOptions().with_(where, given, others=("name", "aliases"))
        known = settings.known_queues()
        if known is not None:
            check_queue(self.options.queue, known, where)
        self.name = default_name(function) if own_name is None else job_name(own_name, where)
        self.aliases = _aliases(aliases, self.name, where)
        self.is_async = inspect.iscoroutinefunction(function)
        self.is_iterable = is_iterable(function, where)
        if self.is_iterable and self.options.idempotent:
            raise BadOption(
                f"{where}: an iterable job goes on from its cursor and has no one effect; drop idempotent"
            )
        self._callbacks = {}
        self._is_named = own_name is not None
        self._binding = ClassBinding(self, declared)
        self._made: Template | None = None

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function here and now; an async one returns its coroutine, an iterable one its generator."""
        result: R_co = self._binding.call(args, kwargs)
        return result

    def using(
        self,
        *,
        client: Client | None = None,
        on_commit: OnCommit = None,
        outbox: Outbox = None,
        **options: Unpack[CallOptions],
    ) -> Setter[P, R_co]:
        """Return this job with other options, for the calls that follow: `send.using(queue="low").enqueue(12)`.

        Args:
            client: the client to go through instead of the process's.
            on_commit: push when a transaction has been committed: True or the alias of a database of Django's,
                or a session of SQLAlchemy's, async or scoped too. See docs/how-to/transactions.md.
            outbox: write into the outbox of that database, as a part of its transaction; a relay pushes from
                there. See docs/how-to/outbox.md.
            **options: queue, max_retries, on_exhausted, timeout, tags, retry_for, retry_queue, backtrace,
                expires_in, unique_for, unique_until, result_ttl, in place of the declared ones. A timeout given
                here travels with the job; a declared one stays in the code that the worker has.

        Raises:
            UnknownOption, BadOption: there is no such option, or its value cannot be.
        """
        return Setter(self.with_options(dict(options)), way_of(client, on_commit, outbox))

    def with_options(self, options: dict[str, Any]) -> Template:
        """Return this job's template with some options of a call changed; raises as `using`."""
        base = self.template
        if not options:
            return base
        changed = self.options.for_call(self.name, options)
        head = wire_head(changed, timeout_s=changed.timeout_s if "timeout" in options else None)
        marks = marks_of(changed, base.shape.names if base.shape else ())
        return Template(self.name, head, base.shape, expires_in_s=changed.expires_in_s, marks=marks)

    @property
    def template(self) -> Template:
        """What all its calls have in common.

        Raises:
            JobError: a worker could not find this job, or not run it as it was called.
        """
        if self._made is None:
            if self.function.__module__ == "__main__" and not self._is_named:
                raise JobError(
                    f"{self.name} is defined in the program that was started, which a worker does not import; "
                    "move it to a module of its own, or give it a name with @job(name='…')"
                )
            shape = Shape(self.name, self._binding.target())
            expires_in_s = self.options.expires_in_s
            marks = marks_of(self.options, shape.names)
            self._made = Template(
                self.name, wire_head(self.options), shape, expires_in_s=expires_in_s, marks=marks
            )
        return self._made

    @property
    def client(self) -> Client:
        """The process's client."""
        return settings.default_client()

    def seen_from(self, owner: type) -> Job[..., Any]:
        """Return this job as an attribute of a class: its own class's, or a subclass's that cannot enqueue it."""
        return self._binding.seen_from(owner)

    def __repr__(self) -> str:
        return f"<Job {self.name}>"

    def __reduce__(self) -> str:
        return str(self.function.__qualname__)  # pickled and copied as functions are: by name

    if not TYPE_CHECKING:  # type checkers bind classmethods through _ClassJob

        def __set_name__(self, owner: type, name: str) -> None:
            self._binding.owned_by(owner)

        def __get__(self, instance: object, owner: type | None = None) -> Job[..., Any]:
            return self._binding.seen_from(owner)


if TYPE_CHECKING:

    class _ClassJob(Job[Concatenate[C_contra, P], R_co], Generic[C_contra, P, R_co]):
        """A job whose function takes a class first. Seen through a class it is a job without that argument."""

        def __get__(self, instance: object, owner: type | None = None) -> Job[P, R_co]: ...


class _Decorator(Protocol):
    """What `job(…)` with options returns."""

    @overload
    def __call__(self, function: Callable[Concatenate[C_contra, P], R_co], /) -> _ClassJob[C_contra, P, R_co]: ...
    @overload
    def __call__(self, function: Callable[P, R_co], /) -> Job[P, R_co]: ...


@overload
def job(function: Callable[Concatenate[C_contra, P], R_co], /) -> _ClassJob[C_contra, P, R_co]: ...
@overload
def job(function: Callable[P, R_co], /) -> Job[P, R_co]: ...
@overload
def job(**options: Unpack[DeclareOptions]) -> _Decorator: ...
def job(function: Any = None, /, **options: Any) -> Any:
    """Make a job of a function; with or without options in parentheses.

    Args:
        function: what to run: a `def`, an `async def`, a staticmethod or a classmethod.
        **options: `name` (on the wire; default `module.qualname`), `aliases` (former names), `queue` ("default"),
            `max_retries` (runs after the first; 25), `on_exhausted` ("dead" keeps the job for a person, "discard"
            drops it, a function of payload and error decides), `timeout` (seconds or timedelta for one run, at
            most 900), `tags` (labels), `retry_for` (retry within this time instead of counting), `retry_queue`,
            `backoff` (a function of attempt and error that returns seconds), `backtrace` (keep it: True, or a
            number of lines), `expires_in` (seconds after which the job is not started any more), `unique_for`
            (seconds in which another with the same arguments is not stored), `unique_until` ("success" or
            "start"), `unique_by` (a function of the arguments: what makes two calls the same), `result_ttl`
            (seconds after its end in which its status and its result are kept), `limit` (see
            `sidelamb.limits`), `encrypt` (seal the arguments),
            `idempotent` (its effect happens once: True, or a function of the arguments), `idempotent_for` (seconds
            in which that is known; a day).

    Raises:
        UnknownOption, BadOption: an option that is none, or a value that cannot be.
        NameTaken: another function has this name.
        JobError: this cannot be a job; the message says why.
    """
    if function is None:
        return functools.partial(_declare, options=options)
    if options:
        raise JobError("write @job(name=…, …) above the function, not job(function, name=…)")
    return _declare(function)


def _declare(function: Any, options: Mapping[str, Any] = MappingProxyType({})) -> Job[..., Any]:
    made: Job[..., Any] = Job(function, options)
    registry.add(made)
    return made


def _function(declared: Any) -> Callable[..., Any]:
    """Return the plain function in what was decorated."""
    function = declared.__func__ if isinstance(declared, staticmethod | classmethod) else declared
    if isinstance(function, Job):
        raise JobError(f"{function.name} is a job already; @job stands above it twice")
    if isinstance(function, str):
        raise JobError(f"@job({function!r}) names no function; write @job(name={function!r})")
    if inspect.isclass(function) or not callable(function) or not hasattr(function, "__qualname__"):
        raise JobError(f"@job goes on functions, not on {shown(function)}; write a def that does it")
    found: Callable[..., Any] = function
    return found


def _refuse_methods(declared: Any, function: Callable[..., Any], where: str) -> None:
    in_class = "." in function.__qualname__.rpartition("<locals>.")[2]
    code = getattr(function, "__code__", None)
    first = code.co_varnames[:1] if code is not None and code.co_argcount else ()
    if inspect.ismethod(function) or (declared is function and in_class and first == ("self",)):
        raise JobError(
            f"{where}: it is a method of an instance, and an object's state is not stored with a job; make it a "
            "@staticmethod or @classmethod that takes the object's id and loads the object inside the job"
        )


def _aliases(value: Any, name: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise BadOption(f"{where}: aliases is {shown(value)}; expected a list of names, like ['app.old']")
    aliases = tuple(job_name(alias, where, "an alias") for alias in value)
    if name in aliases:
        raise BadOption(f"{where}: {name!r} is its name, so it cannot be an alias too")
    return aliases
