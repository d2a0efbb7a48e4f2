"""`sidelamb web`: what it refuses, each in one line, before anything listens."""

from __future__ import annotations

import datetime as dt
import json

import pytest

URL = "https://abc123.lambda-url.eu-west-1.on.aws/"


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A machine without keys, and without an EC2 that would give some."""
    (tmp_path / "config").write_text("[profile prod]\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path / "config"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--url", URL, "--redis", "redis://x"], "leave out --redis and --read-only"),
        (["--url", URL, "--read-only"], "leave out --redis and --read-only"),
        (["--url", URL, "--host", "0.0.0.0"], "signs with your keys for whoever reaches 0.0.0.0"),
        (["--url", URL], "AWS: there are no keys; try `aws sso login`"),
        (
            ["--url", URL, "--profile", "prod"],
            "--profile prod: there are no keys; try `aws sso login --profile prod`",
        ),
        (
            ["--url", URL, "--profile", "nobody"],
            "--profile nobody: The config profile (nobody) could not be found;",
        ),
        (["--profile", "nobody"], "--profile nobody: The config profile (nobody) could not be found;"),
        (["--profile", "prod"], "--profile prod: there are no keys; try `aws sso login --profile prod`"),
        *(
            (["--url", url], "is no function's; write the stack's output WebUrl")
            for url in (
                "http://abc123.lambda-url.eu-west-1.on.aws/",
                "https://abc123.lambda-url.eu-west-1.on.aws.evil.example/",
                "https://evil.example/?abc123.lambda-url.eu-west-1.on.aws",
                "https://user@abc123.lambda-url.eu-west-1.on.aws/",
                "https://abc123.lambda-url.eu-west-1.on.aws/queues",
            )
        ),
    ],
)
def test_what_cannot_be_is_one_line(sidelamb, alone, options, said):
    ended = sidelamb("web", *options)
    [line] = ended.err.splitlines()
    assert said in line
    assert (ended.status, ended.out) == (2, "")


def test_keys_that_have_expired_are_one_line(sidelamb, alone):
    """What hands out keys has none but old ones, as after a night."""
    old = {"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "s", "SessionToken": "t"}
    old["Expiration"] = (dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).isoformat()
    (alone.parent / "old.json").write_text(json.dumps(old))
    with alone.open("a") as file:
        file.write(f"credential_process = cat {alone.parent / 'old.json'}\n")
    ended = sidelamb("web", "--url", URL, "--profile", "prod")
    [line] = ended.err.splitlines()
    assert line.startswith("sidelamb: --profile prod: ")
    assert "expired" in line
    assert "aws sso login --profile prod" in line
    assert ended.status == 2
