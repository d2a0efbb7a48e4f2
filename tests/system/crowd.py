"""Many pollers, each a process of its own, forked by one that has imported everything: `crowd.py COUNT FILE`.

Importing is most of what a poller does in its first second, and sixteen at once would take it sixteen times.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

from sidelamb_handlers.poller.__main__ import main

pollers = []
for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        os._exit(main(["--config", sys.argv[2]]))
    pollers.append(pid)


def end(*_: object) -> None:
    for pid in pollers:
        with contextlib.suppress(ProcessLookupError):  # a test has killed it
            os.kill(pid, signal.SIGTERM)


signal.signal(signal.SIGTERM, end)
for pid in pollers:
    os.waitpid(pid, 0)
