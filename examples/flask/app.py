"""The web app: it enqueues, and answers with the job's id."""

from __future__ import annotations

import datetime as dt

from flask import Flask, request
from jobs import remind

from sidelamb import RedisUncertain, RedisUnreachable

app = Flask(__name__)


@app.post("/reminders")
def add_reminder() -> tuple[dict[str, str], int]:
    try:
        when = dt.date.fromisoformat(request.form["when"])
    except ValueError:
        return {"error": f"{request.form['when']} is no date"}, 400
    return {"job": remind.enqueue(request.form["address"], when)}, 202


@app.errorhandler(RedisUnreachable)
def not_enqueued(_error: RedisUnreachable) -> tuple[dict[str, str], int]:
    """Certainly not: the client may try again."""
    return {"error": "try again in a moment"}, 503


@app.errorhandler(RedisUncertain)
def perhaps_enqueued(_error: RedisUncertain) -> tuple[dict[str, str], int]:
    """Trying again may do it twice."""
    return {"error": "accepted, perhaps"}, 504
