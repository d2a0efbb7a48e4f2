"""The jobs. They do not know FastAPI, and a worker does not load it."""

from __future__ import annotations

from pydantic import BaseModel

from sidelamb import job


class SignUp(BaseModel):
    address: str
    name: str = "you"


@job(queue="mail", max_retries=5)
async def send_welcome(who: SignUp) -> None:
    print(f"Welcome, {who.name} <{who.address}>")
