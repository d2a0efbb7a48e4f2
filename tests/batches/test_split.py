"""Splitting work: a job for some items each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import BadOption, Client
from sidelamb.payload import decode

if TYPE_CHECKING:
    import redis


def _lists(db: redis.Redis) -> list[Any]:
    return [decode(raw)["args"] for raw in db.lrange("queue:default", 0, -1)[::-1]]


@pytest.mark.parametrize(
    ("items", "size", "expected"),
    [(100, 10, [10] * 10), (7, 3, [3, 3, 1]), (3, 10, [3]), (0, 10, [])],
)
def test_so_many_items_a_job(
    job: Any, client: Client, db: redis.Redis, items: int, size: int, expected: list[int]
) -> None:
    sync = job(lambda ids: None, name="sync").using(client=client)
    assert sync.enqueue_chunks((n for n in range(items)), size=size) == len(expected)
    lists = _lists(db)
    assert [len(ids) for (ids,) in lists] == expected
    assert [n for (ids,) in lists for n in ids] == list(range(items))


async def test_the_same_for_async_code(job: Any, client: Client, db: redis.Redis) -> None:
    told: list[int] = []
    sync = job(lambda ids: None, name="sync").using(client=client)
    assert await sync.aenqueue_chunks("abcde", size=2, progress=told.append) == 3
    assert _lists(db) == [[["a", "b"]], [["c", "d"]], [["e"]]]
    assert told == [3]
    await client.aclose()


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "10"])
def test_a_size_that_cannot_be_is_told_before_anything_is_read(job: Any, client: Client, size: Any) -> None:
    with pytest.raises(BadOption, match=r"sync: size of enqueue_chunks is .* expected a whole number from 1"):
        job(lambda ids: None, name="sync").using(client=client).enqueue_chunks(iter([]), size=size)
