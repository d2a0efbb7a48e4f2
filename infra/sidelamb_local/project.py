"""An app on this machine: its template, its functions, its job modules, and what a poller is to serve.

What the app says itself counts: `sidelamb.toml` for capsules, or else those of the template's poller;
`template.yaml` for functions, the workers' SIDELAMB_JOBS for modules. What it leaves open is derived: one capsule
for the one worker function, with its timeout, serving `default` and every queue that a registered job names;
without a template, two built-in functions on the app's folder. So a folder with a `jobs.py` is an app.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sidelamb.payload import DEFAULT_QUEUE
from sidelamb_handlers.config import FILE as CONFIG_FILE
from sidelamb_handlers.config import CapsuleConfig, Config, load_config, settings_in
from sidelamb_local.deployed import as_deployed, at_home, has_capsules, poller_config
from sidelamb_local.errors import LocalStackError
from sidelamb_local.poller_toml import quoted
from sidelamb_local.probe import Found, probe
from sidelamb_local.template import Template, load_template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidelamb_local.template import FunctionSpec

DATA_DIR = ".sidelamb"
TEMPLATES = ("template.yaml", "template.yml")
BUILT_IN = Path(__file__).with_name("default_template.yaml")
WORKER = "sidelamb_handlers.worker.handler"
SCHEDULER = "sidelamb_handlers.scheduler.handler"
# Long enough for jobs of a developer's machine, short enough for one who pressed Ctrl-C.
STOP_TIMEOUT_S = 5.0
# Not passed on: they say how this very process runs.
NOT_FOR_SANDBOXES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PATH", "HOME", "PWD", "OLDPWD", "_", "TZ", "LANG")


@dataclass(frozen=True)
class Project:
    """An app, read.

    Attributes:
        app_dir: Its folder.
        template: The SAM template in use. The built-in one is in the data folder, after `write_built_in`.
        functions: The template's, by name.
        modules: What SIDELAMB_JOBS is in its workers.
        config: The poller's settings, all but Redis; before `probed` without the queues of its jobs.
        env: Variables for its sandboxes, over the template's.
        is_built_in: Whether the template is the built-in one.
        is_derived: Whether the app says nothing of capsules: there is one, for every queue of its jobs.
        jobs: What its modules register; nothing before `probed`.
    """

    app_dir: Path
    template: Path
    functions: dict[str, FunctionSpec]
    modules: tuple[str, ...]
    config: Config
    env: dict[str, str]
    is_built_in: bool
    is_derived: bool = True
    jobs: Found = field(default_factory=Found)

    @property
    def worker(self) -> FunctionSpec:
        """The function of the first capsule."""
        return self.functions[self.config.capsules[0].function]

    @property
    def workers(self) -> list[FunctionSpec]:
        """The functions of all capsules, each once."""
        return [self.functions[name] for name in dict.fromkeys(c.function for c in self.config.capsules)]

    @property
    def is_periodic(self) -> bool:
        """Whether its code or its file declares something periodic; of the code after `probed`."""
        return bool(self.jobs.periodic) or "periodic" in settings_in(self.app_dir / CONFIG_FILE)

    def modules_of(self, worker: FunctionSpec) -> tuple[str, ...]:
        """Return the modules that one of the workers imports."""
        return _split(self.env.get("SIDELAMB_JOBS") or worker.environment.get("SIDELAMB_JOBS", ""))

    def write_built_in(self) -> None:
        """Put the built-in template, if that is the one in use, where `template` says."""
        if not self.is_built_in:
            return
        data_dir_of(self.app_dir)
        text = BUILT_IN.read_text().replace('"."', quoted(str(self.worker.code_dir)))
        if not self.template.exists() or self.template.read_text() != text:
            self.template.write_text(text)

    def probed(self) -> Project:
        """The same app with what its code registers now.

        Raises:
            LocalStackError: The code cannot be imported as it is now.
        """
        found = [
            probe(self.modules_of(worker), worker.code_dir, {**os.environ, **worker.environment, **self.env})
            for worker in self.workers
        ]
        queues = dict.fromkeys(queue for one in found for queue in one.queues)
        names = dict.fromkeys(name for one in found for name in one.names)
        periodic = dict.fromkeys(name for one in found for name in one.periodic)
        jobs = Found(tuple(queues), tuple(names), tuple(periodic))
        config = _with_queues(self.config, jobs) if self.is_derived else self.config
        return replace(self, config=config, jobs=jobs)


def load_project(
    app_dir: Path,
    *,
    template: Path | None = None,
    modules: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    in_flight: int,
    namespace: str = "",
) -> Project:
    """Read the app in `app_dir`. Its code is not imported.

    Args:
        app_dir: Its folder.
        template: A SAM template; by default `template.yaml` there, or else the built-in one.
        modules: Its job modules; by default what SIDELAMB_JOBS says, here or in the template, or else `jobs`.
        env: Variables for its sandboxes.
        in_flight: Invocations at once, at most, for each capsule.
        namespace: Key prefix; by default what `sidelamb.toml` says.

    Raises:
        LocalStackError: Something is missing; says what to create or to change.
        ConfigError: `sidelamb.toml` cannot be used.
    """
    if not app_dir.is_dir():
        raise LocalStackError(f"{app_dir} is not a folder; name the one that holds your app")
    own_template = template or next((app_dir / name for name in TEMPLATES if (app_dir / name).exists()), None)
    path = own_template or app_dir / DATA_DIR / TEMPLATES[0]
    functions = load_template(own_template).functions if own_template else _built_in_functions(app_dir)
    given = _passed_on(functions, everything=own_template is None) | dict(env or {})
    stack = as_deployed(own_template) if own_template else Template(path, functions)
    said = _said(app_dir, stack)
    config = (
        _for_here(said, in_flight=in_flight, namespace=namespace or said.namespace)
        if said
        else _derived(functions, path, in_flight=in_flight, namespace=namespace)
    )
    project = Project(app_dir, path, functions, (), config, given, own_template is None, is_derived=not said)
    return _with_modules(project, tuple(modules), path if own_template else None)


def _built_in_functions(app_dir: Path) -> dict[str, FunctionSpec]:
    found = load_template(BUILT_IN).functions
    return {name: replace(spec, code_dir=app_dir.resolve()) for name, spec in found.items()}


def data_dir_of(app_dir: Path) -> Path:
    """The folder for what a local stack keeps: made if need be, and kept out of git.

    Raises:
        LocalStackError: It cannot be made.
    """
    folder = app_dir / DATA_DIR
    ignore = folder / ".gitignore"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not ignore.exists():
            ignore.write_text("*\n")
    except OSError as error:
        raise LocalStackError(f"{folder} cannot be written ({error.strerror}); it is to be a folder") from error
    return folder


def _passed_on(functions: Mapping[str, FunctionSpec], *, everything: bool) -> dict[str, str]:
    """What a sandbox sees of this shell's environment: what the template declares for it, as with `sam local`.

    Without a template that is everything, for nobody could have declared anything.
    """
    declared = {name for function in functions.values() for name in function.environment}
    return {
        name: value
        for name, value in os.environ.items()
        if (everything or name in declared) and name not in NOT_FOR_SANDBOXES
    }


def _said(app_dir: Path, stack: Template) -> Config | None:
    """Return the capsules that the app says it has, in its file or in its template; None if it says nothing."""
    file = app_dir / CONFIG_FILE
    if settings_in(file) - {"periodic"}:
        return at_home(load_config(file, {"SIDELAMB_REDIS_URL": "redis://local"}), stack, str(file))
    # A namespace keeps stacks apart on AWS; here there is nobody to be kept apart from.
    config = poller_config(stack) if has_capsules(stack) else None
    return replace(config, namespace="") if config else None


def _for_here(config: Config, *, in_flight: int, namespace: str) -> Config:
    """Return settings that fit onto this machine."""
    capsules = tuple(replace(capsule, in_flight=min(capsule.in_flight, in_flight)) for capsule in config.capsules)
    stop_timeout = min(config.stop_timeout, STOP_TIMEOUT_S)
    return replace(config, redis="", capsules=capsules, namespace=namespace, stop_timeout=stop_timeout)


def _derived(functions: Mapping[str, FunctionSpec], path: Path, *, in_flight: int, namespace: str) -> Config:
    workers = [spec for spec in functions.values() if spec.handler == WORKER]
    if not workers:
        raise LocalStackError(
            f"{path} has no worker: give one of its functions `Handler: {WORKER}`, or name yours in {CONFIG_FILE}"
        )
    if len(workers) > 1:
        names = ", ".join(spec.name for spec in workers)
        raise LocalStackError(
            f"{path} has several workers ({names}); say in {CONFIG_FILE}, or in its section `yours: capsules`, "
            "which queues each of them serves"
        )
    scheduler = next((spec.name for spec in functions.values() if spec.handler == SCHEDULER), "")
    capsule = CapsuleConfig("default", workers[0].name, in_flight=in_flight, timeout=workers[0].timeout_s)
    return Config("", (capsule,), namespace, scheduler, STOP_TIMEOUT_S)


def _with_queues(config: Config, jobs: Found) -> Config:
    queues = tuple(dict.fromkeys([*jobs.queues, DEFAULT_QUEUE]))
    capsules = (replace(config.capsules[0], queues=queues), *config.capsules[1:])
    return replace(config, capsules=capsules)


def _with_modules(project: Project, asked: tuple[str, ...], own_template: Path | None) -> Project:
    """Return the project with the job modules of its workers: those asked for, or what each says of itself."""
    said = asked or _split(project.env.get("SIDELAMB_JOBS") or os.environ.get("SIDELAMB_JOBS", ""))
    if not said and all(worker.environment.get("SIDELAMB_JOBS") for worker in project.workers):
        each = [project.modules_of(worker) for worker in project.workers]
        modules = tuple(dict.fromkeys(name for one in each for name in one))
        # The scheduler imports them too, for what is periodic in them; its own template may not say so.
        same = {"SIDELAMB_JOBS": ",".join(modules)} if len(set(each)) == 1 else {}
        return replace(project, modules=modules, env=project.env | same)
    chosen = said or _modules(project, own_template)
    return replace(project, modules=chosen, env=project.env | {"SIDELAMB_JOBS": ",".join(chosen)})


def _modules(project: Project, own_template: Path | None) -> tuple[str, ...]:
    """Return the modules of workers, one of which at least does not say which it has."""
    silent = next(one for one in project.workers if not one.environment.get("SIDELAMB_JOBS"))
    if (silent.code_dir / "jobs.py").exists() or (silent.code_dir / "jobs" / "__init__.py").exists():
        others = (name for worker in project.workers for name in project.modules_of(worker))
        return tuple(dict.fromkeys(["jobs", *others]))
    where = f"set SIDELAMB_JOBS for {silent.name} in {own_template}" if own_template else "say --jobs your.module"
    raise LocalStackError(
        f"no jobs were found in {project.app_dir}: create jobs.py with a function under @job, or {where}"
    )


def _split(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
