"""Work on many entries: a bar of progress, and an end between two steps when somebody presses Ctrl-C.

Each step is one script; what it has done is done and nothing is half done. A second Ctrl-C ends at once.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from sidelamb_local.out import console_here, note

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from rich.progress import Progress, TaskID

__all__ = ["LongWork"]

EVERY_S = 2.0
"""How often a line says how far it is, where there is no terminal."""


class LongWork:
    """A context: tell it how far the work is, and ask it whether to go on.

    Args:
        what: what is done, like "retrying".
        total: how many entries there are to look at.
        done: what has become of those that are done, like "looked at".
    """

    def __init__(self, what: str, total: int, done: str = "looked at") -> None:
        self._what, self._total, self._done = what, total, done
        self._asked = False
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._said_at = time.monotonic()
        self._before: Any = None

    @property
    def goes_on(self) -> bool:
        """Whether nobody has asked it to end."""
        return not self._asked

    def far(self, looked: int, total: int | None = None) -> None:
        """Say how many entries are done; and how many there are, if there are more by now."""
        self._total = self._total if total is None else total
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=looked, total=max(self._total, looked))
        elif time.monotonic() - self._said_at > EVERY_S:
            self._said_at = time.monotonic()
            note(f"{self._what}: {looked:,} of {self._total:,} {self._done}")

    def __enter__(self) -> LongWork:  # noqa: PYI034
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._on_interrupt)
        if sys.stderr.isatty():
            from rich.progress import Progress  # noqa: PLC0415

            self._bar = Progress(console=console_here(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=self._total)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _on_interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
