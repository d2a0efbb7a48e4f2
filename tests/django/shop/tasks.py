"""Tasks that do what a task can do."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.models import TextChoices

from sidelamb import Discard, Kill, Retry, Snooze
from sidelamb.django import task as our_task
from sidelamb.django.compat import base

task = base.task
SEEN: list[Any] = []


class Size(TextChoices):
    SMALL = "S"
    LARGE = "L"


@task()
def nothing(*args: Any, **kwargs: Any) -> None:
    SEEN.append((args, kwargs))


@task
def bare() -> None: ...


@task()
async def nothing_async(*args: Any, **kwargs: Any) -> None:
    SEEN.append((args, kwargs))


@task()
def meaning_of_life() -> int:
    return 42


@task()
async def meaning_async() -> int:
    return 42


@task()
def echo(value: Any) -> Any:
    return value


@task()
def fails() -> None:
    raise ValueError("as it should")


@task()
def exits() -> None:
    raise SystemExit("gone")


@task()
def interrupts() -> None:
    raise KeyboardInterrupt("stop")


@task()
def complex_error() -> None:
    raise ValueError(ValueError("inner"))


@task()
def complex_value() -> Any:
    return lambda: True


@task()
def returns_nan() -> float:
    return float("nan")


@task()
def returns_much() -> str:
    return "x" * 300_000


@task(takes_context=True)
def own_id(context: Any) -> str:
    return str(context.task_result.id)


@task(takes_context=True)
def second_time_lucky(context: Any) -> int:
    if context.attempt < 2:
        raise RuntimeError("the first time")
    return len(context.task_result.errors)


@task(takes_context=True)
async def attempt_async(context: Any) -> int:
    return int(context.attempt)


@task(takes_context=True)
def says(context: Any, word: str) -> None:
    """Speak its own outcome, once."""
    if context.attempt == 1 and not SEEN:
        SEEN.append(word)
        match word:
            case "discard":
                raise Discard("not any more")
            case "kill":
                raise Kill("never again")
            case "retry":
                raise Retry("later", in_=60)
            case "snooze":
                raise Snooze(60)


@our_task(max_attempts=3, backoff=lambda attempt, _error: 100.0 * attempt, timeout=30, unique_for=600)
def with_options(number: int) -> int:
    SEEN.append(number)
    if number < 0:
        raise ValueError(number)
    return number


@our_task(timeout=0.3, max_attempts=1)
def sleeps(seconds: float) -> None:
    import time

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.005)


@task()
def queries() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    SEEN.append(connection.connection)
    return True


@task()
async def queries_async() -> bool:
    from asgiref.sync import sync_to_async

    return bool(await sync_to_async(queries.func)())


@task(backend="elsewhere")
def declared_elsewhere() -> str:
    return "and run here"


def plain(value: int) -> int:
    """No task."""
    return value


def no_task(value: int) -> int:
    """Nor is this; nobody makes one of it."""
    return value
