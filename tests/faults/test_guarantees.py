"""docs/guarantees.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_line_of_the_guarantees_names_a_test_that_exists():
    text = (ROOT / "docs" / "guarantees.md").read_text()
    _header, *rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) > 15
    for row in rows:
        named = re.findall(r"`(tests/[\w/.]+)::(\w+)`", row)
        assert named, f"no test: {row}"
        for file, name in named:
            assert f"def {name}(" in (ROOT / file).read_text(), f"{file} has no {name}"
