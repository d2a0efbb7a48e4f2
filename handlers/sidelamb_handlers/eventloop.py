"""The one event loop of a sandbox, on which all `async def` jobs run.

It lives as long as the sandbox: a frozen sandbox keeps its loop, and what hangs on it (HTTP sessions, database
pools), and goes on with both after the thaw. Tasks that a job leaves behind do not live on into the next
invocation.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any

from sidelamb_handlers.strays import OwnThread

if TYPE_CHECKING:
    from collections.abc import Coroutine

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

    def run(self, attempt: Attempt, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a job's coroutine on the loop to its end and return its result; the calling thread waits.

        A coroutine that is interrupted is cancelled, and has ended, clean-up and all, when this returns.
        """
        loop = self._started()
        ended: Future[Any] = Future()
        run = _Run(coroutine, ended)
        attempt.interrupt = lambda: loop.call_soon_threadsafe(run.cancel)
        loop.call_soon_threadsafe(run.start)
        result, error = ended.result()
        if error is not None:
            raise error
        return result

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


class _Run:
    """One coroutine on the loop. Its methods run there."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], ended: Future[Any]) -> None:
        self._coroutine = coroutine
        self._ended = ended
        self._task: asyncio.Task[Any] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._guarded())
        self._task.add_done_callback(self._end)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _guarded(self) -> tuple[Any, BaseException | None]:
        """Return (result, error). An exit that a job raises must not end the loop."""
        try:
            return await self._coroutine, None
        except BaseException as error:
            return None, error

    def _end(self, task: asyncio.Task[Any]) -> None:
        cancelled = task.cancelled()  # before it began
        self._ended.set_result((None, CancelledError()) if cancelled else task.result())


async def _sweep(timeout_s: float) -> bool:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if not left:
        return True
    for task in left:
        task.cancel()
    _, alive = await asyncio.wait(left, timeout=timeout_s)
    return not alive
