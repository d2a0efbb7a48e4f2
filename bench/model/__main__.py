"""The model of AWS: `python -m bench.model`, or `make model`. Writes docs/model.md and its plots."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from bench.model.given import Given
from bench.model.page import markdown, plots
from bench.model.scenarios import LOADS, WAYS, results

DOCS = Path(__file__).resolve().parents[2] / "docs"


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.model", description=(__doc__ or "").split(": `")[0])
    parser.add_argument("--out", type=Path, default=DOCS, help="the folder for model.md and plots/ (docs)")
    parser.add_argument("--of", type=float, default=1.0, help="how much of each load, 0 to 1 (1)")
    for each in fields(Given):
        kind = int if isinstance(each.default, int) else float
        option = f"--{each.name.replace('_', '-')}"
        parser.add_argument(option, type=kind, default=each.default, help=f"({each.default})")
    options = vars(parser.parse_args())
    out, of = options.pop("out"), options.pop("of")
    if not 0 < of <= 1:
        parser.error(f"--of must be above 0 and at most 1, not {of:g}")
    given = Given(**options)
    found: dict[str, list[dict[str, Any]]] = {}
    for n, (load, figures) in enumerate(results(given, of)):
        found.setdefault(load.name, []).append(figures)
        _say(
            n + 1,
            len(LOADS) * len(WAYS),
            f"{load.title}: {figures['way']}, done after {figures['drained_s']:,.0f} s",
        )
    (out / "plots").mkdir(parents=True, exist_ok=True)
    (out / "model.md").write_text(markdown(given, found))
    for name, svg in plots(found).items():
        (out / "plots" / name).write_text(svg)
    return 0


def _say(done: int, whole: int, label: str) -> None:
    sys.stderr.write(f"{done} of {whole}  {label}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
