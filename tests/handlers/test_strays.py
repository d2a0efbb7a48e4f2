"""Looking for threads that jobs have left running."""

from __future__ import annotations

import gc
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from sidelamb_handlers.strays import Strays


def test_no_garbage_is_collected_while_python_holds_the_lock_that_new_threads_need(monkeypatch):
    real, seen = sys._current_frames, []

    def frames():
        seen.append(gc.isenabled())
        return real()

    monkeypatch.setattr(sys, "_current_frames", frames)
    stop, strays = threading.Event(), Strays()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(stop.wait)
        assert len(strays.left(0)) == 1
        stop.set()
    assert seen == [False] * len(seen)
    assert seen
    assert gc.isenabled()
