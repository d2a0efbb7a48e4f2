"""Runs the effect of a job once: powertools' idempotency utility, with its records in the queue's own Redis.

The record of a key says that its effect is in progress, until when at most, or what it returned. It is reached by
the worker's own link, so every way to Redis that workers have is the records' too. Imported for jobs that ask for
it; powertools' module brings boto3 along.
"""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.idempotency.base import IdempotencyHandler
from aws_lambda_powertools.utilities.idempotency.config import IdempotencyConfig
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyInconsistentStateError,
    IdempotencyPersistenceLayerError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.redis import RedisCachePersistenceLayer

from sidelamb.control import Snooze
from sidelamb.errors import ConfigError, RedisError
from sidelamb.values import are_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sidelamb.keys import Keys
    from sidelamb.link import Link
    from sidelamb_handlers.attempt import Attempt

__all__ = ["once"]

AGAIN_S = 5.0
"""Between two looks whether another run of the same effect has ended."""


def once(a: Attempt, args: Sequence[Any], kwargs: Mapping[str, Any], effect: Callable[[], Any]) -> Any:
    """Run `effect`, or return what it returned when it was run before.

    Raises:
        Snooze: it is being run elsewhere, or was until its sandbox died.
        ConfigError: this worker has no Redis.
    """
    if a.states is None or a.job is None:
        raise ConfigError(f"{a.name} is idempotent, which needs a worker with Redis; in a test, drain() is one")
    options = a.job.options
    own = options.idempotent
    handler = IdempotencyHandler(
        lambda: _plain(effect()),
        {"key": own(*args, **kwargs) if callable(own) else [list(args), dict(kwargs)]},
        IdempotencyConfig(
            expires_after_seconds=int(options.idempotent_for_s),
            hash_function="sha256",
            lambda_context=_Left(a.deadline),  # type: ignore[arg-type]  # all that is asked of it
        ),
        _Layer(client=_Records(a.states.link, a.states.keys)),
        key_prefix=a.name,
        function_args=(),
        function_kwargs={},
    )
    try:
        return handler.handle()
    except IdempotencyAlreadyInProgressError:
        raise Snooze(AGAIN_S, "the same effect is in progress, or was when its sandbox died") from None
    except IdempotencyInconsistentStateError:
        raise Snooze(AGAIN_S, "the record of the same effect has just changed") from None
    except IdempotencyPersistenceLayerError as error:
        cause = error.__cause__
        if isinstance(cause, RedisError):
            raise cause from None
        raise


def _plain(result: Any) -> Any:
    """Return a result as it can be kept: what JSON cannot carry is not, but the effect is done all the same."""
    return result if are_plain((result,)) else None


with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # CachePersistenceLayer, its new name, is a mere alias yet

    class _Layer(RedisCachePersistenceLayer):
        """The store, without the warning that its old name gives at each use."""


class _Left:
    """As much of Lambda's context as says until when an effect can be in progress."""

    def __init__(self, until: float) -> None:
        self._until = until

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._until - time.time()) * 1000))


class _Records:
    """As much of a Redis client as powertools wants, by a worker's link."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    def get(self, name: Any) -> Any:
        return self._link.command("GET", self._key(name))

    def set(self, name: Any, value: Any, ex: Any = None, px: Any = None, nx: Any = None) -> Any:
        ttl = ("EX", int(ex)) if ex is not None else ("PX", int(px)) if px is not None else ()
        return self._link.command("SET", self._key(name), value, *ttl, *(("NX",) if nx else ()))

    def delete(self, *names: Any) -> Any:
        return self._link.command("DEL", *map(self._key, names))

    def _key(self, name: Any) -> bytes:
        return self._keys(f"sidelamb:effect:{name}")
