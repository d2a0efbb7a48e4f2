"""Today's code beside an earlier commit's: what the enqueueing and draining of plain jobs has gained or lost.

`python -m bench.against COMMIT` takes W1 and W2 with the one and with the other, by turns, and prints the ratio
of each round's pair: its median, and the interval that holds it with 95 %. `--only` takes one of them. What is
measured is today's workloads for both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from bench.peers import OURS
from bench.sample import Results
from bench.stats import interval, ratios

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "build" / "bench" / "against"
CASES = {
    ("W1", "single"): "enqueued a second, one call each",
    ("W1", "bulk"): "enqueued a second, in bulk",
    ("W2", "20,000"): "drained a second, of 20,000",
    ("W2", "200,000"): "drained a second, of 200,000",
    ("W2", "200,000, as async def"): "drained a second, of 200,000 coroutines",
}
ROUNDS = 9


def python_of(commit: str) -> Path:
    """Return the Python of an environment with the package as it was at a commit; made at the first call."""
    named = ["git", "rev-parse", "--short", f"{commit}^{{commit}}"]
    short = subprocess.run(named, cwd=ROOT, capture_output=True, text=True, check=False)
    if short.returncode:
        raise SystemExit(f"bench.against: {commit}: not a commit of this repository")
    folder = PLACE / short.stdout.strip()
    python, marker = folder / ".venv" / "bin" / "python", folder / ".installed"
    if not marker.exists():
        folder.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        venv.create(folder / ".venv", clear=True, symlinks=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-e", f"{folder}[local]"], check=True)
        marker.touch()
    return python


def measure(python: Path, only: str, file: Path) -> Results:
    """Take workloads once, with the package of this Python's environment."""
    words: list[str | Path] = ["-m", "bench", "--only", only, "--peers", OURS, "--runs", "1", "--json", file]
    done = subprocess.run([python, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench.against: {python}: {done.stderr.strip().splitlines()[-1]}")
    return Results.from_json(json.loads(file.read_text()))


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.against", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("commit", help="the earlier one, as git names it")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"pairs (default: {ROUNDS})")
    parser.add_argument("--only", choices=("W1", "W2"), help="one of the workloads (default: both)")
    options = parser.parse_args()
    cases = {case: words for case, words in CASES.items() if options.only in {None, case[0]}}
    only = ",".join(sorted({workload for workload, _ in cases}))
    sides = {"then": python_of(options.commit), "now": Path(sys.executable)}
    taken: dict[str, dict[tuple[str, str], list[float]]] = {side: {case: [] for case in cases} for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        for n in range(options.rounds):
            for side in sorted(sides, reverse=n % 2 == 0):
                results = measure(sides[side], only, Path(folder) / "results.json")
                for case, values in taken[side].items():
                    values.extend(results.rounds(*case, OURS, "rate"))
            print(f"round {n + 1} of {options.rounds}", file=sys.stderr, flush=True)
    print(f"| | {options.commit} | now | now / then | 95 % interval |\n|---|--:|--:|--:|--:|")
    for case, words in cases.items():
        then, now = taken["then"][case], taken["now"][case]
        paired = ratios(now, then)
        low, high = interval(paired)
        medians = f"{statistics.median(then):,.0f} | {statistics.median(now):,.0f}"
        print(f"| {words} | {medians} | {statistics.median(paired):.3f} | {low:.3f} to {high:.3f} |")
    return 0


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.exit(main())
