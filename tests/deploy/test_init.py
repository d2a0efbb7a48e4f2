"""`sidelamb init`, as a person has it: files in a folder, nothing overwritten, what is theirs kept."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tomllib

import pytest
import yaml

from sidelamb_local.init_command import stack_name
from sidelamb_local.intrinsics import TemplateLoader
from sidelamb_local.project import load_project
from sidelamb_local.scaffold import template

WRITTEN = {".gitignore", "jobs.py", "poller", "requirements.txt", "samconfig.toml", "template.yaml"}
WRITTEN |= {"Makefile", "sidelamb.mk"}
MINE = "  # --- yours: variables of the worker\n"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "My Shop"
    made.mkdir()
    return made


@pytest.fixture
def init(folder):
    def run(*argv, cwd=folder):
        command = [sys.executable, "-m", "sidelamb_local.cli", "init", *argv]
        return subprocess.run(
            command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
        )

    return run


def refused(ended):
    """The one line of an error."""
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    return line.removeprefix("sidelamb: ")


def names(folder):
    return {path.name for path in folder.iterdir()}


# --- a new folder ---


def test_an_empty_folder_becomes_an_app_without_a_question(init, folder):
    ended = init()
    assert ended.returncode == 0, ended.stderr
    assert names(folder) == WRITTEN
    assert "sam build && sam deploy --guided" in ended.stdout
    project = load_project(folder, in_flight=1).probed()
    assert project.jobs.names == ("jobs.greet",)
    assert not project.is_built_in


def test_a_folder_that_is_not_there_is_made(init, folder):
    assert init("shop").returncode == 0
    assert names(folder / "shop") == WRITTEN


def test_everything_is_named_for_the_stack_so_that_two_do_not_collide(init, folder):
    init("a", "--name", "shop-jobs")
    settings = tomllib.loads((folder / "a" / "samconfig.toml").read_text())
    stacks = [settings[env]["global"]["parameters"]["stack_name"] for env in ("default", "staging")]
    assert stacks == ["shop-jobs", "shop-jobs-staging"]
    prefixes = [settings[env]["deploy"]["parameters"]["s3_prefix"] for env in ("default", "staging")]
    assert prefixes == stacks
    resources = yaml.load(template(), TemplateLoader)["Resources"]
    made = {key: one for key, one in resources.items() if one["Type"] != "AWS::Logs::MetricFilter"}  # in a group
    given = [(key, name) for key, one in made.items() for name in names_of(one.get("Properties", {}))]
    assert len(given) > 10
    theirs = [{"Ref": other} for other in resources]  # whose names are looked at where they are given
    own = [(key, name) for key, name in given if name not in theirs]
    assert [(key, name) for key, name in own if not re.search("AWS::Stack(Name|Id)", str(name))] == []


def names_of(properties):
    """Names that must be the only ones of their kind in an account: a resource's own, and its schedules'."""
    events = properties.get("Events", {}).values()
    yield from (event["Properties"].get("Name", "SAM's own") for event in events)
    yield from (value for key, value in properties.items() if re.fullmatch(r"(?!Metric)\w*Name|Family", key))


@pytest.mark.parametrize(
    ("name", "stack"),
    [
        ("My Shop", "my-shop"),
        ("a.b_c", "a-b-c"),
        ("2nd", "app-2nd"),
        ("ünï", "n"),
        ("ü", "app"),
        ("x" * 50, "x" * 32),
    ],
)
def test_the_stack_is_named_after_the_folder(tmp_path, name, stack):
    assert stack_name(tmp_path / name) == stack


@pytest.mark.parametrize("name", ["1shop", "shop_jobs", "x" * 33, "-"])
def test_a_name_that_cloudformation_would_refuse_is_refused_here(init, folder, name):
    assert "is no name for a stack" in refused(init(f"--name={name}"))
    assert names(folder) == set()


def test_on_a_terminal_it_asks_for_the_name_and_for_nothing_else(folder):
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "sidelamb_local.cli", "init"]
    running = subprocess.Popen(command, cwd=folder, stdin=child, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.write(parent, b"orders\n")
    said, _ = running.communicate(timeout=30)
    os.close(parent)
    os.close(child)
    assert said.count(b"[my-shop]: ") == 1
    assert 'stack_name = "orders"' in (folder / "samconfig.toml").read_text()


# --- a folder with something in it ---


@pytest.mark.parametrize("name", ["template.yaml", "template.yml", "samconfig.toml"])
def test_a_folder_that_is_set_up_is_left_alone(init, folder, name):
    (folder / name).write_text("mine")
    assert f"has {name} already, so nothing was written" in refused(init())
    assert names(folder) == {name}
    assert (folder / name).read_text() == "mine"


def test_an_app_that_is_there_keeps_its_files_and_is_told_so(init, folder):
    (folder / "jobs.py").write_text("# mine\n")
    (folder / "requirements.txt").write_text("django\n")
    (folder / "Makefile").write_text("test:\n\tpytest\n")
    ended = init()
    assert ended.returncode == 0
    assert (folder / "jobs.py").read_text() == "# mine\n"
    assert (folder / "requirements.txt").read_text() == "django\n"
    assert (folder / "Makefile").read_text() == "test:\n\tpytest\n"
    assert "kept  jobs.py\n" in ended.stdout
    assert "kept  requirements.txt: see that it names sidelamb" in ended.stdout
    assert "kept  Makefile: add the line `include sidelamb.mk`" in ended.stdout


def test_a_folder_that_cannot_be_written_is_one_line(init, folder):
    (folder / "file").touch()
    assert "cannot be written" in refused(init("file/shop"))


# --- upgrade ---


@pytest.fixture
def mine(init, folder):
    """An app whose template has something of its user's, and is of an older release."""
    init()
    path = folder / "template.yaml"
    text = path.read_text()
    assert MINE in text
    text = text.replace(MINE, MINE + "          MY_BUCKET: photos\n").replace("RetentionInDays", "OldName")
    path.write_text(text)
    return path


def test_an_upgrade_shows_what_it_would_change_and_changes_nothing_unasked(init, mine):
    before = mine.read_text()
    ended = init("--upgrade")
    assert ended.returncode == 0
    assert "-      OldName: !Ref LogDays" in ended.stdout.splitlines()
    assert "+      RetentionInDays: !Ref LogDays" in ended.stdout.splitlines()
    assert "MY_BUCKET" not in "".join(line for line in ended.stdout.splitlines() if line[:1] in "+-")
    assert "nothing was changed" in ended.stdout
    assert mine.read_text() == before


def test_an_upgrade_that_is_agreed_to_keeps_what_is_the_users(init, mine):
    assert init("--upgrade", "--yes").returncode == 0
    assert mine.read_text() == template().replace(MINE, MINE + "          MY_BUCKET: photos\n")
    assert "is up to date" in init("--upgrade", "--yes").stdout


def test_an_upgrade_renews_the_rules_of_the_build_too(init, folder):
    init()
    rules = folder / "sidelamb.mk"
    new = rules.read_text()
    rules.write_text(new.replace("manylinux2014", "manylinux1"))
    said = init("--upgrade").stdout
    assert "template.yaml is up to date" in said
    assert "-WHEELS     = $(foreach of,manylinux1 " in said
    rules.unlink()
    assert init("--upgrade", "--yes").returncode == 0
    assert rules.read_text() == new


def test_an_upgrade_that_would_lose_something_is_refused(init, mine):
    old = "  # --- yours: old place\n  Bucket: 1\n  # --- end of yours\n"
    mine.write_text(mine.read_text() + old)
    assert "no place for: 'old place'" in refused(init("--upgrade", "--yes"))


def test_an_upgrade_without_a_template_is_one_line(init):
    assert "`sidelamb init` writes one" in refused(init("--upgrade"))


@pytest.mark.parametrize("command", ["init", "cost", "doctor"])
def test_help_has_examples(folder, command):
    argv = [sys.executable, "-m", "sidelamb_local.cli", command, "--help"]
    said = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=30, check=True).stdout
    assert said.partition("─")[0].count(f"sidelamb {command}") >= 3  # the usage, and two examples
