"""The `sidelamb` command, run in this process on a real Redis."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from sidelamb_local import cli

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


class Said:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    @property
    def lines(self):
        return self.out.splitlines()

    @property
    def objects(self):
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def sidelamb(redis_url, tmp_path, monkeypatch, capsys):
    """Run the command in this process, in an empty folder."""
    for name in list(os.environ):
        if name.startswith(("SIDELAMB_", "REDIS_URL", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SIDELAMB_REDIS_URL", redis_url)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")

    def run(*argv, given="n\n"):
        read, write = os.pipe()
        os.write(write, given.encode())
        os.close(write)
        with os.fdopen(read) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            monkeypatch.setattr(sys, "argv", ["sidelamb", *map(str, argv)])
            with pytest.raises(SystemExit) as end:
                cli.main()
        out, err = capsys.readouterr()
        return Said(end.value.code, out, err)

    return run


def fields_of(heading):
    """The fields that the page lists under a heading."""
    part = PAGE.read_text().split(f"### {heading}\n")[1].split("\n#")[0]
    return re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)
