"""The local Lambda service: functions behind an Invoke API on a loopback port.

`LambdaService` is what `sidelamb dev` and the tests hold. The same as a process of its own, with code reload
and schedules: `python -m sidelamb_local.service --template template.yaml` (see `command`).

Nothing that it starts outlives it: not after `stop`, not after `kill -9`. It keeps no state: what it was
asked to run and has not answered is lost with it, as far as the caller can know.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from sidelamb_local.function import Function, FunctionStats
from sidelamb_local.guard import Guard
from sidelamb_local.invocation import Answer, Invocation, new_request_id, new_trace_id
from sidelamb_local.invoke_api import InvokeApi
from sidelamb_local.memory import MemoryWatch
from sidelamb_local.sandbox import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import TextIO

    from sidelamb_local.template import FunctionSpec

DEFAULT_CONCURRENCY = 10
# How long `stop` lets running invocations end by themselves.
GRACE_S = 1.0


class LambdaService:
    """A Lambda of one's own."""

    def __init__(
        self,
        functions: Mapping[str, FunctionSpec],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        concurrency: int = DEFAULT_CONCURRENCY,
        extra_env: Mapping[str, str] | None = None,
        on_log: Callable[[str, str], None] | None = None,
        log_dir: Path | None = None,
    ) -> None:
        """Make it; nothing runs before `start`.

        Args:
            functions: What can be invoked, by name (`load_template(path).functions`).
            host: Where to listen.
            port: 0 takes a free one.
            concurrency: Sandboxes of a function that reserves none.
            extra_env: Variables for every sandbox; they win over the template's.
            on_log: Called with the function's name and one line of its log, in the event loop; must not raise.
            log_dir: A folder for one `<function>.log` each.
        """
        self._specs = dict(functions)
        self._host, self._port = host, port
        self._concurrency = concurrency
        self._extra_env = dict(extra_env or {})
        self._on_log = on_log
        self._log_dir = log_dir
        self._log_files: dict[str, TextIO] = {}
        self._functions: dict[str, Function] = {}
        self._removed: list[Function] = []
        self._platform: Platform | None = None
        self._api = InvokeApi(self.find)

    async def start(self) -> None:
        """Listen. Sandboxes start when they are needed.

        Raises:
            OSError: The port is taken.
        """
        self._port = await self._api.open(self._host, self._port)
        if self._log_dir is not None:
            self._log_dir.mkdir(parents=True, exist_ok=True)
        self._platform = Platform(Guard(), MemoryWatch(), self._extra_env, self._log)
        self.update(self._specs)

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """End everything. Invocations that still run after `grace_s` are cut off and answered with a 500."""
        if self._platform is None:
            return
        self._api.stop_accepting()
        functions = [*self._functions.values(), *self._removed]
        for function in functions:
            function.refuse()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await asyncio.gather(*(function.quiet() for function in functions))
        await asyncio.gather(*(function.stop() for function in functions))
        await self._api.close()
        self._platform.memory.close()
        self._platform.guard.close()
        self._platform = None
        for file in self._log_files.values():
            file.close()

    @property
    def endpoint_url(self) -> str:
        """What boto3 takes as `endpoint_url`."""
        return f"http://{self._host}:{self._port}"

    @property
    def functions(self) -> dict[str, FunctionSpec]:
        """What can be invoked now, by name."""
        return {name: function.spec for name, function in self._functions.items()}

    def stats(self) -> dict[str, FunctionStats]:
        """Counters per function."""
        return {name: function.stats() for name, function in self._functions.items()}

    def find(self, name: str) -> Function | None:
        """A function by its name or logical id."""
        if name in self._functions:
            return self._functions[name]
        return next((function for function in self._functions.values() if function.spec.logical_id == name), None)

    async def invoke(self, name: str, payload: bytes = b"{}") -> Answer:
        """Run one invocation without HTTP, as a schedule does. It waits for a free sandbox.

        Raises:
            KeyError: No such function.
            ServiceStopped: The service stopped before the end.
        """
        function = self._functions[name]
        invocation = Invocation(new_request_id(), payload, function.arn, new_trace_id())
        return await function.invoke(invocation, wait=True)

    def recycle(self) -> None:
        """Code has changed: new invocations get new sandboxes. The next one of each function is a cold start."""
        for function in self._functions.values():
            function.recycle()

    def update(self, functions: Mapping[str, FunctionSpec]) -> None:
        """The template has changed: add, remove and recycle functions accordingly."""
        if self._platform is None:
            raise RuntimeError("the service has not started; await start() first")
        for name in self._functions.keys() - functions.keys():
            self._removed.append(self._functions.pop(name))
            self._removed[-1].recycle()
        for name, spec in functions.items():
            if name in self._functions:
                self._functions[name].recycle(spec)
            else:
                self._functions[name] = Function(spec, self._platform, self._concurrency)

    def _log(self, function: str, line: str) -> None:
        if self._on_log is not None:
            self._on_log(function, line)
        if self._log_dir is not None:
            if function not in self._log_files:
                self._log_files[function] = (self._log_dir / f"{function}.log").open("a", buffering=1)
            self._log_files[function].write(line + "\n")


if __name__ == "__main__":
    from sidelamb_local.command import main

    raise SystemExit(main())
