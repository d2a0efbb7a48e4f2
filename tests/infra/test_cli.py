"""The `sidelamb` command, as a person has it: a process, its two streams, its exit status."""

from __future__ import annotations

import os
import subprocess
import sys

import orjson
import pytest

JOBS = """
from sidelamb import job, current_job, Snooze, Discard

@job
def add(a, b=1, *, times=1):
    print("adding")
    return (a + b) * times

@job
async def slow(a):
    return {"slept": a, "name": current_job().name}

@job(queue="low", max_retries=0)
def fail(why):
    return helper(why)

def helper(why):
    raise ValueError(why)

@job
def later():
    raise Snooze(30)

@job
def never():
    raise Discard("nobody wants it")

@job
def look(x):
    breakpoint()
    return x
"""


@pytest.fixture
def app(tmp_path):
    (tmp_path / "jobs.py").write_text(JOBS)
    return tmp_path


@pytest.fixture
def sidelamb(app):
    """Run the command in the app's folder."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SIDELAMB_", "REDIS_URL"))}

    def run(*argv, given="", **more):
        command = [sys.executable, "-m", "sidelamb_local.cli", *argv]
        return subprocess.run(
            command,
            cwd=app,
            env=env | {"COLUMNS": "100"} | more,
            input=given,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run


def refused(ended, status=2):
    """The one line of an error."""
    assert ended.returncode == status
    [line] = ended.stderr.splitlines()
    return line.removeprefix("sidelamb: ")


# --- run ---


def test_a_job_runs_here_and_its_result_is_printed(sidelamb):
    ended = sidelamb("run", "jobs.add", "2", "-5", "--kw", "times=3")
    assert (ended.stdout, ended.returncode) == ("adding\n-9\n", 0)
    assert ended.stderr.startswith("✓ jobs.add succeeded in")


def test_the_last_part_of_a_name_will_do_and_async_jobs_run_too(sidelamb):
    assert sidelamb("run", "slow", '{"a": [1]}').stdout == "{'slept': {'a': [1]}, 'name': 'jobs.slow'}\n"


def test_the_apps_hooks_are_called_around_it(sidelamb, app):
    with (app / "jobs.py").open("a") as file:
        file.write(
            "\nfrom sidelamb import after_invocation, before_invocation, on_sandbox_start\n"
            "on_sandbox_start(lambda: print('sandbox'))\n"
            "before_invocation(lambda: print('before'))\n"
            "@after_invocation\ndef flush():\n    print('after')\n    raise ValueError('no')\n"
        )
    ended = sidelamb("run", "jobs.add", "1", "2")
    assert ended.stdout.splitlines() == ["sandbox", "before", "adding", "after"]
    assert refused(ended) == "the hook flush failed: ValueError: no"


def test_an_argument_that_is_not_json_is_text(sidelamb):
    assert sidelamb("run", "add", "a", "b").stdout == "adding\n'ab'\n"


def test_a_job_that_fails_shows_its_own_traceback_and_nothing_of_ours(sidelamb):
    ended = sidelamb("run", "jobs.fail", "no way")
    assert ended.returncode == 1
    first, *_, error, closing = ended.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert error == "ValueError: no way"
    assert closing.startswith("✗ jobs.fail failed after")
    assert ended.stderr.count('File "') == 2


@pytest.mark.parametrize(("name", "said"), [("later", "snoozed"), ("never", "nobody wants it")])
def test_a_job_that_speaks_another_outcome_has_not_failed(sidelamb, name, said):
    ended = sidelamb("run", name)
    assert ended.returncode == 0
    assert said in ended.stderr


def test_what_a_job_says_of_itself_is_no_markup_and_moves_no_terminal(sidelamb, app):
    (app / "jobs.py").write_text(
        "from sidelamb import Discard, job\n"
        "@job\ndef never(): raise Discard('[red]x[/nope]\\x1b[31m\\nforged')\n"
        "@job\ndef fail(): raise ValueError('\\x1b[31m')\n"
    )
    ended = sidelamb("run", "never")
    assert (ended.returncode, ended.stderr) == (0, "∅ jobs.never discarded: [red]x[/nope]\\x1b[31m\\nforged\n")
    assert "\x1b" not in sidelamb("run", "fail").stderr


def test_breakpoint_is_a_debugger(sidelamb):
    ended = sidelamb("run", "look", "41", given="p x + 1\ncontinue\n")
    assert "42" in ended.stdout
    assert ended.returncode == 0
    left = sidelamb("run", "look", "41", given="quit\n")
    assert left.returncode == 1
    assert "the debugger was left" in left.stderr


def test_an_unknown_name_leads_to_the_nearest(sidelamb):
    assert refused(sidelamb("run", "jobs.ad", "1")) == "no job is named 'jobs.ad' in jobs; did you mean jobs.add?"


def test_wrong_arguments_are_refused_before_anything_runs(sidelamb):
    assert "missing a required argument: 'a'" in refused(sidelamb("run", "add"))
    for pair in ("b", "=3"):
        assert (
            refused(sidelamb("run", "add", "1", "--kw", pair)) == f"--kw {pair!r} cannot be; write --kw name=value"
        )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("NaN", "argument 1 ('a') is nan, which JSON does not have"),
        ("99999999999999999999999", "argument 1 ('a') is an integer beyond 64 bit"),
        ('["\\ud800"]', "argument 1 ('a')[0] holds a lone surrogate"),
        ('"' + "x" * 100_000 + '"', "the limit is 90,000"),
        ("[" * 50_000 + "]" * 50_000, "the limit is 90,000"),
    ],
)
def test_arguments_that_could_not_be_enqueued_are_refused_here_too(sidelamb, value, said):
    assert said in refused(sidelamb("run", "add", value, SIDELAMB_MAX_PAYLOAD="90000"))


@pytest.mark.parametrize("command", [["run"], ["enqueue", "--redis", "redis://127.0.0.1:1/0"]])
@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--times", "there is no option '--times'; a keyword argument is --kw times=…"),
        ("--times=3", "there is no option '--times=3'; a keyword argument is --kw times=…"),
        ("--job", "there is no option '--job'; did you mean --jobs?"),
    ],
)
def test_what_looks_like_an_option_is_no_argument(sidelamb, command, option, said):
    assert refused(sidelamb(*command, "add", "1", option)).startswith(said)


def test_what_looks_like_an_option_can_be_an_argument_all_the_same(sidelamb):
    assert sidelamb("run", "add", "--", "--a", "--b").stdout == "adding\n'--a--b'\n"
    assert sidelamb("run", "add", '"--a"', "-b").stdout == "adding\n'--a-b'\n"


def test_code_that_cannot_be_imported_is_one_line_with_its_place(sidelamb, app):
    (app / "jobs.py").write_text("import json\nimport not_there\n")
    assert refused(sidelamb("run", "add", "1")).startswith("jobs.py, line 2: ModuleNotFoundError: ")


# --- enqueue ---


def test_a_job_is_enqueued_with_its_own_options_and_its_id_printed(sidelamb, redis_url, db):
    ended = sidelamb("enqueue", "fail", "x", "--redis", redis_url)
    payload = orjson.loads(db.lindex("queue:low", 0))
    assert (payload["class"], payload["args"], payload["retry"]) == ("jobs.fail", ["x"], 0)
    assert ended.stdout == f"{payload['jid']}\n"


def test_a_job_is_enqueued_for_later_or_on_another_queue(sidelamb, redis_url, db):
    sidelamb("enqueue", "jobs.add", "1", "--in", "60", SIDELAMB_REDIS_URL=redis_url)
    sidelamb("enqueue", "jobs.add", "1", "--queue", "other", SIDELAMB_REDIS_URL=redis_url)
    assert (db.zcard("schedule"), db.llen("queue:other")) == (1, 1)


def test_the_redis_of_dev_is_found_without_being_told(sidelamb, app, redis_url, db):
    (app / ".sidelamb").mkdir()
    (app / ".sidelamb" / "redis.url").write_text(redis_url)
    assert sidelamb("enqueue", "add", "1").returncode == 0
    assert db.llen("queue:default") == 1


def test_without_any_redis_one_line_says_what_to_do(sidelamb):
    assert "start `sidelamb dev`, or set SIDELAMB_REDIS_URL" in refused(sidelamb("enqueue", "add", "1"))


def test_a_redis_that_is_not_there_is_one_line(sidelamb):
    assert "cannot be reached" in refused(sidelamb("enqueue", "add", "1", "--redis", "redis://127.0.0.1:1/0"), 3)


def test_another_services_job_is_enqueued_only_by_force(sidelamb, redis_url, db):
    argv = ["enqueue", "Billing::ChargeJob", "9", "--queue", "billing", "--redis", redis_url]
    assert "no job is named 'Billing::ChargeJob'" in refused(sidelamb(*argv))
    assert sidelamb(*argv, "--force").returncode == 0
    assert db.llen("queue:billing") == 1


# --- the others ---


def test_the_poller_says_what_it_misses(sidelamb):
    assert refused(sidelamb("poller")).startswith("no Redis is named; set SIDELAMB_REDIS_URL")
    assert "away.toml cannot be read" in refused(sidelamb("poller", "--config", "away.toml"))


def test_dev_in_a_folder_without_jobs_says_what_to_create(sidelamb, app):
    (app / "jobs.py").unlink()
    assert "create jobs.py with a function under @job" in refused(sidelamb("dev"))
    assert list(app.iterdir()) == []


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["devv"], "no such command 'devv'"),
        (["dev", "--concurrencyy", "2"], "no such option: --concurrencyy"),
        (["dev", "-c", "0"], "invalid value for '--concurrency' / '-c'"),
        (["run"], "missing argument 'NAME'; see `sidelamb run --help`"),
        (["enqueue", "add", "--in", "soon"], "invalid value for '--in'"),
    ],
)
def test_a_command_that_is_not_understood_is_one_line(sidelamb, argv, said):
    line = refused(sidelamb(*argv))
    assert line.startswith(said)
    assert line.endswith("--help`")


@pytest.mark.parametrize(("argv", "near"), [(["devv"], "dev"), (["dev", "--concurrencyy", "2"], "--concurrency")])
def test_a_misspelt_command_or_option_leads_to_the_nearest(sidelamb, argv, near):
    assert f"Did you mean {near}?" in refused(sidelamb(*argv)).replace("'", "")


def test_a_command_alone_helps(sidelamb):
    assert "sidelamb dev " in sidelamb().stdout


def test_dev_says_where_it_cannot_keep_its_data(sidelamb, app):
    (app / ".sidelamb").touch()
    assert refused(sidelamb("dev")) == f"{app}/.sidelamb cannot be written (File exists); it is to be a folder"


def test_a_port_that_is_taken_is_one_line(sidelamb, redis_url):
    port = redis_url.rpartition(":")[2].partition("/")[0]
    ended = sidelamb("dev", "--redis", redis_url, "--port", port)
    assert refused(ended).startswith(f"port {port} cannot be used")
    assert ended.stdout == ""


def test_the_version_is_printed(sidelamb):
    assert sidelamb("version").stdout.startswith("sidelamb 0.")


@pytest.mark.parametrize("command", ["dev", "run", "enqueue", "poller"])
def test_help_has_examples(sidelamb, command):
    ended = sidelamb(command, "--help")
    assert f"sidelamb {command}" in ended.stdout.partition("─")[0].partition("Usage")[2].partition("\n")[2]


def test_help_begins_with_what_to_do_first(sidelamb):
    assert "sidelamb dev " in sidelamb("--help").stdout


@pytest.mark.parametrize(
    ("module", "argv", "extra"),
    [("typer", ["version"], "cli"), ("yaml", ["dev"], "local"), ("aiohttp", ["poller"], "aws")],
)
def test_a_missing_extra_is_named_with_how_to_install_it(app, module, argv, extra):
    hide = f"import sys; sys.modules[{module!r}] = None; sys.argv[1:] = {argv!r}"
    script = f"{hide}\nfrom sidelamb_local.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=app, capture_output=True, text=True, timeout=30, check=False
    )
    assert refused(ended) == f"{module} is not installed; pip install 'sidelamb[{extra}]'"
