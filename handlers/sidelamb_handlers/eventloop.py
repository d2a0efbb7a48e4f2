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
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from sidelamb_handlers.strays import OwnThread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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
        ended = threading.Lock()
        ended.acquire()
        run = _Run(coroutine, copy_context(), lambda _: ended.release())
        self._begin(attempt, run)
        ended.acquire()
        if run.error is not None:
            raise run.error
        return run.result

    def begin(
        self, attempt: Attempt, coroutine: Awaitable[Any], then: Callable[[BaseException | None], None]
    ) -> None:
        """Run a coroutine on the loop, in an empty context; nobody waits.

        Args:
            attempt: whose it is.
            coroutine: what to run.
            then: called on the loop when it has ended, with its error; must not block and not raise.
        """
        self._begin(attempt, _Run(coroutine, Context(), lambda run: then(run.error)))

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

    def _begin(self, attempt: Attempt, run: _Run) -> None:
        loop = self._loop or self._started()
        attempt.interrupt = lambda: run.stop(loop)
        if self._thread is not None and self._thread.ident == threading.get_ident():
            run.start()
            return
        self._new.append(run)
        if not self._told:  # else the loop is about to look
            self._told = True
            loop.call_soon_threadsafe(self._start_new)

    def _start_new(self) -> None:
        """Start what has come, on the loop: threads come many at a time, and to wake it once is enough."""
        self._told = False
        while self._new:
            self._new.popleft().start()


class _Run:
    """One coroutine on the loop.

    Args:
        coroutine: what to run.
        context: in which.
        then: told when it has ended, clean-up and all.
    """

    __slots__ = ("_begun", "_context", "_coroutine", "_stopped", "_task", "_then", "error", "result")

    def __init__(self, coroutine: Awaitable[Any], context: Context, then: Callable[[_Run], None]) -> None:
        self._coroutine = coroutine
        self._context = context
        self._then = then
        self._begun = self._stopped = False
        self._task: asyncio.Task[None] | None = None
        self.result: Any = None
        self.error: BaseException | None = None

    def start(self) -> None:
        """Start it, on the loop."""
        self._task = asyncio.get_running_loop().create_task(self._guarded(), context=self._context)

    def stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have it cancelled, from any thread; what has not begun does not begin."""
        self._stopped = True
        loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._begun and self._task is not None:
            self._task.cancel()

    async def _guarded(self) -> None:
        """Keep result or error. An exit that a job raises must not end the loop."""
        self._begun = True
        if self._stopped:
            self.error = CancelledError()
            if isinstance(self._coroutine, Coroutine):
                self._coroutine.close()
        else:
            try:
                self.result = await self._coroutine
            except BaseException as error:
                self.error = error
        self._then(self)


async def _sweep(timeout_s: float) -> bool:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if not left:
        return True
    for task in left:
        task.cancel()
    _, alive = await asyncio.wait(left, timeout=timeout_s)
    return not alive
