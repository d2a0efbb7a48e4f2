"""What the tests of the wire share: dumps of real data, their forms, and one run of a worker."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

from sidelamb.payload import decode
from tests.handlers.kit import GOLDEN, Context, event_for, everything, push, reserve

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

__all__ = ["fields_of", "form", "golden_dump", "ours", "run_pushed", "types_of"]

GOLDEN_VERSION = "sidekiq-7310"
JOBS = ("schedule", "retry", "dead")


def golden_dump(name: str) -> dict[str, Any]:
    """Return one dump of a real Sidekiq: key → value, in the shape of `everything`."""
    out: dict[str, Any] = {}
    for entry in json.loads((GOLDEN / GOLDEN_VERSION / f"{name}.json").read_text()):
        value = entry["value"]
        match entry["type"]:
            case "list":
                value = [base64.b64decode(raw) for raw in value]
            case "set":
                value = {base64.b64decode(raw) for raw in value}
            case "zset":
                value = [(base64.b64decode(raw), float(score)) for raw, score in value]
            case "hash":
                value = {field: base64.b64decode(raw) for field, raw in value.items()}
            case "string":
                value = base64.b64decode(value)
        out[entry["key_text"]] = (entry["type"], entry["pttl"], value)
    return out


def ours(db: redis.Redis) -> dict[str, Any]:
    """Return what is in the database in the same shape."""
    return {
        key.decode(): (db.type(key).decode(), db.pttl(key), value)
        for key, value in everything(db).items()
        if not key.startswith(b"sidelamb:")
    }


def payloads_in(value: Any) -> list[bytes]:
    """Return the payloads of a list or a sorted set."""
    return [each[0] if isinstance(each, tuple) else each for each in value]


def types_of(raw: bytes) -> dict[str, str]:
    """Return field → JSON type of a payload, integers and floats told apart."""
    return {name: type(value).__name__ for name, value in decode(raw).items()}


def form(dump: dict[str, Any]) -> dict[str, Any]:
    """Return what two dumps of one form have in common: key → Redis type, whether it expires, and its fields."""
    out: dict[str, Any] = {}
    for key, (kind, ttl, value) in dump.items():
        content: Any = None
        if key in JOBS or key.startswith("queue:"):
            content = sorted((list(types_of(raw).items()) for raw in payloads_in(value)), key=str)
        elif kind == "set":
            content = sorted(value)
        out[key] = (kind, ttl > 0, content)
    return out


def fields_of(raw: bytes, *without: str) -> dict[str, Any]:
    """Return the fields of a payload but for some."""
    return {name: value for name, value in decode(raw).items() if name not in without}


def run_pushed(
    db: redis.Redis,
    link: Any,
    make_worker: Callable[..., Any],
    *raws: bytes,
    queue: str = "default",
    seconds: float = 30,
) -> Any:
    """Push payloads and let a real worker run them; return its answer."""
    push(db, *raws, queue=queue)
    (held,) = reserve(link, f"c:{time.time_ns()}", queues=(queue,))
    return make_worker().handle(event_for(held), Context(seconds))
