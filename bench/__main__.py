"""The benchmark: `python -m bench`, or `make bench`.

Sidelamb and its peers side by side, each workload by turns, all against a fresh Redis on this machine. Prints
tables at the end, and with --json keeps every sample.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

from bench.machine import machine
from bench.peers import PEERS, prepare
from bench.run import WORKLOADS, Run
from bench.sizes import FULL, QUICK, USUAL
from bench.table import as_text, cells
from bench.workloads.workload import LIMIT

BAR = 30


def main() -> int:
    """Run from the command line."""
    options = _options()
    sizes = QUICK if options.quick else FULL if options.full else USUAL
    peers = _chosen(options.peers, [*PEERS, LIMIT], "--peers")
    only = _chosen(options.only, list(WORKLOADS), "--only") or tuple(WORKLOADS)
    runs = options.runs or sizes.runs
    about = {"machine": machine(), "command": " ".join(["python -m bench", *sys.argv[1:]]), "runs": runs}
    about |= {"sizes": asdict(sizes), "versions": _prepared(peers)}
    run = Run(only, peers, sizes, runs)
    run.results.about = about
    began = time.monotonic()
    failed = _run(run, began, options.json)
    about |= {"minutes": round((time.monotonic() - began) / 60, 1), "failed": failed}
    _save(run, options.json)
    _print(run)
    for line in failed:
        print(f"failed  {line}", file=sys.stderr)
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--only", default="", help="workloads, as W2,W4 (default: all)")
    parser.add_argument("--peers", default="", help=f"of {', '.join([*PEERS, LIMIT])} (default: each workload's)")
    parser.add_argument("--runs", type=int, default=0, help="rounds, of which the median counts (default: 5)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="fewer jobs, two rounds: a first look")
    size.add_argument("--full", action="store_true", help="longer waits too: some 20 minutes more")
    parser.add_argument("--json", type=Path, help="where to write every sample")
    return parser.parse_args()


def _chosen(text: str, known: list[str], option: str) -> tuple[str, ...] | None:
    chosen = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in chosen:
        if name not in known:
            raise SystemExit(f"bench: {option} {name}: known are {', '.join(known)}")
    return chosen or None


def _prepared(peers: tuple[str, ...] | None) -> dict[str, dict[str, str]]:
    wanted = [peer for name, peer in PEERS.items() if peers is None or name in peers]
    for peer in wanted:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[Kpreparing {peer.name}")
    return {peer.name: prepare(peer) for peer in wanted}


def _run(run: Run, began: float, file: Path | None) -> list[str]:
    """Take all steps; return those that failed. One that fails costs only its own figures."""
    steps, failed = run.steps(), []
    seconds: dict[str, float] = {}
    run.results.about["seconds"] = seconds
    for n, (label, step) in enumerate(steps):
        _bar(n, len(steps), label, began)
        start = time.monotonic()
        try:
            step()
        except (Exception, SystemExit) as error:
            failed.append(f"{label}: {type(error).__name__}: {error}")
        seconds[label] = round(seconds.get(label, 0.0) + time.monotonic() - start, 1)
        _save(run, file)
    _bar(len(steps), len(steps), "done", began)
    return failed


def _save(run: Run, file: Path | None) -> None:
    """Write what there is: a run that is broken off leaves its figures."""
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(run.results.to_json()) + "\n")


def _bar(done: int, whole: int, label: str, began: float) -> None:
    minutes = (time.monotonic() - began) / 60
    filled = BAR * done // max(1, whole)
    text = f"[{'█' * filled}{'·' * (BAR - filled)}] {done} of {whole}, {minutes:.1f} min  {label}"
    if sys.stderr.isatty():
        width = os.get_terminal_size(sys.stderr.fileno()).columns
        sys.stderr.write(f"\r\033[K{text[: width - 1]}" + ("\n" if done == whole else ""))
    else:
        sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _print(run: Run) -> None:
    results = run.results
    for name in results.workloads:
        print(f"\n{name}: {WORKLOADS[name].title}")
        for case in results.cases(name):
            print(f"\n  {case}")
            print("\n".join(f"    {line.rstrip()}" for line in as_text(cells(results, WORKLOADS[name], case))))


if __name__ == "__main__":
    sys.exit(main())
