"""The pages: their Python runs, their commands parse with the real command line, their links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from sidelamb_handlers.config import load_config
from sidelamb_local.commands import app
from sidelamb_local.scaffold import template
from tests.tools import telemetry

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [
    DOCS / f"{name}.md"
    for name in (
        "cost",
        "databases",
        "deploy",
        "disaster",
        "from-celery",
        "from-rq",
        "how-to/web-on-aws",
        "network",
        "observe",
        "operate",
        "poller",
        "security",
    )
]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`(sidelamb [^`]*)`")
LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")


def blocks(page, *languages):
    """The code blocks of a page in these languages, without the indentation of a list."""
    found = FENCE.findall(page.read_text())
    return [
        re.sub(f"^{indent}", "", text, flags=re.MULTILINE) for indent, said, text in found if said in languages
    ]


def every(*languages):
    numbered = [(page, n, text) for page in PAGES for n, text in enumerate(blocks(page, *languages), 1)]
    return [pytest.param(text, id=f"{page.stem}-{n}") for page, n, text in numbered]


@pytest.mark.parametrize("text", every("python"))
def test_python_runs_as_it_stands(text, tmp_path, redis_url):
    """Blocks of other systems are marked `py`."""
    (tmp_path / "finished.txt").touch()
    (tmp_path / "block.py").write_text(text)
    path = [os.environ.get("PYTHONPATH"), str(telemetry()) if "from opentelemetry" in text else None]
    env = {"SIDELAMB_REDIS_URL": redis_url, "PYTHONPATH": os.pathsep.join(filter(None, path))}
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import block"],
        cwd=tmp_path,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("text", every("py"))
def test_other_systems_python_is_python(text):
    compile(text, "block", "exec")


def commands(page):
    """Every `sidelamb …` that a page shows, in blocks and in the text."""
    lines = [line.strip() for text in blocks(page, "sh") for line in text.replace("\\\n", " ").splitlines()]
    shown = [part.strip() for line in lines for part in line.split("&&")]
    return [line for line in shown if line.startswith("sidelamb ")] + SPAN.findall(page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_parses(page):
    group = typer.main.get_command(app)
    for line in commands(page):
        words = ["1" if word == "N" else word for word in shlex.split(line, comments=True)[1:]]
        context = group.make_context("sidelamb", [*words])
        name, command, rest = group.resolve_command(context, words)
        assert command is not None, line
        # A bare name in the text stands for the command with whatever it needs.
        command.make_context(name, list(rest), parent=context, resilient_parsing=not rest)


def anchors(page):
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page):
    for target, anchor in LINK.findall(page.read_text()):
        if target.startswith("http"):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_keeps_to_its_width_outside_of_tables_and_code(page):
    text = FENCE.sub("", page.read_text())
    long = [line for line in text.splitlines() if len(line) > 135 and not line.startswith("|")]
    assert not long


def test_the_cost_page_shows_what_the_command_prints():
    command = [sys.executable, "-m", "sidelamb_local.cli", "cost"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    [table] = blocks(DOCS / "cost.md", "")
    assert table in ended.stdout


def test_the_deploy_page_explains_every_parameter_of_the_template():
    parameters = re.search(r"^Parameters:\n(.*?)^# ---", template(), re.MULTILINE | re.DOTALL)
    assert parameters
    names = set(re.findall(r"^  (\w+):$", parameters[1], re.MULTILINE))
    table = (DOCS / "deploy.md").read_text().partition("| parameter |")[2].partition("\n\n")[0]
    first = "".join(line.split("|")[1] for line in table.splitlines()[2:])
    assert set(re.findall(r"`([A-Z]\w+)`", first)) == names


def test_the_capsules_of_the_deploy_page_are_settings_of_a_poller(tmp_path):
    [text] = blocks(DOCS / "deploy.md", "toml")
    (tmp_path / "poller.toml").write_text(text)
    config = load_config(tmp_path / "poller.toml", {"SIDELAMB_REDIS_URL": "redis://cache"})
    assert [capsule.function for capsule in config.capsules] == ["shop-worker:live", "shop-video:live"]
    assert config.queues == ("default", "mail", "video")


def test_the_variables_of_the_deploy_page_are_settings_of_a_poller(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [text] = [text for text in blocks(DOCS / "deploy.md", "sh") if "export" in text]
    config = load_config(None, dict(re.findall(r"^export (\w+)=(.*)$", text, re.MULTILINE)))
    assert (config.scheduler, config.queues) == ("shop-scheduler:live", ("default", "mail"))
    assert config.capsules[0].function == "shop-worker:live"


def test_what_the_page_of_the_bad_night_quotes_is_what_the_code_says():
    page = (DOCS / "operate.md").read_text()
    quoted = re.findall(r"log: `([^`]+)`", page) + re.findall(r"`([a-z][a-z ]+ (?:its sandbox|after))`", page)
    assert len(quoted) >= 5
    packages = [DOCS.parent / folder for folder in ("sdk/sidelamb", "handlers/sidelamb_handlers")]
    code = "".join(file.read_text() for package in packages for file in package.rglob("*.py"))
    assert [phrase for phrase in quoted if phrase not in code] == []
    names = re.findall(r"`((?:Runtime|Sandbox)\.\w+|JobTimeout|UnknownJob|RedisUn\w+)`", page)
    assert [name for name in names if name not in code] == []
