"""`@periodic`: what it takes note of, and what it says of what cannot be."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from sidelamb import (
    BadOption,
    JobError,
    NameTaken,
    UnknownOption,
    configure,
    job,
    periodic,
    registry,
    settings,
    timetable,
)
from sidelamb.timetable import Entry, records_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Entry]]:
    own: dict[str, Entry] = {}
    monkeypatch.setattr(timetable, "declared", own)
    yield own
    settings.reset()


@job(name="periodic.tidy", queue="low", expires_in=60, result_ttl=9)
def tidy(where: str, *, deep: bool = False) -> None:
    """Do nothing."""


@job(name="periodic.secret", encrypt=True)
def secret() -> None:
    """Do nothing."""


def record(entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(entry.record())
    return found


def test_it_takes_note_and_returns_the_job(declared):
    assert periodic("0 3 * * *", tz="Europe/Paris", args=["a"])(tidy) is tidy
    assert declared["periodic.tidy"].tz == "Europe/Paris"


def test_a_record_has_all_of_a_job_but_what_is_new_in_each(declared):
    periodic("0 3 * * *", args=["a"], kwargs={"deep": True}, queue="mail", max_retries=2, missed="all")(tidy)
    assert record(declared["periodic.tidy"]) == {
        "cron": "0 3 * * *",
        "tz": "UTC",
        "missed": "all",
        "expires_in": 60.0,
        "payload": {
            "retry": 2,
            "queue": "mail",
            "args": ["a"],
            "kwargs": {"deep": True},
            "class": "periodic.tidy",
            "result_ttl": 9.0,
        },
    }


def test_the_digest_is_the_same_for_the_same_and_another_for_anything_else(declared):
    def digest(*args: str, **more: Any) -> str:
        declared.clear()
        for name in args:
            periodic("0 3 * * *", args=["a"], name=name, **more)(tidy)
        return records_of("app", declared.values()).digest

    assert digest("a", "b") == digest("b", "a")
    assert len({digest("a"), digest("b"), digest(), digest("a", tz="Asia/Tokyo"), digest("a", queue="x")}) == 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cron": "0 3 * *"}, "expected five fields"),
        ({"cron": "0 0 3 * * *"}, "expected five fields"),
        ({"cron": "@daily"}, "expected five fields"),
        ({"cron": None}, "cron is None"),
        ({"cron": "61 3 * * *"}, "Bad minute"),
        ({"cron": "0 3 * * * "[:-1] + "," * 300}, "expected five fields"),
        ({"tz": "Europe/Pariss"}, "Did you mean 'Europe/Paris'"),
        ({"tz": None}, "expected a time zone's name"),
        ({"missed": "some"}, "expected 'once', 'skip' or 'all'"),
        ({"name": "a b"}, "without white space"),
        ({"args": "abc"}, "expected a list"),
        ({"kwargs": [1]}, "expected a dict"),
        ({"queue": "a b"}, "queue is 'a b'"),
    ],
)
def test_what_cannot_be_is_said_where_it_stands(options, said):
    with pytest.raises(BadOption, match="periodic") as told:
        periodic(**{"cron": "0 3 * * *", **options})(tidy)
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_a_sandbox_leaves_cron_to_the_scheduler_who_says_the_same(declared, monkeypatch):
    """It would cost each worker's cold start milliseconds, and a wrong line would end it."""
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")
    periodic("61 3 * * *", args=["a"])(tidy)
    with pytest.raises(BadOption, match=r"periodic periodic\.tidy: cron '61 3"):
        records_of("app", declared.values())


def test_an_unknown_option_is_one_of_a_job():
    with pytest.raises(UnknownOption, match="Did you mean 'queue'"):
        periodic("0 3 * * *", qeue="low")(tidy)  # type: ignore[call-arg]


def test_it_stands_above_a_job():
    with pytest.raises(JobError, match="stands above @job"):
        periodic("0 3 * * *")(lambda: None)  # type: ignore[type-var]


def test_two_of_one_job_need_names_of_their_own(declared):
    periodic("0 3 * * *", args=["a"])(tidy)
    periodic("0 3 * * *", args=["a"])(tidy)
    with pytest.raises(NameTaken, match=r"periodic\.tidy is declared already"):
        periodic("0 4 * * *", args=["b"])(tidy)
    periodic("0 4 * * *", args=["b"], name="at four")
    periodic("0 4 * * *", args=["b"], name="at-four")(tidy)
    assert list(declared) == ["periodic.tidy", "at-four"]


def test_a_module_may_be_reloaded(tmp_path: Path, monkeypatch, declared):
    text = "from sidelamb import job, periodic\n@periodic('{} * * * *')\n@job\ndef f(): ...\n"
    file = tmp_path / "periodic_reloaded.py"
    file.write_text(text.format(1))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module = importlib.import_module("periodic_reloaded")
    file.write_text(text.format(22))
    importlib.reload(module)
    assert declared["periodic_reloaded.f"].cron == "22 * * * *"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (Entry("p", tidy, "* * * * *"), "missing a required argument: 'where'"),
        (Entry("p", tidy, "* * * * *", args=["a", "b"]), "too many positional arguments"),
        (Entry("p", tidy, "* * * * *", args=[{1, 2}]), "set"),
        (Entry("p", tidy, "* * * * *", args=["x" * 300_000]), "bytes, the limit is"),
        (Entry("p", secret, "* * * * *"), "encrypts its arguments"),
    ],
)
def test_a_call_that_would_fail_is_named(entry, said):
    with pytest.raises(BadOption, match="periodic p: periodic") as told:
        entry.record()
    assert said in str(told.value)


def test_a_queue_that_configure_does_not_list():
    configure(queues={"low", *(each.options.queue for each in registry)})
    with pytest.raises(BadOption, match="queue 'no-such' is not declared"):
        Entry("p", tidy, "* * * * *", args=["a"], options={"queue": "no-such"}).record()


def test_where_cronsim_is_not_installed_the_form_is_looked_at():
    """A web process that only imports the jobs does not need the scheduler's libraries."""
    code = (
        "import sys; sys.modules['cronsim'] = None\n"
        "from sidelamb import job, periodic\n"
        "periodic('61 3 * * *')(job(name='a')(lambda: None))\n"
        "try: periodic('3 * *')(job(name='b')(lambda: None))\n"
        "except Exception as error: print(type(error).__name__)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "BadOption\n"
