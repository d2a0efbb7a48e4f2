"""docs/guarantees.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.faults.figures import BEGIN, END, put_in

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_line_of_the_guarantees_names_a_test_that_exists():
    text = (ROOT / "docs" / "guarantees.md").read_text()
    _header, *rows = [line for line in text.splitlines() if re.match(r"\| [A-Z]", line)]
    assert len(rows) > 15
    for row in rows:
        named = re.findall(r"`(tests/[\w/.]+)::(\w+)`", row)
        assert named, f"no test: {row}"
        for file, name in named:
            assert f"def {name}(" in (ROOT / file).read_text(), f"{file} has no {name}"


def test_the_figures_are_those_of_ten_fires_in_which_nothing_was_lost():
    text = (ROOT / "docs" / "guarantees.md").read_text()
    _head, _line, *rows = text.partition(BEGIN)[2].partition(END)[0].strip().splitlines()
    cells = [[cell.strip().replace(",", "") for cell in row.strip("| ").split("|")] for row in rows]
    assert [row[0] for row in cells] == [str(n) for n in range(1, 11)]
    assert all(int(row[1]) == int(row[2]) + int(row[3]) and row[4] == "0" for row in cells)


def test_figures_are_put_in_only_if_everything_held():
    figures = {"seed": 1, "jobs": 9_000, "finished": 8_999, "elsewhere": 1, "ran_twice": 2, "uncertain": 3}
    figures |= {"refused": 4, "flows_s": 1.23, "slowest": "partition", "rest_s": 45.6, "wrong": []}
    figures |= {"batches": 5, "chains": 6, "unique": 7, "limited": 8, "ticks": 9}
    page = f"before\n{BEGIN}\nold\n{END}\nafter"
    assert "| 1 | 9,000 | 8,999 | 1 | 0 | 2 | 3 | 4 | 1.2 s, partition | 46 s | 5 | 6 | 7 | 8 | 9 |\n" in put_in(
        page, [figures]
    )
    assert "old" not in put_in(page, [figures])
    with pytest.raises(ValueError, match=r"seeds \[1\] something did not hold"):
        put_in(page, [figures | {"wrong": ["job x is lost"]}])
