"""The local Lambda service as the stack sees it: a child that says what happens, and what came of it so far."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from sidelamb_local.child import Child, how_it_ended
from sidelamb_local.errors import LocalStackError
from sidelamb_local.lambda_process import OPTIONS_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sidelamb_local.guard import Guard

START_LIMIT_S = 20.0
STOP_LIMIT_S = 5.0


class LambdaChild:
    """`lambda_process`, started and heard.

    Attributes:
        endpoint_url: Its address, as boto3 takes it; empty until it has started.
        stats: Counters by function, the fields of `FunctionStats`; half a second old at most.
        reloads: How often code or template have changed.
    """

    def __init__(
        self,
        *,
        on_line: Callable[[str, str], None],
        on_trouble: Callable[[str], None],
        on_reload: Callable[[], None],
    ) -> None:
        """Nothing runs before `start`.

        Args:
            on_line: Called with a function's name and a line of its log.
            on_trouble: Called with a line for a person.
            on_reload: Called when code or template have changed.
        """
        self._on_line, self._on_trouble, self._on_reload = on_line, on_trouble, on_reload
        self._child: Child | None = None
        self._answered = threading.Event()
        self._last_line = ""
        self._stopping = False
        self.endpoint_url = ""
        self.stats: dict[str, dict[str, Any]] = {}
        self.reloads = 0

    @property
    def pid(self) -> int | None:
        """Its process id; None while it does not run."""
        return self._child.pid if self._child is not None and not self._child.ended else None

    def start(
        self, template: Path, *, guard: Guard, cwd: Path, port: int, concurrency: int, env: Mapping[str, str]
    ) -> None:
        """Start it; returns when it takes invocations.

        Args:
            template: Whose functions to serve.
            guard: Ends it if we are killed.
            cwd: Its working directory.
            port: 0 takes a free one.
            concurrency: Sandboxes of a function that reserves none.
            env: Variables for every sandbox, over the template's.

        Raises:
            LocalStackError: It did not start; says why.
        """
        options = {"template": str(template), "port": port, "concurrency": concurrency, "env": dict(env)}
        self._child = Child(
            [sys.executable, "-P", "-m", "sidelamb_local.lambda_process"],
            guard=guard,
            cwd=cwd,
            env={**os.environ, OPTIONS_VARIABLE: json.dumps(options)},
            on_line=self._heard,
            on_end=self._ended,
        )
        if not self._answered.wait(START_LIMIT_S):
            raise LocalStackError(
                f"the local Lambda service did not start in {START_LIMIT_S:g} s: {self._last_line}"
            )
        if not self.endpoint_url:
            raise LocalStackError(self._last_line or "the local Lambda service ended at once")

    def stop(self) -> None:
        """Stop it, and with it all sandboxes."""
        self._stopping = True
        if self._child is not None:
            self._child.stop(STOP_LIMIT_S)

    def _heard(self, line: str) -> None:
        try:
            kind, *rest = json.loads(line)
        except ValueError:
            self._last_line = line
            if self.endpoint_url:  # before that it ends, and `start` says so
                self._on_trouble(line)
            return
        match kind:
            case "log":
                self._on_line(*rest)
            case "ready":
                self.endpoint_url = rest[0]
                self._answered.set()
            case "stats":
                self.stats = rest[0]
            case "reloaded":
                self.reloads += 1
                self._on_reload()

    def _ended(self, child: Child) -> None:
        if not self._stopping and self.endpoint_url:
            self._on_trouble(f"the local Lambda service has ended ({how_it_ended(child)})")
        self._answered.set()
