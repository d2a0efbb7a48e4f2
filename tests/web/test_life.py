"""A job's life, as its payload and its lease tell it."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from sidelamb.api import Entry, LeaseRecord
from sidelamb_handlers.web.life import life
from sidelamb_handlers.web.logs import lines_of

NOW = dt.datetime(2030, 1, 31, 12, tzinfo=dt.UTC)
T = NOW.timestamp()


def told(where: str = "retries", lease: LeaseRecord | None = None, **fields: Any) -> list[tuple[str, str, str]]:
    """What happened, how it ended, and more of it."""
    job = {"class": "a", "args": [], "queue": "q", "created_at": T - 900.0, "error_class": "E", **fields}
    raw = json.dumps({"error_message": "no", **job}).encode()
    return [(one.what, one.took, one.more) for one in life(Entry(raw, T + 60), where, NOW, lease)]


def test_each_failure_has_its_start_its_duration_and_its_error() -> None:
    rows = [[1, T - 600, 1_500, "First"], [2, T - 300, None, "SandboxKilled"], [3, T - 100, 20, "E"]]
    fields = {"failures": rows, "failed_at": T - 600, "retried_at": T - 100, "retry_count": 2}
    assert told(enqueued_at=T - 120, **fields) == [
        ("Created", "", ""),
        ("Attempt 1", "failed after 1.5 s", "First"),
        ("Attempt 2 failed", "", "SandboxKilled"),
        ("Put back on q", "", ""),
        ("Attempt 3", "failed after 20 ms", "E: no"),
        ("Attempt 4", "", ""),
    ]


def test_a_failure_that_another_worker_wrote_down_comes_after_those_of_ours() -> None:
    fields = {"failures": [[1, T - 600, 5, "First"]], "failed_at": T - 600, "retried_at": T - 50, "retry_count": 1}
    assert told(**fields)[1:3] == [("Attempt 1", "failed after 5 ms", "First"), ("Attempt 2 failed", "", "E: no")]


def test_of_failures_that_nobody_kept_it_says_how_many_there_were() -> None:
    fields = {"failed_at": T - 600, "retried_at": T - 50, "retry_count": 4}
    between = ("3 attempts between failed too", "", "")
    assert told(**fields)[1:4] == [("Attempt 1 failed", "", ""), between, ("Attempt 5 failed", "", "E: no")]
    kept = [[n, T - 100 + n, 5, "E"] for n in range(4, 29)]
    said = told(failures=kept, failed_at=T - 600, retried_at=T - 72, retry_count=27)
    assert said[1:4] == [("Attempt 1 failed", "", ""), ("2 attempts between failed too", "", ""), said[3]]
    assert said[3][0] == "Attempt 4"


@pytest.mark.parametrize("claimed", [None, NOW])
def test_one_in_flight_says_in_which_request(claimed: dt.datetime | None) -> None:
    lease = LeaseRecord("c:1", "c", "p", 3, NOW, "req-1" if claimed else "", claimed)
    what, _, more = told("lease", lease, retry_count=1, failed_at=T - 600, retried_at=T - 300)[-1]
    assert what == ("Attempt 3 is in flight" if claimed else "On its way to a worker")
    assert more == ("in request req-1, one of 3 jobs still in it" if claimed else "in lease c:1")


def test_the_address_of_its_lines_names_group_text_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines_of("req-1") == ""
    monkeypatch.setenv("SIDELAMB_STACK", "shop")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert lines_of("") == ""
    assert lines_of("req-1", 1_000.0, 2_000.0) == (
        "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/"
        "$252Fsidelamb$252Fshop$252Fworker/log-events$3FfilterPattern$3D$2522req-1$2522"
        "$26start$3D990000$26end$3D2060000"
    )
    assert '"' not in lines_of('"><script>\ud800')
