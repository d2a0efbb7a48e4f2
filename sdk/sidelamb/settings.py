"""The settings of this process, from `configure(…)` or the environment, and the client made of them.

SIDELAMB_REDIS_URL (or REDIS_URL), SIDELAMB_NAMESPACE, SIDELAMB_MAX_PAYLOAD and SIDELAMB_TIMESTAMPS are read when
the first job is enqueued; what `configure` was given goes before them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from sidelamb.errors import ConfigError
from sidelamb.keys import Keys
from sidelamb.late import late_import
from sidelamb.middleware import compose
from sidelamb.names import check_queue, queue_name
from sidelamb.registry import registry
from sidelamb.wording import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sidelamb.client import Client
    from sidelamb.middleware import Middleware
    from sidelamb.target import RedisTarget, Target

__all__ = [
    "DEFAULT_MAX_PAYLOAD",
    "LARGEST_MAX_PAYLOAD",
    "Settings",
    "Timestamps",
    "configure",
    "default_client",
    "known_queues",
    "stamp",
    "timestamps",
]

Timestamps = Literal["float", "ms"]
"""How timestamps stand in payloads: float seconds, which Sidekiq 6.5 to 8.1 read, or whole ms, 8's own form."""

DEFAULT_MAX_PAYLOAD = 256 * 1024
"""Bytes. Redis, the web page and a Lambda event all carry every payload."""

LARGEST_MAX_PAYLOAD = 5 * 1024 * 1024
"""Bytes. A synchronous Lambda event holds 6 MB, and a payload needs some room in it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What `configure` sets; None is not set."""

    redis: RedisTarget | None = None
    wait_replicas: int | None = None
    namespace: str | None = None
    middleware: tuple[Middleware, ...] = ()
    queues: frozenset[str] | None = None
    max_payload: int | None = None
    timestamps: Timestamps | None = None
    keys: Mapping[str, bytes] | None = field(default=None, repr=False)


class _State:
    """Where the settings of this process live. They are replaced whole, so that threads need no lock."""

    settings = Settings()
    client: Client | None = None


def configure(
    *,
    redis: RedisTarget | None = None,
    wait_replicas: int | None = None,
    namespace: str | None = None,
    middleware: Sequence[Middleware] | None = None,
    queues: Iterable[str] | None = None,
    max_payload: int | None = None,
    timestamps: Timestamps | None = None,
    keys: Mapping[str, bytes] | None = None,
) -> None:
    """Set how this process enqueues. What is left out stays as it is.

    Args:
        redis: URL, or a redis-py client (Redis, RedisCluster, what a Sentinel made) whose connection settings
            are used; default SIDELAMB_REDIS_URL, or REDIS_URL.
        wait_replicas: how many replicas must have a new job before enqueueing returns, at most a second later;
            if they have not, it raises RedisUncertain. Default what the URL's option of this name says, or 0.
        namespace: prefix of all keys; default SIDELAMB_NAMESPACE, or none. On Redis Cluster a hash tag, `{app}`.
        middleware: client middleware, the first the outermost (see `sidelamb.middleware`).
        queues: the queues there are. Any other is then refused, in declarations and calls. Not given: any will do.
        max_payload: most bytes of one payload, up to 5 MiB; default SIDELAMB_MAX_PAYLOAD, or 256 KiB.
        timestamps: how created_at, enqueued_at, failed_at and retried_at are written: "float", seconds, or "ms",
            whole milliseconds, for a Redis that only Sidekiq 8 reads besides. Default SIDELAMB_TIMESTAMPS, or
            "float". Both are read always.
        keys: 32 bytes by key id, for jobs that encrypt their arguments: the first one encrypts, all decrypt.
            Default SIDELAMB_KEYS, `id:base64,id:base64`.

    Raises:
        ConfigError: a value cannot be.
        UnknownQueue: a job that is declared already has a queue that is not among `queues`.
    """
    settings = _State.settings
    if redis is not None:
        with late_import:
            from sidelamb.links import link_to  # noqa: PLC0415 - redis-py is imported when it is needed

        link_to(redis)  # says what is wrong with it now rather than at the first job
        settings = replace(settings, redis=redis)
    if wait_replicas is not None:
        with late_import:
            from sidelamb.target import checked_wait_replicas  # noqa: PLC0415 - the same

        settings = replace(settings, wait_replicas=checked_wait_replicas(wait_replicas, "wait_replicas"))
    if namespace is not None:
        settings = replace(settings, namespace=Keys(namespace).namespace)
    if middleware is not None:
        compose(middleware)
        settings = replace(settings, middleware=tuple(middleware))
    if queues is not None:
        settings = replace(settings, queues=_queues(queues))
    if max_payload is not None:
        settings = replace(settings, max_payload=checked_max_payload(max_payload, "max_payload"))
    if timestamps is not None:
        settings = replace(settings, timestamps=checked_timestamps(timestamps, "timestamps"))
    if keys is not None:
        with late_import:
            from sidelamb.seal import checked_keys  # noqa: PLC0415 - only who encrypts needs it

        settings = replace(settings, keys=checked_keys(keys, "configure(keys=…)"))
    _State.settings, _State.client = settings, None


def default_client() -> Client:
    """Return the client of this process's settings.

    Raises:
        ConfigError: no Redis is set, or a setting is wrong.
    """
    client = _State.client
    if client is None:
        with late_import:
            from sidelamb.client import Client  # noqa: PLC0415 - the client knows jobs, which know the settings

        client = _State.client = Client(middleware=_State.settings.middleware)
    return client


def known_queues() -> frozenset[str] | None:
    """Return the queues that `configure` declared, or None if any will do."""
    return _State.settings.queues


def redis_target() -> RedisTarget | Target:
    """Return the Redis that is set.

    Raises:
        ConfigError: none is.
    """
    target, wait = _redis_set(), _State.settings.wait_replicas
    if wait is None:
        return target
    with late_import:
        from sidelamb.target import target_of  # noqa: PLC0415 - redis-py is imported when it is needed

    return replace(target_of(target), wait_replicas=wait)


def _redis_set() -> RedisTarget:
    set_here = _State.settings.redis
    target = set_here if set_here is not None else _first_set("SIDELAMB_REDIS_URL", "REDIS_URL")
    if not target:
        raise ConfigError(
            "no Redis is set: set SIDELAMB_REDIS_URL, like SIDELAMB_REDIS_URL=redis://127.0.0.1:6379/0"
        )
    return target


def namespace() -> str:
    """Return the namespace that is set, or none."""
    set_here = _State.settings.namespace
    return set_here if set_here is not None else _first_set("SIDELAMB_NAMESPACE")


def max_payload() -> int:
    """Return the most bytes of one payload.

    Raises:
        ConfigError: SIDELAMB_MAX_PAYLOAD is no number of bytes that can be.
    """
    if _State.settings.max_payload is not None:
        return _State.settings.max_payload
    text = _first_set("SIDELAMB_MAX_PAYLOAD")
    value = int(text) if text.isascii() and text.isdigit() else text
    return checked_max_payload(value, "SIDELAMB_MAX_PAYLOAD") if text else DEFAULT_MAX_PAYLOAD


def checked_max_payload(value: Any, where: str) -> int:
    """Return `value` if it can be the most bytes of one payload.

    Raises:
        ConfigError: it cannot.
    """
    if type(value) is not int or not 0 < value <= LARGEST_MAX_PAYLOAD:
        raise ConfigError(
            f"{where} is {shown(value)}; expected bytes, more than 0 and at most {LARGEST_MAX_PAYLOAD} (5 MiB)"
        )
    return value


def timestamps() -> Timestamps:
    """Return how timestamps are written.

    Raises:
        ConfigError: SIDELAMB_TIMESTAMPS is none of the two.
    """
    set_here = _State.settings.timestamps
    if set_here is not None:
        return set_here
    text = _first_set("SIDELAMB_TIMESTAMPS")
    return checked_timestamps(text, "SIDELAMB_TIMESTAMPS") if text else "float"


def checked_timestamps(value: Any, where: str) -> Timestamps:
    """Return `value` if it says how timestamps are written.

    Raises:
        ConfigError: it does not.
    """
    if type(value) is not str or value not in get_args(Timestamps):
        raise ConfigError(f"{where} is {shown(value)}; expected 'float' (seconds) or 'ms' (whole milliseconds)")
    checked: Timestamps = "ms" if value == "ms" else "float"
    return checked


def keys() -> Mapping[str, bytes] | str:
    """Return the keys that `configure` was given, or the text of SIDELAMB_KEYS."""
    set_here = _State.settings.keys
    return _first_set("SIDELAMB_KEYS") if set_here is None else set_here


def stamp(now: float) -> float:
    """Return epoch second `now` as this process writes it into a payload."""
    return round(now * 1000) if timestamps() == "ms" else now


def reset() -> None:
    """Forget what `configure` was given, and the client. For tests."""
    _State.settings, _State.client = Settings(), None


def _first_set(*names: str) -> str:
    return next((value for name in names if (value := os.environ.get(name))), "")


def _queues(names: Any) -> frozenset[str]:
    if isinstance(names, str):
        raise ConfigError(f"configure: queues takes a list of names, like [{names!r}]")
    queues = frozenset(queue_name(name, "configure(queues=…)") for name in names)
    for job in registry:
        check_queue(job.options.queue, queues, job.name)
    return queues
