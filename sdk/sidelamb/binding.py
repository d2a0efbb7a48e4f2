"""How a job that is a classmethod gets its class.

`@job @classmethod` and `@classmethod @job` mean the same. In the first, Python tells the job its class; in the
second it tells the classmethod object, and the job looks itself up. Python 3.13 no longer asks what stands below
a classmethod for its binding, so nothing here relies on that.

A job runs with the class that defines it: a subclass through which it is called plainly gets itself, but
enqueuing through a subclass is refused, because only the job's name travels. (With `@classmethod @job` on
Python 3.13 the job cannot see that it was reached through a subclass, and is enqueued as its own class's.)
"""

from __future__ import annotations

import sys
from types import MethodType
from typing import TYPE_CHECKING, Any

from sidelamb.errors import JobError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sidelamb.job import Job

__all__ = ["ClassBinding"]


class ClassBinding:
    """What a job's function is bound to: a class, or nothing.

    Args:
        job: the job.
        declared: what `@job` decorated: a function, a staticmethod or a classmethod.
    """

    def __init__(self, job: Job[..., Any], declared: object) -> None:
        self._job = job
        self._function = job.function
        self._is_classmethod = isinstance(declared, classmethod)
        self._is_sure = (
            self._is_classmethod or isinstance(declared, staticmethod) or not _is_in_class(job.function)
        )
        self._owner: type | None = None
        self._target: Callable[..., Any] | None = (
            None if not self._is_sure or self._is_classmethod else job.function
        )

    def owned_by(self, owner: type) -> None:
        """Take note of the class whose attribute the job is."""
        if self._owner is None and self._is_classmethod:
            self._owner = owner
        elif not self._is_sure:
            self._is_sure, self._target = True, self._function

    def seen_from(self, owner: type | None) -> Job[..., Any]:
        """Return the job as it looks as an attribute of a class, or of an object of it."""
        if not self._is_sure and owner is not None:
            self._look_in(owner)  # a classmethod object above us asks
        if self._owner is None or owner is None or owner is self._owner or not issubclass(owner, self._owner):
            return self._job
        return _inherited(self._job, self._owner, owner)

    def call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call the function, with its class if it has one."""
        target = self._target or self.target()
        owner = self._owner
        if owner is not None and args and isinstance(args[0], type) and issubclass(args[0], owner):
            return self._function(*args, **kwargs)  # Python 3.13: bound by the classmethod object above us
        return target(*args, **kwargs)

    def target(self) -> Callable[..., Any]:
        """Return what a worker calls.

        Raises:
            JobError: it takes a class that cannot be found.
        """
        if self._target is None:
            if self._owner is None:
                self._find_owner()
            self._target = self._function if self._owner is None else MethodType(self._function, self._owner)
        return self._target

    def _find_owner(self) -> None:
        """Look the job up by its module and qualified name."""
        found: Any = sys.modules.get(self._function.__module__)
        for part in self._function.__qualname__.split(".")[:-1]:
            found = getattr(found, part, None)
        if isinstance(found, type):
            self._look_in(found)
        elif self._is_classmethod or _takes_cls(self._function):
            raise JobError(
                f"{self._job.name} is a classmethod whose class cannot be found; write @job above @classmethod, "
                "in the body of a class"
            )
        self._is_sure = True

    def _look_in(self, owner: type) -> None:
        for cls in owner.__mro__:
            for attribute in vars(cls).values():
                inner = getattr(attribute, "__func__", None) if isinstance(attribute, classmethod) else None
                if inner is self._job:
                    self._owner, self._is_sure = cls, True
                    return


def _inherited(job: Job[..., Any], owner: type, seen_from: type) -> Job[..., Any]:
    """Return the job of a class as a subclass has it: to be called, not to be enqueued."""
    twin = object.__new__(type(job))
    twin.__dict__.update(job.__dict__)
    twin._binding = _Inherited(twin, owner, seen_from)
    twin._made = None
    return twin


class _Inherited(ClassBinding):
    """The binding of a job that was reached through a subclass of the class that defines it."""

    def __init__(self, job: Job[..., Any], owner: type, seen_from: type) -> None:
        super().__init__(job, classmethod(job.function))
        self._owner, self._defined_in = seen_from, owner

    def target(self) -> Callable[..., Any]:
        sub, base = self._owner.__qualname__ if self._owner else "", self._defined_in.__qualname__
        raise JobError(
            f"{sub}.{self._function.__name__} is {base}'s job, and would run with {base}: a payload names the "
            f"job, not the class. Enqueue {base}.{self._function.__name__}, with what it needs to know of {sub} "
            "as an argument"
        )

    def call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return self._function(self._owner, *args, **kwargs)


def _is_in_class(function: Callable[..., Any]) -> bool:
    return "." in function.__qualname__.rpartition("<locals>.")[2]


def _takes_cls(function: Callable[..., Any]) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and code.co_argcount > 0 and code.co_varnames[0] == "cls"
