"""The demo, played to its end as `make demo STAY=1` plays it, and the tour from there."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidelamb import Client
from sidelamb.api import RetrySet, Stats
from tests.waiting import until
from tests.web.conftest import chrome_of
from tests.web.hands import press, said, write

DEMO = Path(__file__).resolve().parents[2] / "examples" / "photos" / "demo.py"


def start(*argv):
    # A Redis of somebody's own must not be touched by it.
    env = os.environ | {"SIDELAMB_REDIS_URL": "redis://127.0.0.1:1/0"}
    command = [sys.executable, str(DEMO), *argv]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def play(*argv):
    with start(*argv) as demo:
        out, err = demo.communicate(timeout=60)
    return subprocess.CompletedProcess(argv, demo.returncode, out, err)


@dataclass
class Played:
    """A demo that has played and stays, with its web page."""

    said: str
    page: str
    redis: str
    whole: str
    """A photograph that can be read."""


@pytest.fixture(scope="module")
def played():
    """One demo for all who look at it; Ctrl-C ends it, and nothing is left."""
    before = set(DEMO.parent.glob(".sidelamb/demo-*"))
    was = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored
    try:
        demo = start("--stay")
    finally:
        signal.signal(signal.SIGINT, was)
    said = []
    for line in demo.stdout:
        said.append(line)
        if "Ctrl-C ends it all" in line:
            break
    text = "".join(said)
    assert "The web page is at" in text, f"{text}\n{demo.stderr.read()}"
    [page] = re.findall(r"The web page is at (\S+)", text)
    [whole, redis] = re.findall(r"^  (\S+\.jpg)$|--redis (\S+)$", text, re.MULTILINE)
    yield Played(text, page, redis[1], whole[0])
    demo.send_signal(signal.SIGINT)
    rest, errors = demo.communicate(timeout=30)
    assert (demo.returncode, rest, errors) == (0, "", "")
    assert set(DEMO.parent.glob(".sidelamb/demo-*")) == before


@pytest.fixture
def browser():
    browser = chrome_of() if shutil.which("chromium") and shutil.which("chromedriver") else None
    if browser is None:
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    yield browser
    browser.quit()


def test_the_tour_on_the_page(played, browser):
    """Find the failed job, read why, fix its argument, retry it, watch it succeed."""
    browser.get(played.page)
    before = numbers(browser)
    press(browser, "1 dead job waits for somebody to look at it.")
    press(browser, "jobs.check_photo")
    assert "OSError" in said(browser)
    assert "image file is truncated" in said(browser)
    write(browser, "f-args", json.dumps([played.whole]))
    press(browser, "Retry with these")
    assert "1 put on their queues" in said(browser)
    press(browser, "Dashboard", "nav")
    until(lambda: numbers(browser)["Processed"] == before["Processed"] + 1, 20)
    after = numbers(browser)
    assert (after["Failed"], after["Dead"], after["Retries"]) == (before["Failed"], 0, 0)


def numbers(browser):
    """What the dashboard counts."""
    cells = browser.execute_script(
        "return [...document.querySelectorAll('.numbers div')].map((d) => [...d.children].map((c) => c.innerText))"
    )
    return {what: int(re.sub(r"\D", "", count)) for what, count in cells}


def test_the_tour_on_the_command_line(played, sidelamb):
    """The same, for a photograph that is not there."""
    client, at = Client(played.redis), ("--redis", played.redis)
    jid = client.job("jobs.check_photo", queue="images", max_retries=1).enqueue("/not-there.jpg")
    until(lambda: RetrySet(client).size(), 20)
    [found] = sidelamb("jobs", "find", "not-there.jpg", "--json", *at).objects
    assert (found["jid"], found["in"], found["error_class"]) == (jid, "retries", "FileNotFoundError")
    assert "No such file or directory: '/not-there.jpg'" in sidelamb("jobs", "show", jid, *at).out
    before = Stats(client).summary()
    retried = sidelamb("jobs", "retry", "retries", jid, "--args", json.dumps([played.whole]), *at)
    assert retried.out == "1 retried, from retries, with other args\n"
    until(lambda: Stats(client).summary().processed > before.processed, 20)
    status = json.loads(sidelamb("status", "--json", *at).out)
    assert (status["failed"], status["retrying"], status["enqueued"]) == (before.failed, 0, 0), status
    gone = sidelamb("jobs", "show", jid, *at)
    assert gone.status == 1
    assert gone.err.startswith(f"no job has the id '{jid}': it has run, or was deleted")
    client.close()


def test_it_accounts_for_every_job_and_says_what_to_do_next(played, tmp_path):
    said = played.said
    for words in (
        "delay(User.sync_images)(user_id)",
        "check_photo failed, again in",
        "image file is truncated",
        "no retry is left: dead",
        "crash_once took its sandbox down: charged with one failure",
        "crash_once succeeded in attempt 2",
        "remind began",
        "jobs are accounted for",
        "Where to look next",
    ):
        assert words in said
    for heading in ("jobs", "jobs/s", "p50 ms", "p99 ms", "invocations", "jobs each", "retries", "USD a million"):
        assert all(word in said for word in heading.split())
    assert re.search(r"sync_images +40 +[\d.]+ +[\d,]+ +[\d,]+ +\d+ +[\d.]+ +0 +[\d.]+", said)
    assert re.search(r"views, all at once +2,000", said)
    assert re.search(r"everything +2,243 +\d+ +[\d.]+ +2 +[\d.]+", said)
    table = said[said.index("jobs/s") : said.index("p50, p99:")]
    assert max(map(len, table.splitlines())) <= 80
    [command] = re.findall(r"cd examples/photos && \S*sidelamb dev", said)
    env = {name: value for name, value in os.environ.items() if not name.startswith("SIDELAMB_")}
    run = subprocess.run(
        ["/bin/sh", "-c", command.replace("sidelamb dev", "sidelamb run sync_images 1")],
        cwd=DEMO.parents[2],
        env=env | {"PATH": "/usr/bin:/bin", "PHOTOS_DB": str(tmp_path / "not-there-yet.db")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.stdout, run.returncode) == ("21\n", 0), run.stderr


def test_a_photograph_that_cannot_be_read_is_one_line(tmp_path):
    (tmp_path / "cat.jpg").write_bytes((DEMO.parent / "photographs" / "chelsea.jpg").read_bytes())
    (tmp_path / "dog.JPG").write_text("woof")
    ended = play("--photos", str(tmp_path))
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"demo: {tmp_path}/dog.JPG cannot be read as a photograph (cannot identify")
    assert ended.stderr.endswith("; take it out of the folder\n")
    assert len(ended.stderr.splitlines()) == 1


def test_a_bar_is_patient_as_long_as_something_moves(monkeypatch):
    """Large photographs on a small machine take longer than the patience of one moment."""
    monkeypatch.syspath_prepend(DEMO.parent)
    module = importlib.import_module("show")
    now = [0.0]
    clock = types.SimpleNamespace(monotonic=lambda: now[0], sleep=lambda _: now.__setitem__(0, now[0] + 40))
    monkeypatch.setattr(module, "time", clock)
    show = module.Show()
    counts = iter(range(10))
    assert show.bar("slow", 8, lambda: next(counts), seconds=50)
    began = now[0]
    assert not show.bar("stuck", 8, lambda: 1, seconds=50)
    assert now[0] - began == 80


def test_a_folder_without_photographs_is_one_line(tmp_path):
    for folder in (tmp_path, tmp_path / "away"):
        ended = play("--photos", str(folder))
        assert ended.returncode == 2
        assert (
            ended.stderr == f"demo: {folder} has no photographs (.jpg, .jpeg, .png); name a folder that has some\n"
        )
