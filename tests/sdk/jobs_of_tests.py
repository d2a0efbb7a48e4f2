"""Jobs that tests enqueue: as an app declares them, in a module of its own."""

from __future__ import annotations

from typing import Any

from sidelamb import job


@job
def send(user_id: int, subject: str = "hello", *, urgent: bool = False) -> tuple[int, str, bool]:
    """Send a mail."""
    return user_id, subject, urgent


@job(name="tests.asynchronous", queue="low", max_retries=3, on_exhausted="discard", tags=["a", "b"], timeout=30)
async def asynchronous(value: Any) -> Any:
    return value


class User:
    @job
    @staticmethod
    def outer_static(user_id: int) -> tuple[str, int]:
        return "outer_static", user_id

    @staticmethod
    @job
    def inner_static(user_id: int) -> tuple[str, int]:
        return "inner_static", user_id

    @job
    @classmethod
    def outer_class(cls, user_id: int) -> tuple[type, int]:
        return cls, user_id

    @classmethod
    @job
    def inner_class(cls, user_id: int) -> tuple[type, int]:
        return cls, user_id

    @job
    @classmethod
    async def async_class(cls, user_id: int) -> tuple[type, int]:
        return cls, user_id

    def sync_images(self, user_id: int) -> None: ...


class Admin(User):
    pass


METHODS = ["outer_static", "inner_static", "outer_class", "inner_class"]
