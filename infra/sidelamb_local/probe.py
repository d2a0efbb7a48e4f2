"""Looks what jobs an app has, in a short process of its own: `python -m sidelamb_local.probe MODULE…`.

Importing an app's modules here would leave them in the developer's tool for ever, old code included. So a child
imports them as a sandbox would, prints the queues and the names of the registered jobs as JSON, and ends. What
goes wrong in the app's code comes back as one line that names the place in it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidelamb_local.errors import LocalStackError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIMIT_S = 60.0
OURS = ("sidelamb", "sidelamb_handlers", "sidelamb_local")


@dataclass(frozen=True, slots=True)
class Found:
    """What the modules register."""

    queues: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    periodic: tuple[str, ...] = ()
    """Names of what they declare as periodic."""


def probe(modules: Sequence[str], code_dir: Path, env: Mapping[str, str]) -> Found:
    """Import `modules` with `code_dir` at the head of `sys.path`, in a child with this environment.

    Raises:
        LocalStackError: They cannot be imported; the message names file, line and error.
    """
    argv = [sys.executable, "-P", "-m", "sidelamb_local.probe", *modules]
    try:
        ended = subprocess.run(  # noqa: S603 - this very module
            argv, cwd=code_dir, env=dict(env), capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise LocalStackError(
            f"importing {', '.join(modules)} took more than {LIMIT_S:g} s; what does it do at its top level?"
        ) from None
    said = ended.stdout.strip().rpartition("\n")[2]
    try:
        answer = json.loads(said)
    except ValueError:
        words = ended.stderr.strip().rpartition("\n")[2] or f"exit status {ended.returncode}"
        raise LocalStackError(f"importing {', '.join(modules)} ended the process: {words}") from None
    if "error" in answer:
        raise LocalStackError(answer["error"])
    return Found(*(tuple(answer[what]) for what in ("queues", "names", "periodic")))


def explain(error: BaseException, folder: Path) -> str:
    """One line about an error while the app was imported: where in the app's own code, and what."""
    what = traceback.format_exception_only(error)[-1].strip().partition("\n")[0]
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_short(error.filename, folder)}, line {error.lineno}: {what}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename, folder)]
    if not frames:
        return what
    last = frames[-1]
    return f"{_short(last.filename, folder)}, line {last.lineno}: {what} (in: {last.line})"


def _is_users(filename: str, folder: Path) -> bool:
    path = Path(filename)
    return path.is_relative_to(folder) and "site-packages" not in path.parts and not _is_ours(path)


def _is_ours(path: Path) -> bool:
    return any(name in path.parts for name in OURS)


def _short(filename: str, folder: Path) -> str:
    path = Path(filename)
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else filename


def _look(modules: Sequence[str]) -> dict[str, Any]:
    from sidelamb import SidelambError, registry  # noqa: PLC0415 - the parent does not need it

    try:
        registry.load(modules)
    except SidelambError as error:
        return {"error": str(error)}
    except BaseException as error:  # sys.exit() at top level included
        return {"error": explain(error, Path.cwd())}
    queues = dict.fromkeys(job.options.queue for job in registry)
    timetable = sys.modules.get("sidelamb.timetable")
    periodic = list(timetable.declared) if timetable else []
    return {"queues": list(queues), "names": registry.names(), "periodic": periodic}


def main(modules: Sequence[str]) -> None:
    """Be the child: the app may print what it likes, our answer is the last line on stdout."""
    answer_fd = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as text, which is what belongs there
    answer = json.dumps(_look(modules))
    sys.stdout.flush()
    os.write(answer_fd, f"{answer}\n".encode())
    os._exit(0)  # the app's threads are not waited for


if __name__ == "__main__":
    main(sys.argv[1:])
