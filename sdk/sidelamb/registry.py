"""The jobs this process knows, by wire name. Only what is registered here ever runs.

`@job` registers. A worker fills the registry by importing the modules that SIDELAMB_JOBS names; nothing is ever
imported because a payload says so.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sidelamb.errors import ConfigError, NameTaken
from sidelamb.wording import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sidelamb.job import Job

__all__ = ["Registry", "registry"]


class Registry:
    """Jobs by wire name and by former names."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job[..., Any]] = {}
        self._aliases: dict[str, Job[..., Any]] = {}
        self._functions: dict[int, Job[..., Any]] = {}
        self._modules: dict[str, None] = {}

    def __getitem__(self, name: str) -> Job[..., Any]:
        """Return the job of that name, or raise KeyError with the nearest one."""
        job = self.find(name)
        if job is None:
            near = self.nearest(name)
            raise KeyError(f"no job is named {name!r}." + (f" Did you mean {near!r}?" if near else ""))
        return job

    def __contains__(self, name: object) -> bool:
        return name in self._jobs or name in self._aliases

    def __iter__(self) -> Iterator[Job[..., Any]]:
        return iter(list(self._jobs.values()))

    def __len__(self) -> int:
        return len(self._jobs)

    def find(self, name: str) -> Job[..., Any] | None:
        """Return the job that has this name, or had it once (`aliases`), or None."""
        return self._jobs.get(name) or self._aliases.get(name)

    def find_function(self, function: object) -> Job[..., Any] | None:
        """Return the job that was made of this plain function, or None."""
        found = self._functions.get(id(function))
        return found if found is not None and found.function is function else None

    def names(self) -> list[str]:
        """Return the wire names of all jobs, sorted, without former ones."""
        return sorted(self._jobs)

    def nearest(self, name: str) -> str | None:
        """Return the known name most like `name`, or None if none is."""
        names = self.names()
        near = nearest(name, names)
        tail = name.rpartition(".")[2]
        same_tail = [known for known in names if known.rpartition(".")[2] == tail]
        return near or next(iter(same_tail), None)

    def modules(self) -> list[str]:
        """Return the modules that `load` has imported, in that order."""
        return list(self._modules)

    def load(self, modules: Iterable[str]) -> None:
        """Import modules, so that their jobs register.

        Raises:
            ConfigError: there is no such module. What a module raises while it is imported comes through as it is.
        """
        names = modules.replace(",", " ").split() if isinstance(modules, str) else modules
        for name in names:
            try:
                importlib.import_module(name)
            except ModuleNotFoundError as error:
                if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                    raise
                raise ConfigError(
                    f"SIDELAMB_JOBS names {name!r}, and there is no module {error.name!r} on sys.path; "
                    "check the spelling and the folder that the code is started in"
                ) from None
            self._modules[name] = None

    def add(self, job: Job[..., Any]) -> None:
        """Register a job. The same function again, as after a reload, takes the place of the old one.

        Raises:
            NameTaken: its name, or a former one, belongs to another function.
        """
        for name in (job.name, *job.aliases):
            other = self.find(name)
            if other is not None and not _same(other.function, job.function):
                raise NameTaken(
                    f"the job name {name!r} is taken by {_where(other.function)}, so {_where(job.function)} "
                    "cannot have it; give one of them a name of its own with @job(name='…')"
                )
        for name in (job.name, *job.aliases):
            self._forget(name)
        self._jobs[job.name] = job
        self._aliases |= dict.fromkeys(job.aliases, job)
        self._functions[id(job.function)] = job

    def _forget(self, name: str) -> None:
        old = self.find(name)
        if old is None:
            return
        self._jobs.pop(old.name, None)
        self._functions.pop(id(old.function), None)
        for alias in old.aliases:
            self._aliases.pop(alias, None)


registry = Registry()
"""The jobs of this process."""


def _same(a: Callable[..., Any], b: Callable[..., Any]) -> bool:
    """Say whether two functions are one piece of code, perhaps imported twice (as `__main__`, or reloaded)."""
    if getattr(a, "__qualname__", "") != getattr(b, "__qualname__", None):
        return False
    return a.__module__ == b.__module__ or (_file(a) is not None and _file(a) == _file(b))


def _file(function: Callable[..., Any]) -> str | None:
    return getattr(getattr(function, "__code__", None), "co_filename", None)


def _where(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    place = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
    return f"{function.__module__}.{function.__qualname__}{place}"
