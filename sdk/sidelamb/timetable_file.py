"""Periodic jobs of a settings file.

# sidelamb.toml
[periodic.nightly]
job = "jobs.clean"
cron = "0 3 * * *"
tz = "Europe/Paris"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidelamb.errors import ConfigError, JobError
from sidelamb.registry import registry
from sidelamb.timetable import Entry, checked
from sidelamb.wording import did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_tables", "entry_of"]

_KINDS: dict[str, tuple[type, str]] = {
    "job": (str, 'a job\'s name, like "jobs.clean"'),
    "cron": (str, 'five fields, like "0 3 * * *"'),
    "tz": (str, 'a time zone\'s name, like "Europe/Paris"'),
    "args": (list, "a list"),
    "kwargs": (dict, "a table"),
    "missed": (str, '"once", "skip" or "all"'),
    "queue": (str, "a queue's name"),
}
_REQUIRED = ("job", "cron")


def check_tables(tables: Any, file: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give name and table of each periodic job in `[periodic]`; each has the form that it must have.

    Raises:
        ConfigError: one has not.
    """
    if not isinstance(tables, dict):
        raise ConfigError(f"{file}: periodic must be tables, like [periodic.nightly]")
    for name, table in tables.items():
        where = f"{file}: periodic {name}"
        if not isinstance(table, dict):
            raise ConfigError(f"{where} must be a table: [periodic.{name}]")
        for key, value in table.items():
            if key not in _KINDS:
                hint = did_you_mean(key, _KINDS) or f" Known are {', '.join(_KINDS)}."
                raise ConfigError(f"{where}: unknown setting {key!r}.{hint}")
            kind, expected = _KINDS[key]
            if type(value) is not kind:
                raise ConfigError(f"{where}: {key} is {shown(value)}; expected {expected}")
        for key in _REQUIRED:
            if key not in table:
                raise ConfigError(f"{where} has no {key}; add {key} = …, {_KINDS[key][1]}")
        yield name, table


def entry_of(name: str, table: dict[str, Any], file: str) -> Entry:
    """Return the periodic job of a table that was checked; its job must be registered.

    Raises:
        ConfigError: it cannot be.
    """
    where = f"{file}: periodic {name}"
    job = registry.find(table["job"])
    if job is None:
        raise ConfigError(
            f"{where}: no job is named {table['job']!r} in the modules that SIDELAMB_JOBS names."
            f"{did_you_mean(table['job'], registry.names())}"
        )
    options = {key: table[key] for key in ("queue",) if key in table}
    given = {key: table[key] for key in ("tz", "args", "kwargs", "missed") if key in table}
    try:
        return checked(Entry(name, job, table["cron"], **given, options=options))
    except JobError as error:
        raise ConfigError(f"{file}: {error}") from None
