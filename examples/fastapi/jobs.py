"""The jobs. They do not know FastAPI, and a worker does not load it."""

from __future__ import annotations

from sidelamb import job


@job(queue="mail", max_retries=5)
async def send_welcome(address: str) -> None:
    print(f"Welcome, {address}")
