"""Looking for threads that jobs have left running."""

from __future__ import annotations

import subprocess
import sys

WITH_GARBAGE = """
import gc, threading, time
from sidelamb_handlers.strays import _frames

class Closes:
    def __init__(self): self.me = self
    def __del__(self): time.sleep(0.001)  # as a socket that is closed lets others run

def starts():
    while True: threading.Thread(target=int).start()

threading.Thread(target=starts, daemon=True).start()
for _ in range(20):
    gc.set_threshold(100_000)
    for _ in range(3): Closes()
    gc.set_threshold(1)
    _frames()
print(gc.isenabled())
"""


def test_garbage_that_is_collected_meanwhile_does_not_stop_the_process():
    run = [sys.executable, "-c", WITH_GARBAGE]
    assert subprocess.run(run, capture_output=True, text=True, timeout=30, check=True).stdout == "True\n"
