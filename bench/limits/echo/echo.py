"""The least Lambda function there is; with marks, one that runs the numbers in its event, or waits on threads."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "apps"))
from marks import Marks

_marks = Marks.here() if "BENCH_MARKS" in os.environ else None


def handler(event: Any, _: Any) -> Any:
    """Answer at once."""
    if _marks is not None and isinstance(event, dict):
        for raw in event.get("jobs", ()):
            _marks.done[raw["args"][0]] = 1
        if "pauses" in event:
            _wait(**event["pauses"])
    return {"ok": True}


def _wait(jobs: int, at_once: int, seconds: float) -> None:
    """Run jobs that only wait."""
    numbers = iter(range(jobs))

    def lane() -> None:
        for n in numbers:
            time.sleep(seconds)
            _marks.done[n] = 1

    lanes = [threading.Thread(target=lane) for _ in range(at_once)]
    for each in lanes:
        each.start()
    for each in lanes:
        each.join()
