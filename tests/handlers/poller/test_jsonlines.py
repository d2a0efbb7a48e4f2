"""A poller's log as JSON."""

from __future__ import annotations

import json
import logging

from sidelamb_handlers.poller.jsonlines import JsonLines


def test_a_line_has_the_fields_of_the_functions_lines():
    record = logging.LogRecord("sidelamb.poller", logging.WARNING, "f.py", 1, "%s is %d", ("it", 5), None)
    record.created = 1_795_405_727.5
    assert json.loads(JsonLines().format(record)) == {
        "level": "WARNING",
        "message": "it is 5",
        "timestamp": "2026-11-23T03:48:47.500+00:00",
        "logger": "sidelamb.poller",
    }


def test_an_exception_is_in_the_same_line():
    error = ValueError("no")
    said = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("sidelamb.poller", logging.ERROR, "f.py", 1, "failed", (), said)
    text = JsonLines().format(record)
    assert "\n" not in text
    assert "ValueError: no" in json.loads(text)["traceback"]
