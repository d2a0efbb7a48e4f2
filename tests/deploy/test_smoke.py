"""`make smoke-aws`, against the emulator: the program for a real account, as far as the emulator goes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading

import pytest

from infra.smoke_aws import __main__ as smoke
from infra.smoke_aws.app import producer, write
from infra.smoke_aws.steps import NOT_IN_AN_EMULATOR, STEPS, cost
from sidelamb_local.scaffold import template
from tests.deploy import bare_root, island
from tests.deploy.deployed import Stack, for_the_emulator, owner_env, sam_installed, wheels
from tests.deploy.emulator import REDIS_URL, REGION, emulator

NAME = "smoke-1"


@pytest.fixture
def owner(monkeypatch, tmp_path):
    """The environment of a person with an account, and the runtime's Python, but with no way to an index."""
    monkeypatch.setenv("PATH", f"{bare_root.python_of_the_runtime().parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    for name in ("PROCESSOR", "POLLER_PROCESSOR"):
        monkeypatch.setenv(name, "x86_64")
    for name, value in owner_env("").items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL")


def everything(folder):
    """A folder with all wheels that the bundles need."""
    write(folder / "app", "app")
    words = [bare_root.python_of_the_runtime(), "-m", "pip", "download", "--quiet", "--dest", folder / "all"]
    words += ["--find-links", wheels(folder / "dist")]
    for name in ("requirements.txt", "poller/requirements.txt"):
        words += ["-r", folder / "app" / name]
    subprocess.run(words, check=True, capture_output=True)
    return folder / "all"


@contextlib.contextmanager
def fargate(aws, root, log):
    """Stand for Fargate: run the task's command as soon as its service is there, until it is over."""
    over = threading.Event()

    def run():
        while not over.wait(0.5):
            with contextlib.suppress(Exception):
                stack = Stack(aws, NAME)
                break
        if not over.is_set():
            with stack.poller(root, log) as task:
                over.wait()
                task.terminate()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.timeout(900)
@pytest.mark.skipif(not island.possible(), reason="a network of one's own needs root")
def test_it_deploys_tries_rolls_back_and_leaves_nothing(tmp_path, monkeypatch, capsys, request):
    def written(folder, stack):
        write(folder, stack)
        for_the_emulator(folder / "template.yaml")

    monkeypatch.setattr(smoke, "write", written)
    dist, root, sam = everything(tmp_path), tmp_path / "root", sam_installed()
    bare_root.make(root, bare_root.python_of_the_runtime())
    request.getfixturevalue("owner")
    with emulator(tmp_path) as aws, fargate(aws, root, tmp_path / "task.log"):
        words = ["--region", REGION, "--stack", NAME, "--endpoint-url", aws.endpoint, "--wheels", str(dist)]
        words += ["--folder", str(tmp_path / "smoke"), "--sam", str(sam), "--parameter", f"RedisUrl={REDIS_URL}"]
        code = smoke.main(words)
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if line.startswith("──")]
    assert code == 0, said
    assert len(lines) == len(STEPS) + 1
    assert [line for line in lines if "left out" in line] == [
        f"── left out: {step.__name__.replace('_', ' ')}: {why}" for step, why in NOT_IN_AN_EMULATOR.items()
    ]
    assert "about 0.0" in said.splitlines()[-1]


def test_its_producer_is_the_worker_by_another_name():
    text = producer(template())
    assert text.startswith("  ProducerFunction:\n    Type: AWS::Serverless::Function\n")
    assert "worker" not in text.split("Environment:", maxsplit=1)[0].replace("WorkerLogs", "")
    assert "Handler: producer.handler" in text


def test_the_cost_is_reckoned_from_what_lambda_says_it_bills():
    lines = ["REPORT RequestId: 1 Duration: 1 ms Billed Duration: 2000 ms Memory Size: 512 MB", "Hello", "{}"]
    assert "Lambda 0.0000," in cost(0, [])
    assert "Lambda 0.0133," in cost(0, lines * 1000)
    json = '{"type":"platform.report","record":{"metrics":{"billedDurationMs":2000,"memorySizeMB":512}}}'
    assert "Lambda 0.0133," in cost(0, [json] * 1000)
