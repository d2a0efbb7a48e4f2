"""A program for a test: it forks while another thread makes the process's first enqueue, which imports redis-py.

The import is held until the fork has begun, so that they meet every time. The child enqueues too; the exit status
is the child's, or 1 if it is not done after ten seconds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from importlib.abc import MetaPathFinder
from typing import Any

from sidelamb import job

MODULE, VERB = sys.argv[1:3]


@job(name="forking")
def work(n: int) -> None: ...


class Held(MetaPathFinder):
    """Holds the import of one module."""

    def __init__(self) -> None:
        self.begun, self.forking = threading.Event(), threading.Event()

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        if fullname == MODULE:
            self.begun.set()
            self.forking.wait(10)


def enqueue() -> None:
    if VERB == "aenqueue":
        asyncio.run(work.aenqueue(1))
    else:
        work.enqueue(1)


held = Held()
sys.meta_path.insert(0, held)
os.register_at_fork(before=held.forking.set)
thread = threading.Thread(target=enqueue)
thread.start()
held.begun.wait(10)
child = os.fork()
if child == 0:
    signal.alarm(10)
    enqueue()
    os._exit(0)
thread.join()
sys.exit(1 if os.waitpid(child, 0)[1] else 0)
