"""Everything that must hold before a change lands: `python -m tests.run`.

Style, types and arrows on the source; then the tests against the wheel as it would be published: it is built,
unpacked beside the checkout, and put before everything else on the path.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WHEEL = ROOT / "build" / "wheel"
PROCESSES = "3"
"""Most tests wait for real processes: three at a time use two cores well."""
PACKAGES = ["sdk/sidelamb", "handlers/sidelamb_handlers", "infra/sidelamb_local"]


def tool(*words: str) -> list[str]:
    """Return a command that runs a Python tool of this environment."""
    return [sys.executable, "-m", *words]


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


def main() -> int:
    """Run from the command line; 0 if everything passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--lint", action="store_true", help="only style, types and arrows")
    options, pytest_words = parser.parse_known_args()
    passed = [step(name, command) for name, command in LINT]
    if options.lint:
        return 0 if all(passed) else 1
    print("── wheel", flush=True)
    if build_wheel():
        print("── wheel: failed", flush=True)
        return 1
    environ = {"PYTHONPATH": str(WHEEL), "SIDELAMB_TEST_WHEEL": str(WHEEL)}
    # The handlers' tests measure fractions of a second: they run alone.
    alone, rest = ["tests/handlers"], ["-n", PROCESSES, "--ignore", "tests/handlers"]
    for name, words in (("handlers against the wheel", alone), ("the rest against the wheel", rest)):
        passed.append(step(name, tool("pytest", "-q", *words, *pytest_words), environ))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
