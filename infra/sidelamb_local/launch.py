"""The launcher: the first code in every process of the local stack; ties it to the one that started it.

`python -m sidelamb_local.launch PARENT_PID runtime HANDLER` becomes a sandbox: AWS's own runtime client if it
is installed, else (macOS, or SIDELAMB_RUNTIME=python) the loop of this package. `… PARENT_PID exec ARGV…`
becomes that program, with the same process id. On Linux the kernel kills it when its parent dies; elsewhere
the guard does.

It imports no more than it must: its time is part of every local cold start.
"""

from __future__ import annotations

import importlib
import os
import sys

PR_SET_PDEATHSIG = 1
SIGKILL = 9


def tied(*argv: str) -> list[str]:
    """The command line that runs `argv` as a process which dies with the calling one.

    The kernel watches the *thread* that starts the process: use one that lives as long as the process should.
    """
    return [sys.executable, "-m", "sidelamb_local.launch", str(os.getpid()), "exec", *argv]


def runtime(handler: str) -> list[str]:
    """The command line of a sandbox for `handler`, tied to the calling process."""
    return [sys.executable, "-m", "sidelamb_local.launch", str(os.getpid()), "runtime", handler]


def die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGKILL at the parent's death; if it died before we could ask, end now."""
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 - costs milliseconds, and Linux alone needs it

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def serve(handler: str) -> None:
    """Be a sandbox: never returns while the service lives."""
    root = os.environ["LAMBDA_TASK_ROOT"]
    if sys.path[:1] != [root]:
        sys.path.insert(0, root)
    sys.argv = ["bootstrap", handler]
    if os.environ.get("SIDELAMB_RUNTIME") != "python":
        try:
            importlib.import_module("runtime_client")  # its compiled half, without which it would start and fail
            from awslambdaric.__main__ import main  # noqa: PLC0415
        except ImportError:
            pass
        else:
            main(sys.argv)
            return
    from sidelamb_local.loop import run  # noqa: PLC0415

    run(handler)


def main(argv: list[str]) -> None:
    """Tie, then become what was asked for."""
    parent, kind, *rest = argv
    die_with_parent(int(parent))
    if kind == "exec":
        os.execv(rest[0], rest)  # noqa: S606 - the program was resolved by the caller
    serve(rest[0])


if __name__ == "__main__":
    main(sys.argv[1:])
