"""A process that helps to measure: it says its port, and for each line on stdin what it has counted, as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Helper", "tell"]

ROOT = Path(__file__).resolve().parent.parent


class Helper:
    """The process, from outside."""

    def __init__(self, module: str, *words: object) -> None:
        command = [sys.executable, "-m", module, *map(str, words)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.port = int(self._answer()["port"])

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def counts(self) -> dict[str, Any]:
        """Return what it has counted."""
        if self._process.stdin is not None:
            self._process.stdin.write("?\n")
        return self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise SystemExit("bench: a helping process has ended")
        found: dict[str, Any] = json.loads(line)
        return found


def tell(port: int, counts: Callable[[], dict[str, Any]]) -> None:
    """Be the process: say the port, and answer each line from a thread."""

    def answer() -> None:
        for _ in sys.stdin:
            print(json.dumps(counts()), flush=True)

    print(json.dumps({"port": port}), flush=True)
    threading.Thread(target=answer, daemon=True).start()
