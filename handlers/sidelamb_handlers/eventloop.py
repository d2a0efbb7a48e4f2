"""The one event loop of a sandbox, on which all `async def` jobs run.

It lives as long as the sandbox: a frozen sandbox keeps its loop, and what hangs on it (HTTP sessions, database
pools), and goes on with both after the thaw. Tasks that a job leaves behind do not live on into the next
invocation.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from sidelamb_handlers.strays import OwnThread

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from sidelamb_handlers.attempt import Attempt

__all__ = ["KeptLoop"]

CLOSE_S = 5.0
"""So long a loop may take to end what it is at."""


class KeptLoop:
    """An event loop on its own thread, started with the first coroutine."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: OwnThread | None = None
        self._lock = threading.Lock()
        self._new: deque[_Run] = deque()
        self._told = False

    def run(self, attempt: Attempt, coroutine: Awaitable[Any]) -> Any:
        """Run a job's coroutine on the loop to its end and return its result; the calling thread waits.

        A coroutine that is interrupted is cancelled, and has ended, clean-up and all, when this returns.
        """
        loop = self._loop or self._started()
        run = _Run(coroutine)
        attempt.interrupt = lambda: loop.call_soon_threadsafe(run.cancel)
        self._new.append(run)
        if not self._told:  # else the loop is about to look
            self._told = True
            loop.call_soon_threadsafe(self._start_new)
        return run.wait()

    def sweep(self, within_s: float) -> bool:
        """Cancel all tasks that jobs left behind; say whether all ended within `within_s`."""
        if self._loop is None:
            return True
        try:
            return asyncio.run_coroutine_threadsafe(_sweep(within_s / 2), self._loop).result(within_s)
        except TimeoutError:
            return False

    def close(self) -> None:
        """End the loop, in a process that lives on. Nothing may be running on it."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None and self._thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join(CLOSE_S)
            if self._thread.is_alive():
                return  # a job blocks it, and would not stop
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = OwnThread(target=self._loop.run_forever, name="sidelamb-loop")
                self._thread.start()
            return self._loop

    def _start_new(self) -> None:
        """Start what has come, on the loop: lanes come many at a time, and to wake it once is enough."""
        self._told = False
        while self._new:
            self._new.popleft().start()


class _Run:
    """One coroutine on the loop. But for `wait`, its methods run there."""

    __slots__ = ("_begun", "_context", "_coroutine", "_ended", "_error", "_result", "_stopped", "_task")

    def __init__(self, coroutine: Awaitable[Any]) -> None:
        self._coroutine = coroutine
        self._context = copy_context()
        self._ended = threading.Lock()
        self._ended.acquire()
        self._begun = self._stopped = False
        self._task: asyncio.Task[None] | None = None
        self._result: Any = None
        self._error: BaseException | None = None

    def wait(self) -> Any:
        """Return its result, or raise its error, once it has ended."""
        self._ended.acquire()
        if self._error is not None:
            raise self._error
        return self._result

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._guarded(), context=self._context)

    def cancel(self) -> None:
        self._stopped = True
        if self._begun and self._task is not None:
            self._task.cancel()

    async def _guarded(self) -> None:
        """Keep result or error. An exit that a job raises must not end the loop."""
        self._begun = True
        if self._stopped:
            self._error = CancelledError()
            if isinstance(self._coroutine, Coroutine):
                self._coroutine.close()
        else:
            try:
                self._result = await self._coroutine
            except BaseException as error:
                self._error = error
        self._ended.release()


async def _sweep(timeout_s: float) -> bool:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if not left:
        return True
    for task in left:
        task.cancel()
    _, alive = await asyncio.wait(left, timeout=timeout_s)
    return not alive
