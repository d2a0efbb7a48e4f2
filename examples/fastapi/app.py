"""The web app: it enqueues without blocking its event loop, and answers with the job's id."""

from __future__ import annotations

from fastapi import FastAPI, HTTPException
from jobs import SignUp, send_welcome

from sidelamb import RedisUncertain, RedisUnreachable

app = FastAPI()


@app.post("/signups", status_code=202)
async def sign_up(who: SignUp) -> dict[str, str]:
    try:
        return {"job": await send_welcome.aenqueue(who)}
    except RedisUnreachable as error:  # certainly not enqueued: the client may try again
        raise HTTPException(503, "try again in a moment") from error
    except RedisUncertain as error:  # perhaps enqueued: trying again may do it twice
        raise HTTPException(504, "accepted, perhaps") from error
