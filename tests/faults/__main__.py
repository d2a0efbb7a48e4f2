"""The long form: `python -m tests.faults`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.fire import CARELESS, MUTANTS, fire


def main() -> int:
    """Run from the command line; 1 if anything did not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description="Runs jobs through a system under fire, and says what did not hold.",
    )
    parser.add_argument("--seeds", type=int, default=10, help="how many fires, with seeds 1 to n (10)")
    parser.add_argument("--seed", type=int, help="only this seed")
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs in each (10000)")
    parser.add_argument("--faults", type=int, default=16, help="faults in each (16)")
    parser.add_argument("--mutant", choices=[*MUTANTS, CARELESS], default="", help="put this fault into the code")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    seeds = [options.seed] if options.seed is not None else range(1, options.seeds + 1)
    print(
        "seed    jobs  finished  elsewhere  ran twice  uncertain  refused  flows again  at rest  "
        "batches  chains  unique  limited  ticks  wrong"
    )
    results = []
    for seed in seeds:
        began = time.monotonic()

        def say(fault: str, began: float = began) -> None:
            if sys.stderr.isatty():
                sys.stderr.write(f"\r\033[K{time.monotonic() - began:5.0f} s  {fault}\n")

        def progress(done: int, whole: int) -> None:
            if sys.stderr.isatty():
                filled = 30 * done // whole
                sys.stderr.write(f"\r[{'█' * filled}{'·' * (30 - filled)}] {done:,} of {whole:,} finished ")
                sys.stderr.flush()

        with tempfile.TemporaryDirectory() as folder:
            r = fire(
                Path(folder) / "fire",
                seed,
                jobs=options.jobs,
                faults=options.faults,
                mutant=options.mutant,
                say=say,
                progress=progress,
            )
        results.append({**{n: getattr(r, n) for n in r.__slots__}, "faults": dict(r.faults)})
        print(
            f"{r.seed:4} {r.jobs:7,} {r.finished:9,} {r.elsewhere:10,} {r.ran_twice:10,} {r.uncertain:10,} "
            f"{r.refused:8,} {r.flows_s:10.1f} s {r.rest_s:6.1f} s "
            f"{r.batches:8,} {r.chains:7,} {r.unique:7,} {r.limited:8,} {r.ticks:6,} {len(r.wrong):6}   "
            f"slowest after: {r.slowest}",
            flush=True,
        )
        for sentence in r.wrong[:20]:
            print(f"     {sentence}", flush=True)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1))
    return 1 if any(r["wrong"] for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
