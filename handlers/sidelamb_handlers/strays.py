"""Threads that jobs have started and left running.

A frozen sandbox freezes them too, and they would wake up in a later invocation, in the middle of work that nobody
waits for any more. Looked at are threads that are not daemons, as Python itself waits for them at a program's end;
an executor's thread counts while it works, and not while it waits for work.
"""

from __future__ import annotations

import gc
import sys
import threading
import time

__all__ = ["OwnThread", "Strays"]

BEGIN_S = 0.001
"""An executor's thread that was given work a moment ago has begun it by then."""

LOOK_S = 0.01
"""Between two looks at threads that are about to end."""


class OwnThread(threading.Thread):
    """A thread of the worker's own, on which jobs run.

    Python does not wait for it at the end of the process. Yet what a job starts on it is no daemon unless the job
    says so, as in a program's main thread, although a thread takes that over from the one it is started on.
    """

    _runs = False

    @property
    def daemon(self) -> bool:  # type: ignore[override]  # nobody sets it
        """True until it runs, when Python looks at it; False to those who are started on it."""
        return not self._runs

    def run(self) -> None:
        """Run."""
        self._runs = True
        super().run()


class Strays:
    """The threads that were started since this was made. What ran before belongs to the app, not to a job."""

    def __init__(self) -> None:
        self._before = _working()

    def left(self, within_s: float) -> list[str]:
        """Return the names of those that have not ended within `within_s`."""
        if not _others():
            return []
        until = time.monotonic() + within_s
        time.sleep(BEGIN_S)
        while left := _working() - self._before:
            if time.monotonic() > until:
                return sorted(thread.name for thread in left)
            time.sleep(LOOK_S)
        return []


def _others() -> set[threading.Thread]:
    """Return the threads that are no daemons, but for ours and the one that asks."""
    me = threading.current_thread()
    every = threading.enumerate()
    return {each for each in every if each is not me and not isinstance(each, OwnThread) and not each.daemon}


def _working() -> set[threading.Thread]:
    found = _others()
    executor = sys.modules.get("concurrent.futures.thread")
    if executor is None or not found:
        return found
    frames = _frames()
    return {each for each in found if not _waits_for_work(frames.get(each.ident or 0), executor.__file__)}


def _frames() -> dict[int, object]:
    """Return what each thread is at, by its id; the only way to see that.

    Python holds a lock of the interpreter's meanwhile, which new threads need too. Were garbage collected then,
    and did it wait for anything (a socket that is closed), the process would stand still for ever.
    """
    with _looking:
        collects = gc.isenabled()
        gc.disable()
        try:
            return dict(sys._current_frames())  # noqa: SLF001
        finally:
            if collects:
                gc.enable()


_looking = threading.Lock()


def _waits_for_work(frame: object, file: str | None) -> bool:
    code = getattr(frame, "f_code", None)
    return code is not None and code.co_name == "_worker" and code.co_filename == file
