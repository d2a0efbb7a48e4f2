"""Django, in a process of its own: its settings are those of the whole process.

With another Django than is installed here, in an environment that has it:
DJANGO_SETTINGS_MODULE=tests.django.settings python -m pytest tests/django/cases.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

CASES = Path(__file__).with_name("cases.py")


def test_all_cases_hold_in_a_process_that_is_djangos(tmp_path):
    options = ["-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path)]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(CASES)],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.django.settings"},
        cwd=CASES.parents[2],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    passed = re.search(r"(\d+) passed", ended.stdout)
    written = len(re.findall(r"^(?:async )?def test_", CASES.read_text(), re.MULTILINE))
    assert passed is not None
    assert int(passed[1]) >= written - 2  # what some versions of Django cannot


def test_what_keeps_and_moves_tasks_needs_no_django():
    """Scheduler, poller and API look at every payload, where nobody has installed Django."""
    code = (
        "import sys; sys.modules['django'] = None; import sidelamb.django.record as record\n"
        "from sidelamb.effects import Ended, Event, endings\n"
        "payload = {'class': 'a', 'jid': 'j', 'django': 'default', 'result_ttl': 60}\n"
        "print([effect.verb for effect in endings(Ended(payload, Event.DELETED, 1.0))])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    assert said == "['result', 'note']\n"
