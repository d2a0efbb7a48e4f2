"""What the tests of the handlers share: payloads, leases, Lambda's context, and a Lambda inside this process."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict

from sidelamb.payload import encode
from sidelamb.store import Store
from sidelamb_handlers.event import write_event
from sidelamb_handlers.poller.reply import Reply, read_reply
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    import redis

    from sidelamb.link import Link
    from sidelamb.store import Held
    from sidelamb_handlers.eventloop import KeptLoop
    from sidelamb_handlers.worker import Worker

NOW = 1_795_405_727.5
"""Where a clock stands still, epoch s."""

STORE = Store()
GOLDEN = Path(__file__).parent.parent / "golden"

_requests = itertools.count(1)


def payload(name: str, *args: Any, **fields: Any) -> bytes:
    """A job as it lies in a queue."""
    jid = fields.pop("jid", None) or f"{name}-{args[0] if args else 0}"
    return encode({"retry": True, "queue": "default", "class": name, "args": list(args), "jid": jid, **fields})


def golden(version: str) -> Iterator[bytes]:
    """Every payload in what a real Sidekiq wrote."""
    for file in sorted((GOLDEN / version).glob("*.json")):
        for key in json.loads(file.read_text()):
            name, value = key["key_text"], key["value"]
            if name.startswith("queue:"):
                yield from map(base64.b64decode, value)
            elif name in {"schedule", "retry", "dead"}:
                yield from (base64.b64decode(member) for member, _ in value)


def push(db: redis.Redis, *raws: bytes, queue: str = "default") -> list[bytes]:
    """Push payloads; the first one is the next to run."""
    if raws:
        db.sadd("queues", queue)
        db.lpush(f"queue:{queue}", *raws)
    return list(raws)


def waiting(db: redis.Redis, queue: str = "default") -> list[bytes]:
    """What waits in a queue, the next to run first."""
    return db.lrange(f"queue:{queue}", 0, -1)[::-1]


def everything(db: redis.Redis) -> dict[bytes, Any]:
    """All keys and what they hold at one moment, comparable."""
    out: dict[bytes, Any] = {}
    for key, kind, value in db.eval(_EVERYTHING, 0):  # type: ignore[union-attr]
        pairs = list(zip(value[::2], value[1::2], strict=True)) if kind in {b"hash", b"zset"} else []
        match kind:
            case b"hash":
                out[key] = dict(pairs)
            case b"zset":
                out[key] = [(member, float(score)) for member, score in pairs]
            case b"set":
                out[key] = set(value)
            case _:
                out[key] = value
    return out


_EVERYTHING = """
local read = { list = {'LRANGE', 0, -1}, hash = {'HGETALL'}, set = {'SMEMBERS'}, string = {'GET'} }
read.zset = {'ZRANGE', 0, -1, 'WITHSCORES'}
local out = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  local words = read[kind]
  out[#out + 1] = { key, kind, redis.call(words[1], key, unpack(words, 2)) }
end
return out
"""


def places(db: redis.Redis) -> dict[bytes, list[str]]:
    """Where each payload is. A job that is safe is in one place."""
    found: dict[bytes, list[str]] = {}
    for key, value in everything(db).items():
        name = key.decode()
        raws: list[bytes] = []
        if name.startswith(("queue:", "sidelamb:alone:")):
            raws = value
        elif name in {"schedule", "retry", "dead"}:
            raws = [member for member, _ in value]
        elif name.startswith("sidelamb:lease:"):
            raws = [raw for field, raw in value.items() if field[:1].isdigit()]
        for raw in raws:
            found.setdefault(raw, []).append(name)
    return found


async def soon(says: Callable[[], Any], within_s: float = 10.0) -> Any:
    """Wait as `until`, on the event loop."""
    end = time.monotonic() + within_s
    while not (said := says()):
        assert time.monotonic() < end, "it did not come to that"
        await asyncio.sleep(0.002)
    return said


async def stop(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended: on Python 3.11 redis-py swallows a cancellation now and then."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.05)


class Context:
    """Lambda's context object, with the time really running out."""

    def __init__(self, seconds: float = 60.0, request_id: str = "") -> None:
        self.ends = time.time() + seconds
        self.aws_request_id = request_id or f"request-{next(_requests)}"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.ends - time.time()) * 1000))


def reserve(link: Link, *lease_ids: str, **changes: Any) -> list[Held]:
    """Take what waits into leases."""
    options: dict[str, Any] = {
        "capsule": "c",
        "poller": "p",
        "expires": time.time() + 30,
        "cap": 1000,
        "most_jobs": 1000,
        "most_bytes": 6_000_000,
    }
    queues = changes.pop("queues", ("default",))
    return link.run(STORE.reserve(lease_ids or ("c:1",), queues, **{**options, **changes})).leases


def event_for(held: Held, **changes: Any) -> Any:
    """The event of a lease, as Lambda's runtime gives it to the handler."""
    now = time.time()
    options: dict[str, Any] = {"lease": held.lease, "capsule": "c", "start_by": now + 30, "deadline": now + 100}
    return json.loads(write_event(held.jobs, **{**options, **changes}))


def answered(body: Any, request_id: str = "r") -> Reply:
    """Lambda's reply with a function's result."""
    return read_reply(200, CIMultiDict({"x-amzn-RequestId": request_id}), json.dumps(body).encode())


def function_error(body: dict[str, Any], request_id: str = "r") -> Reply:
    """Lambda's reply for a function that failed."""
    headers = CIMultiDict({"x-amzn-requestid": request_id, "x-amz-function-error": "Unhandled"})
    return read_reply(200, headers, json.dumps(body).encode())


def api_error(status: int, name: str, request_id: str = "r", **body: Any) -> Reply:
    """Lambda's reply for a request that it did not carry out."""
    headers = CIMultiDict({"x-amzn-requestid": request_id, "x-amzn-errortype": f"{name}:http://internal/"})
    return read_reply(status, headers, json.dumps(body).encode())


def exit_error(request_id: str) -> Reply:
    """Lambda's reply for a sandbox that is gone."""
    message = f"RequestId: {request_id} Error: Runtime exited with error: signal: segmentation fault"
    return function_error({"errorType": "Runtime.ExitError", "errorMessage": message}, request_id)


def end_loop(kept: KeptLoop) -> None:
    """End a sandbox's event loop as the end of its process does."""
    loop = kept._loop
    if loop is None or loop.is_closed():
        return
    while loop.is_running():
        try:
            asyncio.run_coroutine_threadsafe(_leave(), loop).result(5)
        except CancelledError:
            continue  # by a sweep that came late
        loop.call_soon_threadsafe(loop.stop)
        until(lambda: not loop.is_running())
    loop.close()


async def _leave() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=2)
    await asyncio.get_running_loop().shutdown_default_executor()


class Exited(BaseException):
    """The process of a sandbox has ended."""


class Sandboxes:
    """A Lambda inside this process: real workers, a thread for each invocation, warm sandboxes first.

    Args:
        make_worker: builds the worker of a new sandbox.
        timeout_s: the function's timeout.
    """

    def __init__(self, make_worker: Callable[..., Worker], timeout_s: float = 5.0) -> None:
        self._make = make_worker
        self._timeout_s = timeout_s
        self._warm: list[Worker] = []
        self.events: list[Any] = []
        """Of all invocations so far."""
        self.flying = 0
        self.most_flying = 0
        self.instead: Callable[[str, Any, str], Awaitable[Reply | None]] | None = None
        """Asked first with (function, event, request id); None from it lets a worker run."""
        self.after: Callable[[Reply], Reply] = lambda reply: reply
        """What becomes of a worker's reply on its way."""

    async def invoke(self, function: str, event: bytes, *, timeout: float) -> Reply:
        """Invoke."""
        request_id = f"request-{next(_requests)}"
        try:
            read = json.loads(event)
        except (ValueError, RecursionError) as error:  # Lambda's runtime reads it before there is a handler
            return function_error({"errorType": "Runtime.UnmarshalError", "errorMessage": str(error)}, request_id)
        self.events.append(read)
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        try:
            if self.instead is not None:
                reply = await self.instead(function, read, request_id)
                if reply is not None:
                    return reply
            return self.after(await _on_thread(lambda: self._run(read, request_id)))
        finally:
            self.flying -= 1

    def _run(self, event: Any, request_id: str) -> Reply:
        worker = self._warm.pop() if self._warm else self._make(exit_process=_exit)
        try:
            answer = worker.handle(event, Context(self._timeout_s, request_id))
        except Exited:
            return exit_error(request_id)
        except Exception as error:
            return function_error({"errorType": type(error).__name__, "errorMessage": str(error)}, request_id)
        self._warm.append(worker)
        return answered(answer, request_id)

    async def close(self) -> None:
        """Nothing to give up."""


def _exit(status: int) -> None:
    raise Exited(status)


async def _on_thread(run: Callable[[], Reply]) -> Reply:
    """Run on a daemon thread: one that hangs must not keep the tests from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Reply] = loop.create_future()

    def tell(reply: Reply) -> None:
        if not future.done():
            future.set_result(reply)

    def work() -> None:
        reply = run()
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, reply)

    threading.Thread(target=work, daemon=True).start()
    return await future
