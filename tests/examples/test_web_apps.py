"""The web apps of examples: a request enqueues, and the job runs by a real worker, in this app's own process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

FASTAPI = """
import asyncio, httpx
from app import app
from sidelamb import default_client

async def ask():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as http:
        answers = [await http.post("/signups", json=body) for body in ({"address": "a@b.c", "name": "Ada"}, {})]
        await default_client().aclose()
    return answers

for answer in asyncio.run(ask()):
    print(answer.status_code, *answer.json())
"""
FLASK = """
from app import app

for when in ("2027-01-01", "soon"):
    answer = app.test_client().post("/reminders", data={"address": "a@b.c", "when": when})
    print(answer.status_code, *answer.json)
"""
DRAIN = """
from sidelamb.testing import drain
print(drain())
"""


def run(folder: str, code: str, url: str) -> list[str]:
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=EXAMPLES / folder,
        env={"SIDELAMB_REDIS_URL": url, "PYTHONPATH": ":".join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_fastapis_app_enqueues_a_model_and_the_job_gets_it(redis_url):
    assert run("fastapi", FASTAPI + DRAIN, redis_url) == [
        "202 job",
        "422 detail",
        "Welcome, Ada <a@b.c>",
        "jobs.send_welcome({'address': 'a@b.c', 'name': 'Ada'}) attempt 1 succeeded",
    ]


def test_flasks_app_enqueues_a_date_and_the_job_gets_it(redis_url):
    assert run("flask", FLASK + DRAIN, redis_url) == [
        "202 job",
        "400 error",
        "a@b.c: it is 01 January",
        "jobs.remind('a@b.c', '2027-01-01') attempt 1 succeeded",
    ]


@pytest.mark.parametrize(("folder", "code", "error"), [("fastapi", FASTAPI, "detail"), ("flask", FLASK, "error")])
def test_without_redis_the_client_is_told_to_try_again(folder, code, error):
    assert run(folder, code, "redis://127.0.0.1:1/0")[0] == f"503 {error}"
