"""Runs pages' programs, each in a process of its own: forked from one that has imported everything.

`python -W error -m tests.how_to.runner` reads what to run from its input, a JSON object a line, and answers each
with a line. A fork takes a few milliseconds where a fresh interpreter would import for half a second.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import sys
import tempfile
import threading
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 20


def main() -> None:
    """Import what pages use, and run what is asked."""
    import sidelamb_handlers.drain  # noqa: F401 - and with it the SDK

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_run(json.loads(line))) + "\n")
        sys.stdout.flush()


def _run(asked: dict[str, Any]) -> dict[str, Any]:
    """Run `app.py` in a folder; return its exit code and what it printed."""
    with tempfile.TemporaryFile() as out:
        child = os.fork()
        if child == 0:
            _become(asked, out.fileno())
        _, status = os.waitpid(child, 0)
        out.seek(0)
        return {"code": os.waitstatus_to_exitcode(status), "output": out.read().decode(errors="replace")}


def _become(asked: dict[str, Any], out: int) -> None:
    """Be `python app.py`. Does not return."""
    code = 1
    try:
        signal.alarm(SECONDS)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(asked["folder"])
        os.environ.update(asked["environ"])
        sys.path[0] = asked["folder"]
        sys.argv = ["app.py"]
        runpy.run_path("app.py", run_name="__main__")
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()  # type: ignore[attr-defined]  # as at a program's end: threads of the app go on to theirs
        gc.collect()  # what was left open warns now
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def write(folder: Path, files: dict[str, str]) -> None:
    """Write a page's files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
