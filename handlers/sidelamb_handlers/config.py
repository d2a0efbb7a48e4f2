"""The poller's settings: from `sidelamb.toml`, or from the environment, or both.

    # sidelamb.toml
    redis = "redis://cache:6379/0"       # or SIDELAMB_REDIS_URL, which wins
    scheduler = "app-scheduler"          # function name; or SIDELAMB_SCHEDULER_FUNCTION

    [capsules.default]
    function = "app-worker"
    queues = ["critical", "default"]     # in strict order; or weights: { critical = 5, default = 1 }
    in_flight = 10                       # invocations at once
    jobs = 4000                          # jobs one invocation may carry
    threads = 1                          # of them at once: more only if the app's jobs are thread-safe
    timeout = 60                         # the function's own timeout, s
    detached = false                     # a worker without Redis

    [queues.mail]
    cap = 1                              # jobs in flight at once, over all capsules and pollers; or SIDELAMB_CAPS

    [periodic.nightly]                   # for the scheduler; see docs/how-to/periodic.md

Where there is no folder for a file, as in a container, the same text may be in SIDELAMB_TOML. With neither, one
capsule named `default` comes from SIDELAMB_FUNCTION, SIDELAMB_QUEUES (`critical,default` or
`critical=5,default=1`), SIDELAMB_IN_FLIGHT, SIDELAMB_JOBS_PER_INVOCATION, SIDELAMB_THREADS, SIDELAMB_TIMEOUT.
SIDELAMB_CAPS (`mail=1,reports=5`) gives queues their caps, in place of those that the file gives them.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidelamb.errors import ConfigError
from sidelamb.keys import source_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

__all__ = ["CapsuleConfig", "Config", "load_config", "settings_in"]

FILE = "sidelamb.toml"

MOST_CAP = 1_000
"""Jobs in flight of a queue with a cap; what has no need of one is bounded by `in_flight`."""

_NAME = re.compile(r"[A-Za-z0-9_.-]+\Z")
_FUNCTION = re.compile(r"[A-Za-z0-9_:$-]+\Z")
"""A name or an ARN, either with a version or an alias."""
_QUEUE = re.compile(r"[A-Za-z0-9_.:-]+\Z")
_SETTINGS = ("redis", "namespace", "scheduler", "stop_timeout", "capsules", "queues", "periodic")
_ENV_NUMBERS = {
    "SIDELAMB_IN_FLIGHT": "in_flight",
    "SIDELAMB_JOBS_PER_INVOCATION": "jobs",
    "SIDELAMB_THREADS": "threads",
    "SIDELAMB_TIMEOUT": "timeout",
}


@dataclass(frozen=True, slots=True)
class CapsuleConfig:
    """A Lambda function, the queues it serves, and how much at once."""

    name: str
    function: str
    queues: tuple[str, ...] = ("default",)
    weights: tuple[int, ...] = ()
    """One for each queue, or empty for strict order."""
    in_flight: int = 10
    jobs: int = 4_000
    threads: int = 1
    timeout: float = 60.0
    """The function's timeout, seconds."""
    detached: bool = False
    caps: Mapping[str, int] = field(default_factory=dict)
    """How many jobs of a queue may be in flight, over all capsules and pollers, for those that have a cap."""

    def capped(self, fields: Iterable[str]) -> list[str]:
        """Return the queues with a cap among those of these fields of a lease."""
        if not self.caps:
            return []
        return sorted({source_of(name)[0] for name in fields} & self.caps.keys())

    @property
    def most_jobs(self) -> int:
        """Jobs one invocation may carry: one for a detached worker."""
        return 1 if self.detached else self.jobs


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of a poller."""

    redis: str
    capsules: tuple[CapsuleConfig, ...]
    namespace: str = ""
    scheduler: str = ""
    """The scheduler function's name; empty: only its own timer wakes it."""
    stop_timeout: float = 25.0
    """Seconds to wait for invocations in flight when stopping (Sidekiq's default)."""
    queues: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        every = dict.fromkeys(q for capsule in self.capsules for q in capsule.queues)
        object.__setattr__(self, "queues", tuple(every))


def load_config(file: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Return the poller's settings.

    Args:
        file: a TOML file; None for the text in SIDELAMB_TOML, or `sidelamb.toml` in this folder, if there is one.
        environ: wins over the file for what both say.

    Raises:
        ConfigError: something is missing, unknown or of the wrong kind; says where and what to write.
    """
    inline = "" if file else environ.get("SIDELAMB_TOML", "").strip()
    data = _parsed(inline, "SIDELAMB_TOML") if inline else _read(file)
    where = "SIDELAMB_TOML" if inline else str(file or FILE)
    _only(data, _SETTINGS, where)
    if "periodic" in data:
        _check_periodic(data["periodic"], where)
    redis = environ.get("SIDELAMB_REDIS_URL") or environ.get("REDIS_URL") or data.get("redis", "")
    if not redis:
        raise ConfigError(f'no Redis is named; set SIDELAMB_REDIS_URL, or redis = "redis://…" in {FILE}')
    tables = data.get("capsules") or _capsule_from(environ)
    if not isinstance(tables, dict) or not tables:
        raise ConfigError(f"[capsules] in {file or FILE} must be tables, like [capsules.default]")
    capsules = [_capsule(name, table) for name, table in tables.items()]
    caps = _caps(data.get("queues", {}), environ.get("SIDELAMB_CAPS", ""), {q for c in capsules for q in c.queues})
    return Config(
        redis=_of_type(redis, str, "redis"),
        capsules=tuple(replace(c, caps={q: caps[q] for q in c.queues if q in caps}) for c in capsules),
        namespace=environ.get("SIDELAMB_NAMESPACE") or _of_type(data.get("namespace", ""), str, "namespace"),
        scheduler=_function(environ.get("SIDELAMB_SCHEDULER_FUNCTION") or data.get("scheduler", ""), "scheduler"),
        stop_timeout=_number(
            environ.get("SIDELAMB_STOP_TIMEOUT") or data.get("stop_timeout", 25.0), "stop_timeout", 0, 900
        ),
    )


def settings_in(file: Path) -> set[str]:
    """Return which settings a file has: one that has only `periodic`, which is the scheduler's, is no poller's.

    Raises:
        ConfigError: it cannot be read, or what is periodic in it cannot be.
    """
    data = _read(file) if file.exists() else {}
    _check_periodic(data.get("periodic", {}), str(file))
    return set(data)


def _check_periodic(tables: Any, where: str) -> None:
    from sidelamb.timetable_file import check_tables  # noqa: PLC0415 - few files have such tables

    for _ in check_tables(tables, where):
        pass


def _read(file: Path | None) -> dict[str, Any]:
    path = file or Path(FILE)
    if file is None and not path.exists():
        return {}
    try:
        return _parsed(path.read_text(), str(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not TOML: {error}") from None


def written(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return what the file of this folder (or SIDELAMB_TOML) says, as it says it; nothing if there is none.

    For who needs a setting or two, where there need be no capsule and no Redis.

    Raises:
        ConfigError: it is no TOML, or has a setting that is none.
    """
    inline = environ.get("SIDELAMB_TOML", "").strip()
    data = _parsed(inline, "SIDELAMB_TOML") if inline else _read(None)
    _only(data, _SETTINGS, "SIDELAMB_TOML" if inline else FILE)
    return data


def _capsule_from(environ: Mapping[str, str]) -> dict[str, Any]:
    function = environ.get("SIDELAMB_FUNCTION", "")
    if not function:
        raise ConfigError(
            f"no capsule is configured; set SIDELAMB_FUNCTION, or write [capsules.default] into {FILE}"
        )
    table: dict[str, Any] = {"function": function}
    if environ.get("SIDELAMB_QUEUES"):
        table["queues"] = _queues_from(environ["SIDELAMB_QUEUES"])
    for variable, key in _ENV_NUMBERS.items():
        if environ.get(variable):
            table[key] = _number(environ[variable], variable, 0, math.inf)
    return {"default": table}


def _caps(tables: Any, text: str, served: Collection[str]) -> dict[str, int]:
    """Return the caps that the file's [queues] and SIDELAMB_CAPS give."""
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise ConfigError("[queues] must be tables, like [queues.mail] with cap = 1")
    found = {}
    for queue, table in tables.items():
        _only(table, ["cap"], f"queue {queue!r}")
        if "cap" in table:
            found[queue] = _whole(table["cap"], f"queue {queue!r}: cap", 1, MOST_CAP)
    for part in filter(None, (part.strip() for part in text.split(","))):
        queue, _, cap = (side.strip() for side in part.partition("="))
        found[queue] = _whole(cap, f"SIDELAMB_CAPS: cap of {queue!r}", 1, MOST_CAP)
    for queue in found:
        if queue not in served:
            near = difflib.get_close_matches(queue, served, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"served are {', '.join(sorted(served))}"
            raise ConfigError(f"queue {queue!r} has a cap, and no capsule serves it; {hint}")
    return found


def _queues_from(text: str) -> Any:
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not any("=" in name for name in names):
        return names
    pairs = [name.partition("=") for name in names]
    twice = sorted({name for name, _, _ in pairs if [p[0] for p in pairs].count(name) > 1})
    if twice:
        raise ConfigError(f"SIDELAMB_QUEUES: queue {twice[0]!r} stands twice; give it one weight")
    return {name.strip(): _whole(weight or 1, f"weight of {name}", 1, 1_000_000) for name, _, weight in pairs}


def _capsule(name: str, table: Any) -> CapsuleConfig:
    where = f"capsule {name!r}"
    if not _NAME.match(name):
        raise ConfigError(f"{where}: a name has letters, digits, '_', '.' and '-' only")
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table: [capsules.{name}]")
    known = [k for k in CapsuleConfig.__dataclass_fields__ if k not in {"name", "weights", "caps"}]
    _only(table, known, where)
    function = _function(table.get("function", ""), f"{where}: function")
    if not function:
        raise ConfigError(f'{where} names no function; add function = "…"')
    queues, weights = _queues(table.get("queues", ["default"]), where)
    return CapsuleConfig(
        name=name,
        function=function,
        queues=queues,
        weights=weights,
        in_flight=_whole(table.get("in_flight", 10), f"{where}: in_flight", 1, 10_000),
        jobs=_whole(table.get("jobs", 4_000), f"{where}: jobs", 1, 10_000),
        threads=_whole(table.get("threads", 1), f"{where}: threads", 1, 1_000),
        timeout=_number(table.get("timeout", 60), f"{where}: timeout", 1, 900),
        detached=_of_type(table.get("detached", False), bool, f"{where}: detached"),
    )


def _function(value: Any, where: str) -> str:
    name: str = _of_type(value, str, where)
    if name and not _FUNCTION.match(name):
        raise ConfigError(f"{where} is {name!r}; write its name, or its ARN, as Lambda has it")
    return name


def _queues(value: Any, where: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    weights: list[Any] = list(value.values()) if isinstance(value, dict) else []
    names = list(value) if isinstance(value, dict | list) else None
    if not names:
        raise ConfigError(f"{where}: queues must be a list of names, or a table of weights; it is {value!r}")
    for queue in names:
        if not isinstance(queue, str) or not _QUEUE.match(queue):
            raise ConfigError(f"{where}: {queue!r} is no queue name; use letters, digits, '_', '.', ':' and '-'")
    if len(set(names)) < len(names):
        raise ConfigError(f"{where}: a queue stands twice in {', '.join(names)}")
    checked = tuple(_whole(w, f"{where}: weight", 1, 1_000_000) for w in weights)
    return tuple(names), checked


def _only(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    known = list(known)
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise ConfigError(f"{where}: unknown setting {key!r}; {hint}")


def _of_type(value: Any, cls: type[Any], where: str) -> Any:
    if not isinstance(value, cls):
        raise ConfigError(f"{where} must be a {cls.__name__}, not {value!r}")
    return value


def _number(value: Any, where: str, least: float, most: float) -> float:
    try:
        number = float(value) if not isinstance(value, bool) else float("nan")
    except (TypeError, ValueError):
        number = float("nan")
    if not least <= number <= most:
        bounds = f" from {least:g} to {most:g}" if math.isfinite(most) else ""
        raise ConfigError(f"{where} must be a number{bounds}, not {value!r}")
    return number


def _whole(value: Any, where: str, least: int, most: int) -> int:
    number = _number(value, where, least, most)
    if not number.is_integer():
        raise ConfigError(f"{where} must be a whole number, not {value!r}")
    return int(number)
