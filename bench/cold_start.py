"""Cold starts of the worker's bundle: `python bench/cold_start.py`.

Builds the bundle as `sam build` does, for this machine's processor, and starts Lambda's own runtime client on it,
with the bytecode that it ships and without, in turn: milliseconds from the start of the process until it asks for
its first event. Then says what the imports cost, package by package. Nothing is written beside the code, as on
Lambda.
"""

from __future__ import annotations

import argparse
import http.server
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from sidelamb_local.scaffold import JOBS, requirements, rules

ROOT = Path(__file__).parents[1]
RUNTIME = "3.13"
HANDLER = "sidelamb_handlers.worker.handler"


def python_of_the_runtime() -> Path:
    """Return a python of the functions' version; a version manager's wrapper that has none does not count."""
    homes = sorted(Path.home().glob(f".pyenv/versions/{RUNTIME}*/bin"))
    found = shutil.which(f"python{RUNTIME}")
    for python in (*(home / f"python{RUNTIME}" for home in homes), *([Path(found)] if found else [])):
        if not subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
            return python
    raise SystemExit(f"python{RUNTIME} with pip is not on the PATH; the functions are on it")


def built(folder: Path, python: Path) -> Path:
    """Return a bundle of the app that `sidelamb init` writes, with this checkout's wheel in it."""
    app, dist, bundle = folder / "app", folder / "dist", folder / "bundle"
    for made in (app, bundle):
        made.mkdir()
    for name, text in (("jobs.py", JOBS), ("requirements.txt", requirements()), ("sidelamb.mk", rules())):
        (app / name).write_text(text)
    wheel = [sys.executable, "-m", "build", "--wheel", "--outdir", str(dist), "."]
    subprocess.run(wheel, cwd=ROOT, check=True, capture_output=True)
    env = {"ARTIFACTS_DIR": str(bundle), "PYTHON": str(python), "PIP_FIND_LINKS": str(dist)}
    make = ["make", "--makefile", "sidelamb.mk", "build-WorkerFunction", f"PROCESSOR={platform.machine()}"]
    subprocess.run(make, cwd=app, env=os.environ | env, check=True, stderr=subprocess.DEVNULL)
    return bundle


def runtime_client(folder: Path, python: Path) -> Path:
    """Return a folder with Lambda's runtime client, which stands beside the bundle there."""
    install = [python, "-m", "pip", "install", "--quiet", "--target", folder / "runtime", "awslambdaric>=3.0"]
    subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
    return folder / "runtime"


class Asked(http.server.ThreadingHTTPServer):
    """A Runtime API at which one asks and gets nothing."""

    def __init__(self) -> None:
        asked = self.asked = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.set()
                threading.Event().wait(5)

            def do_POST(self) -> None:
                sys.stderr.write(self.rfile.read(int(self.headers["Content-Length"])).decode())

        self.daemon_threads = True
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def environment(bundle: Path, runtime: Path) -> dict[str, str]:
    """Return what the worker has on Lambda, as far as it needs it to start."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{bundle}:{runtime}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LAMBDA_TASK_ROOT": str(bundle),
        "AWS_LAMBDA_FUNCTION_NAME": "worker",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_GROUP_NAME": "worker",
        "AWS_LAMBDA_LOG_STREAM_NAME": "worker",
        "SIDELAMB_JOBS": "jobs",
        "SIDELAMB_REDIS_URL": "redis://127.0.0.1:1",
    }


def ready_ms(python: Path, env: dict[str, str], cwd: Path) -> float:
    """Return milliseconds from the start of a process until it asks for its first event."""
    with Asked() as api:
        env = env | {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_address[1]}"}
        began = time.perf_counter()
        process = subprocess.Popen([python, "-m", "awslambdaric", HANDLER], env=env, cwd=cwd)
        if not api.asked.wait(30):
            raise SystemExit("the worker did not start")
        took = (time.perf_counter() - began) * 1000
        process.kill()
        process.wait()
        api.shutdown()
    return took


def imports(python: Path, env: dict[str, str], cwd: Path) -> Counter[str]:
    """Return the milliseconds that each top-level package costs by itself."""
    command = [python, "-X", "importtime", "-c", "import " + HANDLER.rpartition(".")[0]]
    said = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, check=True).stderr
    costs: Counter[str] = Counter()
    for own, name in re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", said, re.MULTILINE):
        package = name.partition(".")[0]
        costs["Python's own" if package.lstrip("_") in STANDARD else package] += int(own) / 1000
    return costs


STANDARD = {name.lstrip("_") for name in sys.stdlib_module_names} | {"encodings", "site"}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--runs", type=int, default=15, help="starts of each kind, of which the median counts (15)"
    )
    parser.add_argument("--folder", type=Path, help="a bundle of your own, built for this machine's processor")
    options = parser.parse_args()
    python = python_of_the_runtime()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runtime = runtime_client(folder, python)
        compiled = options.folder.resolve() if options.folder else built(folder, python)
        bare = folder / "bare"
        shutil.copytree(compiled, bare, ignore=shutil.ignore_patterns("__pycache__"))
        kinds = {"with bytecode": compiled, "without": bare}
        taken: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(options.runs):
            for kind, bundle in kinds.items():
                taken[kind].append(ready_ms(python, environment(bundle, runtime), bundle))
        costs = imports(python, environment(compiled, runtime), compiled)
        mb = {kind: sum(f.stat().st_size for f in b.rglob("*") if f.is_file()) / 1e6 for kind, b in kinds.items()}
    print(f"from the start of the process to its first question, median of {options.runs}, Python {RUNTIME}")
    for kind, each in taken.items():
        print(f"  {kind:15} {statistics.median(each):6.0f} ms   {mb[kind]:5.1f} MB")
    pairs = [b / c for c, b in zip(taken["with bytecode"], taken["without"], strict=True)]
    print(f"  without / with  {statistics.median(pairs):6.2f}")
    print("imports, with bytecode, ms")
    for package, ms in costs.most_common(8):
        print(f"  {package:24} {ms:6.1f}")


if __name__ == "__main__":
    main()
