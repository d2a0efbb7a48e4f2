"""What holds for each command that there is: its help, its listings, where its Redis is, its errors, its secrets.

The commands are read from the app itself, so that a new one is held to the same without a line here.
"""

from __future__ import annotations

import json
import re

import pytest
import typer.main

from sidelamb_local.commands import app

SERVING = {"dev", "poller", "web"}
"""They run until Ctrl-C, and wait for a Redis that is away."""
HERE = {"init", "run", "logs", "cost", "version"}
"""They need no Redis."""
ARGUMENTS = {"set_": "dead", "file": "-"}
MORE = {
    "enqueue": ["--force"],
    "jobs retry": ["jid", "--args", "[]"],
    "jobs kill": ["jid"],
    "jobs delete": ["jid"],
    "jobs reschedule": ["jid", "--in", "5"],
}
"""What a command needs besides its arguments, to come as far as Redis."""
SETS = {"jobs kill": "retries", "jobs reschedule": "retries"}
FINDINGS = {"doctor": 1}
"""Its errors are its answer."""
AWAY, REFUSES = "redis://me:hun@ter2@127.0.0.1:{}/0?socket_timeout=1", "redis://me:hunter2@{}"
HOSTILE = "\x1b[31m[red]x[/nope]<script>\nforged\u202e\x9b2J🦙"
OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")


def walked(command, name=""):
    """Each command below one, by its whole name."""
    if not hasattr(command, "commands"):
        return {name: command}
    found = {}
    for word, one in command.commands.items():
        found |= walked(one, f"{name} {word}".strip())
    return found


COMMANDS = walked(typer.main.get_command(app))
OF_REDIS = sorted(set(COMMANDS) - SERVING - HERE)


def options_of(name):
    return {option for param in COMMANDS[name].params for option in param.opts}


def line_of(name, value="x"):
    """A command line with each argument that must be there."""
    wanted = [one.name for one in COMMANDS[name].params if one.param_type_name == "argument" and one.required]
    given = [SETS.get(name, ARGUMENTS["set_"]) if one == "set_" else ARGUMENTS.get(one, value) for one in wanted]
    return [*name.split(), *given, *[value if one == "jid" else one for one in MORE.get(name, [])]]


def one_line(ended):
    """The one line of an error, which tells no secret."""
    said = ended.out + ended.err
    assert not re.search(r"hun|ter2|Traceback", said), said
    assert len(ended.err.splitlines()) <= 1
    return said


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_its_help_has_an_example(sidelamb, name):
    ended = sidelamb(*name.split(), "--help")
    described = ended.out.partition("Usage")[2].partition("\n")[2].partition("╭")[0]
    assert ended.status == 0
    assert f"sidelamb {name}" in described or name == "version"


@pytest.mark.parametrize("name", sorted({name.partition(" ")[0] for name in COMMANDS if " " in name}))
def test_a_word_with_commands_below_it_helps(sidelamb, name):
    ended = sidelamb(name)
    assert (ended.status, ended.err) == (0, "")
    assert f"sidelamb {name} " in ended.out


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_listing_has_pages_and_json(name):
    lists = COMMANDS[name].help.startswith("List ") or name in {"jobs find", "queues"}
    options = options_of(name)
    assert {"--json", "--page", "--size"} <= options if lists else ("--page" in options) == ("--size" in options)
    assert "--json" in options or "--page" not in options


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - HERE))
def test_its_redis_can_be_named(name):
    assert "--redis" in options_of(name)


@pytest.mark.parametrize("name", OF_REDIS)
def test_its_redis_is_that_of_the_option_or_the_environment_or_the_file(sidelamb, name, tmp_path, monkeypatch):
    (tmp_path / "sidelamb.toml").write_text(f"redis = '{AWAY.format(3)}'\n")
    line = line_of(name)
    for port in (1, 2, 3):
        monkeypatch.setenv("SIDELAMB_REDIS_URL", AWAY.format(2) if port < 3 else "")
        ended = sidelamb(*line, *(["--redis", AWAY.format(1)] if port == 1 else []), given="")
        assert ended.status == FINDINGS.get(name, 3), ended.err
        assert f"127.0.0.1:{port} cannot be reached" in one_line(ended)


@pytest.mark.parametrize("name", OF_REDIS)
def test_a_redis_that_refuses_us_or_is_none_is_one_line_without_the_password(sidelamb, name, redis_url):
    place = redis_url.partition("://")[2]
    for url, status in ((REFUSES.format(place), 3), (f"redis:me:hunter2@{place}", 2)):
        ended = sidelamb(*line_of(name), "--redis", url, given="")
        assert ended.status == FINDINGS.get(name, status), ended.err
        assert one_line(ended)


@pytest.mark.parametrize("file", ["-x", "\x1b[31mx", "x" * 300])
def test_the_pollers_settings_that_are_not_there_are_one_line_that_is_safe(sidelamb, file):
    ended = sidelamb("poller", "--config", file)
    assert (ended.status, len(ended.err.splitlines()), "\x1b" in ended.err) == (2, 1, False)
    assert "cannot be read" in ended.err


@pytest.mark.parametrize("name", OF_REDIS)
def test_a_name_that_is_hostile_does_nothing_to_the_terminal(sidelamb, name, db):
    db.sadd("queues", HOSTILE)
    db.lpush(f"queue:{HOSTILE}", json.dumps({"class": HOSTILE, "args": [HOSTILE], "jid": HOSTILE}))
    for value in (HOSTILE, "[/]", "\udcff"):
        ended = sidelamb(*line_of(name, value))
        assert ended.status in {0, 1, 2}, ended.err
        assert not OBEYED.search(ended.out + ended.err)
        assert "forged" not in [line.strip() for line in (ended.out + ended.err).splitlines()]
