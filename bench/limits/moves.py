"""The least that promotes: the first of a set, a thousand a call, onto one queue, whatever they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import redis

__all__ = ["move_all"]

STEP = 1_000
SCRIPT = """\
local front = redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, ARGV[1] - 1)
return redis.call('LPUSH', KEYS[2], unpack(front))
"""


def move_all(db: redis.Redis, count: int) -> None:
    """Move so many entries of `schedule`."""
    move = db.register_script(SCRIPT)
    for _ in range(0, count, STEP):
        move(["schedule", "queue:default"], [STEP])
