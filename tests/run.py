"""Everything that must hold before a change lands: `python -m tests.run`.

Style, types and arrows on the source; then the tests against the wheel as it would be published: it is built,
unpacked beside the checkout, and put before everything else on the path.

Many tests hold real processes to real times, and a machine that others use too sometimes stands still for a while.
So a few tests that failed are run once more, alone, and are named at the end. Those of the promise are not: what
they find once is found.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WHEEL = ROOT / "build" / "wheel"
PROCESSES = "5"
"""Most tests have real processes work for them: five at a time keep two cores busy."""
PACKAGES = ["sdk/sidelamb", "handlers/sidelamb_handlers", "infra/sidelamb_local"]


def tool(*words: str) -> list[str]:
    """Return a command that runs a Python tool of this environment."""
    return [sys.executable, "-m", *words]


OF_THE_PROMISE = ("tests/faults/", "tests/deaths/", "tests/store/")
"""Each time they are right, or the promise is broken."""
MOST_AGAIN = 5
"""If more tests failed it was not the machine."""
FAILED = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"

LINT = [
    ("style", tool("ruff", "check", "--no-cache", ".")),
    ("format", tool("ruff", "format", "--no-cache", "--check", ".")),
    ("types", tool("mypy", *PACKAGES)),
    ("arrows", [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]),
]


def build_wheel() -> int:
    """Build the wheel and unpack it with pip; return the exit code."""
    shutil.rmtree(WHEEL, ignore_errors=True)
    shutil.rmtree(ROOT / "build" / "dist", ignore_errors=True)
    built = subprocess.run(
        tool("build", "--wheel", "--outdir", "build/dist", "."), cwd=ROOT, stdout=subprocess.DEVNULL, check=False
    )
    if built.returncode:
        return built.returncode
    wheel = next((ROOT / "build" / "dist").glob("*.whl"))
    install = tool("pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target", str(WHEEL))
    return subprocess.run([*install, str(wheel)], cwd=ROOT, check=False).returncode


def step(name: str, command: list[str], environ: dict[str, str] | None = None) -> bool:
    """Run one step, say how it went, and return whether it passed."""
    began = time.monotonic()
    print(f"── {name}", flush=True)
    code = subprocess.run(command, cwd=ROOT, env={**os.environ, **(environ or {})}, check=False).returncode
    print(f"── {name}: {'ok' if code == 0 else f'failed ({code})'}, {time.monotonic() - began:.1f} s", flush=True)
    return code == 0


def tests(name: str, words: list[str], environ: dict[str, str]) -> bool:
    """Run tests, a few that failed once more and alone, and return whether they passed."""
    FAILED.unlink(missing_ok=True)
    if step(name, tool("pytest", "-q", *words), environ):
        return True
    failed = json.loads(FAILED.read_text()) if FAILED.exists() else {}
    if not 0 < len(failed) <= MOST_AGAIN or any(one.startswith(OF_THE_PROMISE) for one in failed):
        return False
    passed = step(f"{name}: what failed, alone", tool("pytest", "-q", "--lf", "--lfnf=none", *failed), environ)
    for one in failed if passed else ():
        print(f"── passed only when run again, alone: {one}", flush=True)
    return passed


def main() -> int:
    """Run from the command line; 0 if everything passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--lint", action="store_true", help="only style, types and arrows")
    options, pytest_words = parser.parse_known_args()
    if options.lint:
        passed = [step(name, command) for name, command in LINT]
        return 0 if all(passed) else 1
    print("── wheel", flush=True)
    if build_wheel():
        print("── wheel: failed", flush=True)
        return 1
    environ = {"PYTHONPATH": str(WHEEL), "SIDELAMB_TEST_WHEEL": str(WHEEL)}
    # The handlers' tests measure fractions of a second: they run among themselves. They wait more than they work,
    # and leave time for what needs a core for a few seconds.
    lint = subprocess.Popen(tool("tests.run", "--lint"), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    # What is read once is compiled once: five processes that begin together would each compile all tests.
    read = tool("pytest", "-qq", "--collect-only", "-p", "no:cacheprovider", "--ignore", "tests/handlers")
    reader = subprocess.Popen(read, cwd=ROOT, env={**os.environ, **environ}, stdout=subprocess.DEVNULL)
    alone = ["-n", "4", "--dist", "worksteal", "tests/handlers", *pytest_words]
    passed = [tests("handlers against the wheel", alone, environ)]
    print(lint.communicate()[0], end="", flush=True)
    passed.append(lint.returncode == 0)
    reader.wait()
    rest = ["-n", PROCESSES, "--dist", "worksteal", "--ignore", "tests/handlers", *pytest_words]
    passed.append(tests("the rest against the wheel", rest, environ))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
