"""Django, in a process of its own: its settings are those of the whole process."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CASES = Path(__file__).with_name("django_cases.py")


def test_all_cases_hold_in_a_process_that_is_djangos(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--basetemp",
        str(tmp_path),
        str(CASES),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stdout
    written = len(re.findall(r"^(?:async )?def test_|^    def test_", CASES.read_text(), re.MULTILINE))
    assert f"{written} passed" in ended.stdout
