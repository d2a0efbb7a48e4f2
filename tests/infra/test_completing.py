"""What a shell completes, as bash asks for it."""

from __future__ import annotations

import io
import json
import sys

import pytest

from sidelamb_local import cli


@pytest.fixture
def complete(db, redis_url, monkeypatch, tmp_path):
    """Return what Tab offers at the end of a line."""
    db.sadd("queues", "mail", "media", "low", "a b; rm -rf", "\x1b[31m")
    db.hset("sidelamb:periodic", mapping={"reports.nightly": json.dumps({}), "cache.warm": json.dumps({})})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIDELAMB_REDIS_URL", redis_url)

    def tab(line, shell="zsh"):
        words = line.split(" ")
        monkeypatch.setenv("_SIDELAMB_COMPLETE", f"complete_{shell}")
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        monkeypatch.setattr(sys, "argv", ["sidelamb"])
        said = io.StringIO()
        monkeypatch.setattr(sys, "stdout", said)
        with pytest.raises(SystemExit):
            cli.main()
        return said.getvalue()

    return tab


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("sidelamb pause m", ["mail", "media"]),
        ("sidelamb pause ", ["low", "mail", "media"]),
        ("sidelamb jobs list queue", ["queue:low", "queue:mail", "queue:media"]),
        ("sidelamb jobs retry d", ["dead"]),
        ("sidelamb periodic run r", ["reports.nightly"]),
        ("sidelamb pause --redis redis://127.0.0.1:1/0 m", []),
    ],
)
def test_names_are_offered_that_a_shell_takes_as_they_are(complete, capsys, line, offered):
    assert complete(line, "bash").split() == offered
    assert capsys.readouterr().err == ""
