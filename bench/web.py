"""The web page on large sets: `python -m bench.web`.

Fills a queue and three sets with a million entries each, then asks for every page, in one process with the server,
and prints how long each took.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import httpx

from bench.api import fill_at
from sidelamb import Client
from sidelamb_handlers.web import anyone, web
from sidelamb_local.redis_server import RedisServer

PATHS = (
    "/",
    "/queues",
    "/queue?name=default",
    "/queue?name=default&page=9999",
    "/busy",
    "/retries",
    "/retries?page=9999",
    "/scheduled",
    "/dead",
    "/retries?q=no+such+job",
    "/dead?by=class",
    "/metrics",
    "/about",
)


async def measure(url: str, times: int) -> list[tuple[str, float, float, float]]:
    """Return the first time, the median and the slowest of each page, in milliseconds."""
    transport = httpx.ASGITransport(app=web(Client(url), auth=anyone))
    rows = []
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        for path in PATHS:
            taken = []
            for _ in range(times):
                began = time.perf_counter()
                answer = await http.get(path)
                taken.append((time.perf_counter() - began) * 1000)
                if answer.status_code != 200:
                    raise SystemExit(f"{path} answered {answer.status_code}")
            rows.append((path, taken[0], sorted(taken)[times // 2], max(taken)))
    return rows


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--entries", type=int, default=1_000_000, help="in the queue and in each set (1000000)")
    parser.add_argument("--times", type=int, default=50, help="how often each page is asked for (50)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        filling = multiprocessing.get_context("spawn").Process(target=fill_at, args=(server.url, options.entries))
        filling.start()
        filling.join()
        print(f"{options.entries:,} entries each, {options.times} times           first    median   slowest")
        for path, first, median, slowest in asyncio.run(measure(server.url, options.times)):
            print(f"  {path:40} {first:7.1f} ms {median:6.1f} ms {slowest:6.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
