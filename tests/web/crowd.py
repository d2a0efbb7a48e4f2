"""What a live stack is filled with: thousands of jobs in every state, none of which is due while a test runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.web.features import features
from tests.web.hostile import everywhere
from tests.web.stand import HOSTILE, failed, job

if TYPE_CHECKING:
    import redis

MANY = 1_500
"""In the paused queue, and in each set."""
QUEUE = "low"
"""Where jobs wait that nobody runs: it is paused."""
DAY_S = 86_400.0


def gather(db: redis.Redis, url: str, now: float) -> None:
    """Fill a Redis at `url`, beside whatever else is in it."""
    pipe, due = db.pipeline(transaction=False), now + DAY_S
    pipe.sadd("queues", QUEUE)
    pipe.sadd("paused", QUEUE)
    for n in range(MANY):
        pipe.lpush(f"queue:{QUEUE}", json.dumps(job(n, now)))
        pipe.zadd("schedule", {json.dumps(job(n + MANY, now)): due + n})
        pipe.zadd("retry", {json.dumps(failed(n + 2 * MANY, now, n % 6)): due + n})
        pipe.zadd("dead", {json.dumps(failed(n + 3 * MANY, now, 25)): now - n})
    for n, raw in enumerate(HOSTILE):
        pipe.lpush(f"queue:{QUEUE}", raw)
        pipe.zadd("schedule", {raw: due + n})
        pipe.zadd("retry", {raw: due + n})
        pipe.zadd("dead", {raw: now - n})
    pipe.execute()
    features(db, url, now, hostile=True)
    everywhere(db, url, now, due, QUEUE)
