"""How soon a job runs, seen by the app that enqueues it."""

from __future__ import annotations

import random
import time
from typing import Any


def latency(client: Any, marks: Any, samples: int) -> dict[str, Any]:
    """Enqueue one job at a time and hear when it has run; return milliseconds to its start and to its end."""
    asked, heard = [], []
    for n in range(samples):
        time.sleep(random.uniform(0.005, 0.020))
        asked.append(time.time())
        client.single("stamp", range(n, n + 1))
        marks.hear()
        heard.append(time.time())
    began = marks.stamps(samples)
    return {
        "start_ms": [(b - a) * 1000 for a, b in zip(asked, began, strict=True)],
        "end_ms": [(h - a) * 1000 for a, h in zip(asked, heard, strict=True)],
    }
