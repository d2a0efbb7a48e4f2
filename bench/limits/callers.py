"""One who only invokes: `python -m bench.limits.callers KIND URL SECONDS`. Prints its figures.

Kinds: ours (the poller's invoker, 50 at once), boto3 (in 50 threads, as its manual has it), bare (one signed
request after the other on a kept-alive socket).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

AT_ONCE = 50
EVENT = json.dumps({"jobs": [{"class": "noop", "args": [1], "jid": "0123456789abcdef01234567"}]}).encode()
WARM_S = 0.5


def ours(url: str, until: Callable[[], bool]) -> int:
    """Invoke as the poller does."""
    from botocore.credentials import Credentials  # noqa: PLC0415 - each kind loads only its own

    from sidelamb_handlers.poller.invoker import HttpInvoker  # noqa: PLC0415

    async def run() -> int:
        keys = Credentials("local", "local").get_frozen_credentials
        invoker = HttpInvoker(url, "us-east-1", keys)
        calls = await asyncio.gather(*(caller(invoker) for _ in range(AT_ONCE)))
        await invoker.close()
        return sum(calls)

    async def caller(invoker: HttpInvoker) -> int:
        calls = 0
        while not until():
            await invoker.invoke("worker", EVENT, timeout=30)
            calls += 1
        return calls

    return asyncio.run(run())


def boto3(url: str, until: Callable[[], bool]) -> int:
    """Invoke with boto3."""
    import boto3 as aws  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    config = Config(max_pool_connections=AT_ONCE, retries={"total_max_attempts": 1})
    client = aws.client(
        "lambda",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=config,
    )
    counts = [0] * AT_ONCE

    def caller(n: int) -> None:
        while not until():
            client.invoke(FunctionName="worker", Payload=EVENT)["Payload"].read()
            counts[n] += 1

    threads = [threading.Thread(target=caller, args=(n,)) for n in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)


def bare(url: str, until: Callable[[], bool]) -> int:
    """Invoke one after the other."""
    from bench.limits.service import Caller  # noqa: PLC0415

    caller, calls = Caller(url, expected={}), 0
    while not until():
        caller.call(EVENT)
        calls += 1
    return calls


def main() -> None:
    """Warm up, then measure."""
    kind, url, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    call = {"ours": ours, "boto3": boto3, "bare": bare}[kind]
    call(url, _after(WARM_S))
    cpu, began = time.process_time(), time.perf_counter()
    calls = call(url, _after(seconds))
    used, took = time.process_time() - cpu, time.perf_counter() - began
    print(json.dumps({"rate": calls / took, "us": used / calls * 1e6}))


def _after(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end


if __name__ == "__main__":
    main()
