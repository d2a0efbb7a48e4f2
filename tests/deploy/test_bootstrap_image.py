"""The image for those who want one: its Dockerfile carried out, step by step, in a bare root folder."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

import sidelamb_local
from sidelamb_handlers.config import load_config
from sidelamb_local.scaffold import files
from tests.deploy import bare_root, island
from tests.deploy.deployed import wheels

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "infra" / "poller" / "Dockerfile"
PAGE = ROOT / "docs" / "poller.md"


def instructions():
    lines = [line.strip() for line in DOCKERFILE.read_text().splitlines()]
    return [tuple(line.split(" ", 1)) for line in lines if line and not line.startswith("#")]


def with_pip(root, python):
    asked = [python, "-c", "import os, pip; print(os.path.dirname(pip.__file__))"]
    pip = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    library = next((root / "usr/local/lib").glob("python3*"))
    shutil.copytree(pip, library / "site-packages" / "pip")


def downloaded(python, requirements, dist, folder):
    """What pip will ask for, for the root folder has no way out."""
    words = [
        python,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--find-links",
        dist,
        "--dest",
        folder,
        "-r",
        requirements,
    ]
    subprocess.run(words, check=True, capture_output=True)


@pytest.mark.timeout(600)
@pytest.mark.skipif(not island.possible(), reason="a root folder needs root")
def test_its_steps_make_an_image_that_polls_as_nobody(tmp_path, redis_url, db):
    root, python = tmp_path / "root", bare_root.python_of_the_runtime()
    bare_root.make(root, python)
    with_pip(root, python)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(files("shop")["poller/requirements.txt"])
    downloaded(python, requirements, wheels(tmp_path / "dist"), root / "wheels")
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels", "PIP_ROOT_USER_ACTION": "ignore"}
    image = dict(instructions())
    for what, words in instructions():
        if what == "COPY":
            name, place = words.split()
            shutil.copy(tmp_path / name, root / place.lstrip("/"))
        elif what == "RUN":
            with bare_root.contained(root, json.loads(words), offline, tmp_path / "build.log") as step:
                assert step.process.wait(300) == 0, step.said
    user, group = image["USER"].split(":")
    assert image["VOLUME"] == image["WORKDIR"] == "/opt/sidelamb"
    assert user == group
    env = {
        "SIDELAMB_REDIS_URL": redis_url,
        "SIDELAMB_FUNCTION": "shop-worker:live",
        "SIDELAMB_ALIVE_FILE": "/opt/sidelamb/alive",
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    log = tmp_path / "task.log"
    with bare_root.contained(root, json.loads(image["CMD"]), env, log, user=int(user)) as task:
        alive, deadline = root / "opt/sidelamb/alive", time.monotonic() + 60
        while not (alive.exists() and db.scard("processes")):
            assert task.process.poll() is None, task.said
            assert time.monotonic() < deadline, task.said
            time.sleep(0.05)
        assert alive.stat().st_uid == int(user)
        assert task.terminate() == 0


def test_it_starts_from_the_image_that_the_task_has_without_it():
    piece = Path(sidelamb_local.__file__).parent / "deploy" / "pieces" / "poller.yaml"
    assert f'"{dict(instructions())["FROM"]}"' in piece.read_text()


def block(language):
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return text


def test_the_page_shows_it():
    assert DOCKERFILE.read_text().endswith(block("dockerfile"))


def test_the_capsules_that_the_page_shows_are_settings_of_a_poller():
    text = block("toml").replace("${AWS::StackName}", "shop")
    config = load_config(None, {"SIDELAMB_TOML": text, "SIDELAMB_REDIS_URL": "redis://cache"})
    assert [capsule.function for capsule in config.capsules] == ["shop-worker:live", "shop-video:live"]
