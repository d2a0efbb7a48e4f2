"""Has strangers' tools scan the page: `python -m tests.web.scan [--examples N]`.

The page has forms and no JSON, so it publishes no OpenAPI document. One is made here for schemathesis, of its own
routes and of every field that its pages read: it asks for and sends whatever such a document allows and does not
allow, to a page over jobs in every state. A status of 500 and more is a finding.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import redis
from starlette.routing import Route

from sidelamb import Client
from sidelamb_handlers.web import anyone, pages, web
from sidelamb_local.redis_server import RedisServer
from tests.tools import installed
from tests.web.hostile import TEXTS, everywhere
from tests.web.stand import Served, entries, fill

SCHEMATHESIS = "schemathesis==4.32.5"
TOKEN = "0" * 32
"""Of a browser that has been here before."""
MOST_S = 600


KNOWN = {
    "by": ["class", "error"],
    "do": [
        "retry",
        "kill",
        "reschedule",
        "delete",
        "pause",
        "resume",
        "clear",
        "quiet",
        "stop",
        "run",
        "cancel",
        "release",
        "reset",
    ],
    "in": ["retries", "scheduled", "dead", "queue"],
    "kind": ["concurrent", "window", "bucket"],
    "name": ["default", "shop.charge", "reports.nightly", "bank", "mail/acme", "search"],
    "args": ["[1]"],
    "kwargs": ["{}"],
}
"""What gets past the first question of a page."""


def routes() -> list[tuple[str, str]]:
    """Return every path of the page with every method that it takes."""
    app: Any = web(Client("redis://127.0.0.1:1/0"), auth=anyone)
    found = [one for one in app._app.routes if isinstance(one, Route)]
    return sorted((one.path, method) for one in found for method in (one.methods or ()) if method != "HEAD")


def fields() -> list[str]:
    """Return every field of an address or a form that a page or its template reads."""
    folder = Path(pages.__path__[0])
    sources = [file.read_text() for file in (*folder.glob("*.py"), *folder.parent.glob("templates/*.html"))]
    found = {name for text in sources for name in re.findall(r'said(?:\.\w+)?\(\s*"(\w+)"', text)}
    return sorted(found | {"moved", "skipped"})


def openapi(keys: list[str]) -> dict[str, Any]:
    """Return the page as an OpenAPI document: every field may be anywhere, and be anything.

    Args:
        keys: what names entries of sets that are there.
    """
    known = {**KNOWN, "key": keys}
    said = {name: {"anyOf": [{"enum": [*known.get(name, []), *TEXTS]}, {"type": "string"}]} for name in fields()}
    query = [{"name": name, "in": "query", "schema": schema} for name, schema in said.items()]
    form = {"type": "object", "properties": {**said, "token": {"const": TOKEN}}, "required": ["token"]}
    body = {"content": {"application/x-www-form-urlencoded": {"schema": form}}, "required": True}
    answers = {"responses": {"default": {"description": "a page"}}}
    kinds: dict[str, Any] = {"GET": {"parameters": query, **answers}, "POST": {"requestBody": body, **answers}}
    paths: dict[str, Any] = {}
    for path, method in routes():
        paths.setdefault(path, {})[method.lower()] = kinds[method]
    return {"openapi": "3.1.0", "info": {"title": "the web page", "version": "1"}, "paths": paths}


def scan(url: str, document: dict[str, Any], examples: int, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run schemathesis against a page; its status is 0 if it found nothing."""
    (folder / "openapi.json").write_text(json.dumps(document))
    command = [
        str(installed("schemathesis", SCHEMATHESIS) / "schemathesis"),
        *("run", str(folder / "openapi.json"), "--url", url, "--checks", "not_a_server_error"),
        *("--phases", "coverage,fuzzing", "--mode", "all", "--max-examples", str(examples)),
        *("--header", f"Cookie: sidelamb_token={TOKEN}", "--no-color"),
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=MOST_S, check=False)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--examples", type=int, default=50, help="for each path and method (50)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder) / "redis") as server:
        with redis.Redis.from_url(server.url) as db:
            fill(db, 60)
            everywhere(db, server.url, time.time(), time.time() + 3_600, "low")
            document = openapi([key for name in ("retry", "schedule", "dead") for key in entries(db, name)][::9])
        with Served(web(Client(server.url), auth=anyone)) as url:
            ended = scan(url, document, options.examples, Path(folder))
    print(ended.stdout, ended.stderr, sep="\n")
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
