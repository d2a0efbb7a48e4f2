"""Puts what `python -m tests.faults --json FILE` has measured into docs/guarantees.md, as a table.

python -m tests.faults.figures FILE
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

__all__ = ["BEGIN", "END", "put_in", "table"]

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "guarantees.md"
BEGIN, END = "<!-- figures of the fires -->", "<!-- end of the figures -->"
COLUMNS = ("seed", "accepted", "finished", "elsewhere", "lost", "ran twice", "uncertain", "refused")
COLUMNS += ("jobs flow again", "at rest", "batches", "chains", "unique", "under limits", "ticks")
HEAD = f"| {' | '.join(COLUMNS)} |\n|{'---:|' * len(COLUMNS)}"


def table(results: list[dict[str, Any]]) -> str:
    """Return the figures of fires as Markdown.

    Raises:
        ValueError: in one of them something did not hold: that is no figure to publish.
    """
    if wrong := [r["seed"] for r in results if r["wrong"]]:
        raise ValueError(f"in the fires with seeds {wrong} something did not hold; see what, and mend it")
    rows = [
        f"| {r['seed']} | {r['jobs']:,} | {r['finished']:,} | {r['elsewhere']:,} | 0 | {r['ran_twice']:,} | "
        f"{r['uncertain']:,} | {r['refused']:,} | {r['flows_s']:.1f} s, {r['slowest']} | {r['rest_s']:.0f} s | "
        f"{r['batches']:,} | {r['chains']:,} | {r['unique']:,} | {r['limited']:,} | {r['ticks']:,} |"
        for r in results
    ]
    return "\n".join([HEAD, *rows])


def put_in(page: str, results: list[dict[str, Any]]) -> str:
    """Return the page with the figures in it."""
    between = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    return between.sub(lambda _: f"{BEGIN}\n{table(results)}\n{END}", page)


def main() -> int:
    """Run from the command line; 1 if there is nothing to put in."""
    if len(sys.argv) != 2:
        print("usage: python -m tests.faults.figures FILE (written by python -m tests.faults --json FILE)")
        return 2
    try:
        PAGE.write_text(put_in(PAGE.read_text(), json.loads(Path(sys.argv[1]).read_text())))
    except (OSError, ValueError) as error:
        print(f"{sys.argv[1]}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
