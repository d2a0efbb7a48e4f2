"""What takes long to make and several tests begin with: made once a run, whichever process comes first."""

from __future__ import annotations

import fcntl
import re
import shutil
import textwrap
from typing import TYPE_CHECKING

import pytest

from sidelamb_local.scaffold import poller_requirements
from tests.deploy.deployed import App, wheels
from tests.deploy.emulator import ROOT

if TYPE_CHECKING:
    from pathlib import Path

VIDEO_JOBS = """\
from sidelamb import job

@job(name="cut", queue="video")
def cut(what: str) -> None:
    print(f"cutting {what}")
"""


def shown(page: str, language: str, words: str) -> str:
    """The block of a page that has these words, for it to be true."""
    text = (ROOT / "docs" / page).read_text()
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if words in block]
    return str(found)


def video() -> dict[str, str]:
    """What the pages tell somebody to write who wants a second function."""
    return {
        "resources": shown("deploy.md", "yaml", "VideoFunction:"),
        "capsules": textwrap.indent(shown("poller.md", "toml", "[capsules.video]"), " " * 16),
        "functions of the poller": shown("poller.md", "yaml", "VideoFunction.Alias"),
    }


def with_the_page() -> str:
    """What the poller's bundle is made of where there is the web page, as the page about it says."""
    text = poller_requirements()
    assert "\nsidelamb==" in text
    return text.replace("\nsidelamb==", "\nsidelamb[web]==")


@pytest.fixture(scope="session")
def built_shop(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of an app with two functions, after `sam build`."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent
    folder = shared / "shop"
    with (shared / "shop.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".aws-sam" / "build" / "template.yaml").exists():
            shutil.rmtree(folder, ignore_errors=True)
            more = {"video/jobs.py": VIDEO_JOBS, "poller/requirements.txt": with_the_page()}
            App(folder, "shop", video(), more).build(wheels(shared / "dist"))
    return folder


@pytest.fixture
def shop_app(built_shop: Path, tmp_path: Path) -> App:
    """A copy of that folder, to be deployed."""
    shutil.copytree(built_shop, tmp_path / "shop", symlinks=True)
    return App.there(tmp_path / "shop", "shop")
