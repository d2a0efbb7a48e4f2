"""mypy and pyright see in jobs what they see in functions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.timeout(300)
def test_mypy_accepts_right_calls_and_refuses_wrong_ones() -> None:
    found = run("mypy", "--strict", "--follow-imports=silent", "--warn-unused-ignores", str(HERE / "jobs.py"))
    assert found.returncode == 0, found.stdout + found.stderr
    assert "1 source file" in found.stdout


@pytest.mark.timeout(300)
def test_pyright_accepts_right_calls_and_refuses_wrong_ones() -> None:
    found = run("pyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(HERE))
    told = json.loads(found.stdout)
    assert told["generalDiagnostics"] == []
    assert told["summary"]["filesAnalyzed"] == 1
