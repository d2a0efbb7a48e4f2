"""The whole system as one object: it runs real jobs, comes back, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
import redis

from sidelamb import Client
from sidelamb_local.errors import LocalStackError, TemplateError
from sidelamb_local.stack import POLLER, STACK, Stack

JOBS = """
import os, pathlib
from sidelamb import job

@job
def write(path, text):
    pathlib.Path(path).write_text(text)

@job(queue="low")
def show(path, name):
    pathlib.Path(path).write_text(os.environ.get(name, "(not set)"))
"""

OWNER = """
import pathlib, sys
from sidelamb_local.stack import Stack
stack = Stack(pathlib.Path(sys.argv[1]), supervise=True)
stack.start()
print(stack.redis.pid, stack.service_pid, stack.poller_pid, flush=True)
sys.stdin.read()
stack.stop()
"""


class Lines:
    """What a stack says, to be waited for."""

    def __init__(self):
        self.all = []
        self._new = threading.Condition()

    def __call__(self, source, line):
        with self._new:
            self.all.append((source, line))
            self._new.notify_all()

    def wait(self, source, text, seconds=10):
        """Wait for a line of `source` with `text` in it, and return it."""

        def found():
            return next((line for who, line in self.all if who == source and text in line), None)

        with self._new:
            assert self._new.wait_for(found, seconds), f"{text!r} was not said: {self.all}"
            return found()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in list(os.environ):
        if name.startswith("SIDELAMB_") or name == "REDIS_URL":
            monkeypatch.delenv(name)


def make_app(folder):
    folder.mkdir()
    (folder / "jobs.py").write_text(JOBS)
    return folder


@pytest.fixture
def app(tmp_path):
    return make_app(tmp_path / "app")


@pytest.fixture
def lines():
    return Lines()


@dataclass
class Running:
    """A stack, and what it says."""

    stack: Stack
    lines: Lines

    def run(self, name, *args, **options):
        """Enqueue a job and wait for the log line of its end."""
        jid = Client(self.stack.redis_url, namespace=self.stack.namespace).enqueue(name, *args, **options)
        return orjson.loads(self.lines.wait(self.stack.worker_function, jid))


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One stack with a Redis of its own, a namespace and a variable, for all tests that leave it as it is."""
    app = make_app(tmp_path_factory.mktemp("running") / "app")
    lines = Lines()
    with pytest.MonkeyPatch.context() as shell:
        shell.delenv("SIDELAMB_REDIS_URL", raising=False)
        shell.setenv("DATABASE_URL", "sqlite://")
        stack = Stack(app, namespace="{ours}", env={"COLOUR": "blue"}, on_line=lines)
        stack.start()
    yield Running(stack, lines)
    stack.stop()


def identities(url, namespace=""):
    with redis.Redis.from_url(url, decode_responses=True) as client:
        return client.smembers(f"{namespace}:processes" if namespace else "processes")


def test_a_template_may_be_named_as_seen_from_here(app, redis_url, lines, monkeypatch):
    properties = (
        "{Handler: sidelamb_handlers.worker.handler, CodeUri: ., Environment: {Variables: {SIDELAMB_JOBS: jobs}}}"
    )
    text = f"Resources: {{OwnWorker: {{Type: AWS::Serverless::Function, Properties: {properties}}}}}"
    (app / "own.yaml").write_text(text)
    monkeypatch.chdir(app)
    with Stack(app, template=Path("own.yaml"), redis_url=redis_url, on_line=lines) as stack:
        assert Running(stack, lines).run("jobs.write", str(app / "out"), "done")["outcome"] == "succeeded"
        assert stack.worker_function == "OwnWorker"


def test_a_stop_while_a_poller_starts_is_no_failure_of_the_poller(app, redis_url):
    failed = []

    def start_poller():
        try:
            stack.restart_poller()
        except LocalStackError as error:
            failed.append(str(error))

    with Stack(app, redis_url=redis_url, poller=False) as stack:
        thread = threading.Thread(target=start_poller)
        thread.start()
        while stack.poller_pid is None:
            thread.join(0.001)
    thread.join(10)
    assert not thread.is_alive()
    assert failed == []


def test_a_folder_with_jobs_is_an_app(running, tmp_path):
    assert running.run("jobs.write", str(tmp_path / "out"), "done")["outcome"] == "succeeded"
    assert (tmp_path / "out").read_text() == "done"
    assert running.stack.project.jobs.names == ("jobs.show", "jobs.write")


def test_what_it_keeps_is_in_one_folder_that_git_ignores(running):
    kept = running.stack.app_dir / ".sidelamb"
    assert (kept / ".gitignore").read_text() == "*\n"
    assert {"poller.toml", "redis", "redis.url", "template.yaml"} <= {path.name for path in kept.iterdir()}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("COLOUR", "blue"),
        ("SIDELAMB_NAMESPACE", "{ours}"),
        ("DATABASE_URL", "sqlite://"),
        ("AWS_REGION", "us-east-1"),
    ],
)
def test_jobs_see_given_variables_the_namespace_and_this_shells_environment(running, tmp_path, variable, value):
    running.run("jobs.show", str(tmp_path / "out"), variable, queue="low")
    assert (tmp_path / "out").read_text() == value


def test_jobs_and_poller_are_on_the_redis_that_was_given(running, tmp_path):
    running.run("jobs.show", str(tmp_path / "out"), "SIDELAMB_REDIS_URL", queue="low")
    assert (tmp_path / "out").read_text() == running.stack.redis_url == running.stack.redis.url
    pids = {identity.split(":")[1] for identity in identities(running.stack.redis_url, "{ours}")}
    assert str(running.stack.poller_pid) in pids


def test_no_variable_is_among_the_arguments_that_ps_shows_to_everybody(running):
    for pid in (running.stack.service_pid, running.stack.poller_pid):
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert b"sidelamb" in arguments
        assert b"blue" not in arguments


def test_what_the_poller_says_is_passed_on(running):
    assert "default, low → WorkerFunction, 4 in flight" in running.lines.wait(POLLER, "capsule default")


async def test_the_counters_of_the_service_can_be_read(running, until, tmp_path):
    running.run("jobs.write", str(tmp_path / "out"), "x")
    await until(lambda: running.stack.stats.get("WorkerFunction", {}).get("invocations", 0) > 0)
    assert running.stack.stats["SchedulerFunction"]["errors"] == 0


def test_a_killed_poller_stays_away_until_it_is_restarted(running, tmp_path):
    before = running.stack.poller_pid
    running.stack.kill_poller()
    running.lines.wait(STACK, "the poller has ended (killed by signal 9)")
    assert running.stack.poller_pid is None
    running.stack.restart_poller()
    assert running.stack.poller_pid not in {None, before}
    assert running.run("jobs.write", str(tmp_path / "out"), "x")["outcome"] == "succeeded"


def test_a_restarted_poller_has_taken_the_old_one_off_the_list(running):
    running.stack.restart_poller()
    pids = {identity.split(":")[1] for identity in identities(running.stack.redis_url, "{ours}")}
    old = running.stack.poller_pid
    running.stack.restart_poller()
    after = {identity.split(":")[1] for identity in identities(running.stack.redis_url, "{ours}")}
    assert str(old) in pids
    assert str(old) not in after


async def test_stopping_ends_every_process_and_takes_the_poller_off_the_list(app, redis_url, gone):
    stack = Stack(app, redis_url=redis_url)
    stack.start()
    pids = [stack.service_pid, stack.poller_pid]
    assert len(identities(redis_url)) == 1
    stack.stop()
    assert [await gone(pid) for pid in pids] == [True, True]
    assert (stack.poller_pid, stack.service_pid) == (None, None)
    assert identities(redis_url) == set()
    stack.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_nothing_outlives_an_owner_that_is_killed(app, gone, number):
    owner = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", OWNER, str(app)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    owner.send_signal(number)
    owner.communicate()
    assert [await gone(pid) for pid in pids] == [True] * 3


def test_a_redis_of_its_own_comes_back_with_its_data_at_the_same_address(app):
    with Stack(app, poller=False) as stack:
        url = stack.redis_url
        with redis.Redis.from_url(url) as client:
            client.set("kept", "yes")
        assert stack.poller_pid is None
    with Stack(app, poller=False) as stack, redis.Redis.from_url(stack.redis_url) as client:
        assert (stack.redis_url, client.get("kept")) == (url, b"yes")


def test_a_supervised_poller_comes_back_by_itself(app, lines, redis_url, tmp_path):
    with Stack(app, redis_url=redis_url, on_line=lines, supervise=True) as stack:
        before = stack.poller_pid
        os.kill(before, signal.SIGKILL)
        lines.wait(STACK, "the poller has ended (killed by signal 9); starting it again")
        assert Running(stack, lines).run("jobs.write", str(tmp_path / "out"), "x")["outcome"] == "succeeded"
        assert stack.poller_pid not in {None, before}


def test_changed_code_is_what_the_next_job_runs_and_its_new_queue_is_served(app, lines, redis_url, tmp_path):
    with Stack(app, redis_url=redis_url, on_line=lines) as stack:
        (app / "jobs.py").write_text("import json\nimport not_there\n")
        said = lines.wait(STACK, "not_there")
        assert said == "jobs.py, line 2: ModuleNotFoundError: No module named 'not_there' (in: import not_there)"
        (app / "jobs.py").write_text(
            JOBS + "\n@job(queue='fresh')\ndef new(path): pathlib.Path(path).write_text('new')\n"
        )
        lines.wait(STACK, "the queues are now default, low, fresh")
        assert ("stack", "reloaded: the next jobs run the changed code") in lines.all
        ran = Running(stack, lines).run("jobs.new", str(tmp_path / "out"), queue="fresh")
        assert ran["outcome"] == "succeeded"
    assert (tmp_path / "out").read_text() == "new"


def test_what_is_periodic_in_code_and_file_runs_and_stops_when_it_is_taken_out(
    app, lines, redis_url, db, tmp_path
):
    scheduler, clean = "SchedulerFunction", "\n@periodic('0 3 * * *')\n@job\ndef clean(): print('cleaned')\n"
    (app / "jobs.py").write_text(JOBS + "from sidelamb import periodic\n" + clean)
    (app / "sidelamb.toml").write_text(
        f"[periodic.filed]\njob = 'jobs.write'\ncron = '0 3 * * *'\nargs = ['{tmp_path / 'out'}', 'x']\n"
    )
    with Stack(app, redis_url=redis_url, on_line=lines):
        lines.wait(scheduler, "periodic jobs of SchedulerFunction: filed, jobs.clean")
        db.zadd("sidelamb:periodic:due", {"filed": 1_800_000_000 - 10**9, "jobs.clean": 1_800_000_000 - 10**9})
        lines.wait("WorkerFunction", "cleaned")
        lines.wait("WorkerFunction", '"class":"jobs.write"')
        (app / "sidelamb.toml").write_text("[periodic.filed]\ncron = 5\n")
        lines.wait(scheduler, "periodic filed: cron is 5")
        (app / "sidelamb.toml").unlink()
        (app / "jobs.py").write_text(JOBS)
        lines.wait(scheduler, "periodic jobs of SchedulerFunction: none")
    assert (tmp_path / "out").read_text() == "x"
    assert not db.exists("sidelamb:periodic")


def test_a_redis_that_is_not_there_is_one_line(app):
    with pytest.raises(LocalStackError, match=r"Redis at 127\.0\.0\.1:1 cannot be reached"):
        Stack(app, redis_url="redis://127.0.0.1:1/0").start()


def test_a_template_that_cannot_be_used_is_one_line(app, redis_url):
    (app / "template.yaml").write_text("Resources: {}\n")
    with pytest.raises(TemplateError, match="has no Resources"):
        Stack(app, redis_url=redis_url).start()


def test_a_port_that_is_taken_is_one_line(running, app, redis_url):
    taken = int(running.stack.endpoint_url.rpartition(":")[2])
    with pytest.raises(LocalStackError, match=f"port {taken} cannot be used: .*; choose another with --port"):
        Stack(app, redis_url=redis_url, port=taken).start()


def test_a_stack_that_has_not_started_says_so(app):
    with pytest.raises(LocalStackError, match=r"start\(\) it first"):
        _ = Stack(app).worker_function
    with pytest.raises(LocalStackError, match=r"start\(\) it first"):
        Stack(app).restart_poller()
