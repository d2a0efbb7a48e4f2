"""The least Lambda function there is; with marks, one that runs the numbers in its event."""

from __future__ import annotations

import os
import sys
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
    return {"ok": True}
