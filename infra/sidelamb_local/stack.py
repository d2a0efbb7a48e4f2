"""The whole system on this machine, as one object: Redis, the local Lambda service, a poller.

    with Stack(Path("my_app")) as stack:
        ...                             # stack.redis_url is what the app enqueues to

Each is a real process, the same code that runs on AWS but for the service. Nothing is left behind: not after
`stop`, not after Ctrl-C or SIGTERM (whoever holds the stack stops it), not after `kill -9` of this process.
`sidelamb dev`, the demo and the system tests are built on it.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from sidelamb.errors import ConfigError, RedisError
from sidelamb.keys import Keys
from sidelamb.link import Link
from sidelamb.timetable_calls import TimetableCalls
from sidelamb_local.address import free_port_of, remember
from sidelamb_local.errors import LocalStackError
from sidelamb_local.guard import Guard
from sidelamb_local.lambda_child import LambdaChild
from sidelamb_local.poller_child import PollerChild, environment_of
from sidelamb_local.project import Project, data_dir_of, load_project
from sidelamb_local.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

POLLER = "poller"
"""Where a line comes from, in place of a function's name: the poller."""
STACK = "stack"
"""The same, of the stack itself or of the Lambda service."""


class Stack:
    """The system, stopped or running."""

    def __init__(
        self,
        app_dir: Path,
        *,
        template: Path | None = None,
        jobs: Sequence[str] = (),
        redis_url: str | None = None,
        concurrency: int = 4,
        namespace: str = "",
        env: Mapping[str, str] | None = None,
        on_line: Callable[[str, str], None] | None = None,
        poller: bool = True,
        supervise: bool = False,
        data_dir: Path | None = None,
        port: int = 0,
    ) -> None:
        """Nothing is read or runs before `start`.

        Args:
            app_dir: The app's folder.
            template: Its SAM template; by default its `template.yaml`, or else the built-in one.
            jobs: Its job modules; by default what SIDELAMB_JOBS says, or else `jobs`.
            redis_url: A Redis to use; by default SIDELAMB_REDIS_URL, or else one of our own.
            concurrency: Invocations at once, at most, for each function.
            namespace: Key prefix.
            env: Variables for sandboxes and poller; they win.
            on_line: Called with (function, POLLER or STACK; one line), on threads of the stack's own. Be quick.
            poller: Start one; `restart_poller` starts it later.
            supervise: Start a poller that ends by itself again, as ECS would.
            data_dir: Where data and settings are kept; by default `.sidelamb` in `app_dir`.
            port: Of the Lambda service; 0 takes a free one.
        """
        self.app_dir = app_dir.absolute()
        self._template, self._jobs = template, tuple(jobs)
        self._given_url = redis_url or os.environ.get("SIDELAMB_REDIS_URL", "")
        self._concurrency, self._namespace = concurrency, namespace
        self._env = dict(env or {})
        self._on_line = on_line or (lambda _function, _line: None)
        self._with_poller, self._supervise = poller, supervise
        self._data_dir, self._port = data_dir, port
        self._project: Project | None = None
        self._guard: Guard | None = None
        self.redis: RedisServer | None = None
        """The Redis that is our own, or None."""
        self._lambda = self._new_lambda()
        self._poller: PollerChild | None = None

    # --- what it is ----------------------------------------------------------------------------------------

    @property
    def project(self) -> Project:
        """The app as it was read.

        Raises:
            LocalStackError: The stack has not started.
        """
        if self._project is None:
            raise LocalStackError("the stack has not started; start() it first")
        return self._project

    @property
    def redis_url(self) -> str:
        """Where to enqueue."""
        return self.redis.url if self.redis is not None else self._given_url

    @property
    def namespace(self) -> str:
        """The key prefix in use."""
        return self.project.config.namespace

    @property
    def endpoint_url(self) -> str:
        """The Lambda service's address, as boto3 takes it."""
        return self._lambda.endpoint_url

    @property
    def worker_function(self) -> str:
        """The first capsule's function."""
        return self.project.config.capsules[0].function

    @property
    def scheduler_function(self) -> str:
        """The scheduler function, or the empty text."""
        return self.project.config.scheduler

    @property
    def poller_pid(self) -> int | None:
        """The poller's process id; None while there is none."""
        return self._poller.pid if self._poller is not None else None

    @property
    def service_pid(self) -> int | None:
        """The Lambda service's process id; None while there is none."""
        return self._lambda.pid

    @property
    def stats(self) -> dict[str, dict[str, Any]]:
        """The Lambda service's counters by function (the fields of `FunctionStats`), half a second old at most."""
        return self._lambda.stats

    # --- its life ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything; returns when the poller takes jobs.

        Raises:
            LocalStackError: Something is missing or did not start; says what to do.
            ConfigError: A setting is wrong.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything in good order: the poller, the sandboxes, and Redis if it is ours. Twice is harmless."""
        self.stop_jobs()
        server, self.redis = self.redis, None
        if server is not None:
            server.stop()
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.close()

    def stop_jobs(self) -> None:
        """Stop the poller and the sandboxes; Redis can still be asked what has become of the jobs."""
        poller, self._poller = self._poller, None
        if poller is not None:
            poller.stop()
        self._lambda.stop()
        self._lambda = self._new_lambda()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def restart_poller(self) -> None:
        """Stop the poller politely, if there is one, and start one; returns when it takes jobs.

        Raises:
            LocalStackError: It did not start; says its last words.
        """
        if self._poller is None:
            self._poller = self._new_poller()
        self._poller.restart(self.project.config, self.redis_url)

    def kill_poller(self) -> None:
        """SIGKILL the poller, as a crash would. `restart_poller` brings it back, or supervision."""
        if self._poller is not None:
            self._poller.kill()

    def _start(self) -> None:
        self._project = load_project(
            self.app_dir,
            template=self._template,
            modules=self._jobs,
            env=self._env,
            in_flight=self._concurrency,
            namespace=self._namespace,
        ).probed()
        self._data_dir = self._data_dir or data_dir_of(self.app_dir)
        self._data_dir.mkdir(parents=True, exist_ok=True)
        self._project.write_built_in()
        self._guard = Guard()
        self._start_redis(self._data_dir)
        self._lambda.start(
            self._project.template.absolute(),
            guard=self._guard,
            cwd=self._data_dir,
            port=self._port,
            concurrency=self._concurrency,
            env=self._project.env | self._shared_env(),
        )
        self._ask_for_periodic(self._project)
        if self._with_poller:
            self.restart_poller()

    def _ask_for_periodic(self, *projects: Project) -> None:
        """Have the scheduler look at what is periodic in the app; a worker asks only when it runs."""
        try:
            is_any = any(project.is_periodic for project in projects)
        except ConfigError as error:  # the file is being edited
            self._on_line(STACK, str(error))
            return
        if is_any:
            link = Link(self.redis_url)
            with suppress(RedisError):  # whoever needs it more says so
                link.command(*TimetableCalls(Keys(self.namespace)).ask())
            link.close()

    def _start_redis(self, data_dir: Path) -> None:
        if not self._given_url:
            server = RedisServer(data_dir / "redis", port=free_port_of(data_dir))
            server.start()
            self.redis = server
        remember(data_dir, self.redis_url)

    def _new_lambda(self) -> LambdaChild:
        return LambdaChild(
            on_line=self._on_line,
            on_trouble=lambda line: self._on_line(STACK, line),
            on_reload=self._reloaded,
        )

    def _new_poller(self) -> PollerChild:
        if self._guard is None or self._data_dir is None:
            raise LocalStackError("the stack has not started; start() it first")
        return PollerChild(
            self._data_dir / "poller.toml",
            guard=self._guard,
            env=environment_of(self.endpoint_url, self._shared_env()),
            on_line=lambda line: self._on_line(POLLER, line),
            on_trouble=lambda line: self._on_line(STACK, line),
            supervise=self._supervise,
        )

    def _shared_env(self) -> dict[str, str]:
        return {"SIDELAMB_REDIS_URL": self.redis_url, "SIDELAMB_NAMESPACE": self.namespace} | self._env

    # --- changed code --------------------------------------------------------------------------------------

    def _reloaded(self) -> None:
        self._on_line(STACK, "reloaded: the next jobs run the changed code")
        threading.Thread(target=self._look_again, name="sidelamb-look-again", daemon=True).start()

    def _look_again(self) -> None:
        """A changed app may have new queues, which the poller should serve."""
        before = self.project
        try:
            now = before.probed()
        except LocalStackError as error:
            self._on_line(STACK, str(error))
            return
        self._project = now
        self._ask_for_periodic(before, now)
        poller = self._poller
        if now.config == before.config or poller is None:
            return
        self._on_line(STACK, f"the queues are now {', '.join(now.config.queues)}")
        try:
            poller.restart(now.config, self.redis_url)
        except LocalStackError as error:
            self._on_line(STACK, str(error))
