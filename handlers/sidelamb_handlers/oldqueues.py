"""Tells of queues whose oldest job has waited too long: once for each outbreak.

Who was told of what stands in Redis, so that a new sandbox does not tell again. It is written after the telling:
if the process dies in between, it is told twice.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sidelamb.api.stats import Stats
from sidelamb.notify import watches

if TYPE_CHECKING:
    from sidelamb.client import Client

__all__ = ["tell_of_old_queues"]

log = logging.getLogger("sidelamb.scheduler")

KEY = "sidelamb:old-queues"


def tell_of_old_queues(client: Client) -> int:
    """Look at every queue, tell who wants to know of those that are too old; return how often that was.

    Raises:
        RedisError: Redis is away.
    """
    if not watches:
        return 0
    key = client.store.keys(KEY)
    told = {field.decode() for field in client.link.command("HKEYS", key)}
    ages = {queue.name: queue.latency_s for queue in Stats(client).queues() if not queue.is_paused}
    old, count = set(), 0
    for number, watch in enumerate(watches):
        for queue, age_s in ages.items():
            if age_s <= watch.after_s or (watch.queues and queue not in watch.queues):
                continue
            field = f"{number}:{watch.after_s:g}:{queue}"
            old.add(field)
            if field in told:
                continue
            try:
                watch.hook(queue, age_s)
            except Exception:
                log.exception("nobody could be told that the queue %s is old; tried again in a minute", queue)
                continue
            client.link.command("HSET", key, field, client.now())
            count += 1
    recovered = told - old
    if recovered:
        client.link.command("HDEL", key, *recovered)
    return count
