"""What several commands take: options that are the same everywhere, and what is made of them."""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sidelamb_local.errors import LocalStackError

if TYPE_CHECKING:
    from sidelamb import Client
    from sidelamb_local.project import Project

LOOKS_LIKE_AN_OPTION = re.compile(r"--[A-Za-z]")

JobsOption = Annotated[
    str,
    typer.Option(
        "--jobs",
        metavar="MODULES",
        help="Modules with your jobs, comma-separated. Default: SIDELAMB_JOBS, or jobs.",
    ),
]
RedisOption = Annotated[
    str,
    typer.Option(
        "--redis",
        metavar="URL",
        help="A Redis to use. Default: SIDELAMB_REDIS_URL, or that of sidelamb.toml, or of sidelamb dev.",
    ),
]
TemplateOption = Annotated[
    Path | None,
    typer.Option("--template", metavar="FILE", help="SAM template. Default: template.yaml, or a built-in one."),
]
NameArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The job's name. Its last part will do where it is the only such one."),
]
ArgsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ARGS]...", help="Its arguments: JSON where they parse as JSON, else text."),
]
KwOption = Annotated[list[str] | None, typer.Option("--kw", metavar="NAME=VALUE", help="A keyword argument.")]
JsonOption = Annotated[bool, typer.Option("--json", help="For a program: see docs/command-line.md.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")]
PageOption = Annotated[
    int, typer.Option("--page", min=0, max=1_000_000_000, help="Which page, from 1. With --json, 0: all of them.")
]
SizeOption = Annotated[int, typer.Option("--size", min=1, max=10_000, help="Rows of a page.")]


def connect(redis: str) -> Client:
    """Return a client of the Redis and in the namespace that are meant here.

    Raises:
        LocalStackError: no Redis is known.
        ConfigError: a setting is wrong.
    """
    from sidelamb import Client

    url = redis_url(redis)
    return Client(url, namespace=os.environ.get("SIDELAMB_NAMESPACE") or _of_file("namespace"))


def redis_url(given: str) -> str:
    """Return the Redis that is meant.

    Raises:
        LocalStackError: none is known.
    """
    url = known_redis(given)
    if not url:
        raise LocalStackError(
            "no Redis is known here; start `sidelamb dev`, or set SIDELAMB_REDIS_URL, or say --redis"
        )
    return url


def known_redis(given: str) -> str:
    """Return the Redis that is meant, or empty."""
    from sidelamb_local.address import remembered

    return named_redis(given) or remembered(Path.cwd()) or ""


def named_redis(given: str) -> str:
    """Return the Redis that an option, the environment or sidelamb.toml names, or empty."""
    named = given or os.environ.get("SIDELAMB_REDIS_URL") or os.environ.get("REDIS_URL")
    return named or _of_file("redis")


def _of_file(setting: str) -> str:
    """Return a setting of sidelamb.toml (or of SIDELAMB_TOML), or empty; the poller checks all the others."""
    from sidelamb_handlers.config import written

    value = written().get(setting, "")
    if not isinstance(value, str):
        raise LocalStackError(f"sidelamb.toml: {setting} must be a text")
    return value


def project_of(jobs: str, template: Path | None) -> Project:
    """Return the app in this folder."""
    need(("yaml",))
    from sidelamb_local.project import load_project

    return load_project(Path.cwd(), template=template, modules=split_names(jobs), in_flight=1)


def need(modules: tuple[str, ...]) -> None:
    """Raise ImportError for the first of `modules` that is not installed; `cli` says what to install."""
    import importlib.util

    for name in modules:
        if importlib.util.find_spec(name) is None:
            raise ImportError(name=name)


def split_names(text: str) -> tuple[str, ...]:
    """Return the names of a list with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def values_of(ctx: typer.Context, texts: list[str] | None) -> list[Any]:
    """Return a job's arguments. What looks like an option is one that is misspelt, unless "--" stands before."""
    for text in texts or []:
        if LOOKS_LIKE_AN_OPTION.match(text) and "--" not in sys.argv:
            name = text.partition("=")[0]
            near = difflib.get_close_matches(
                name, [opt for param in ctx.command.params for opt in param.opts], n=1
            )
            advice = f"a keyword argument is --kw {name[2:]}=…, and text is '\"{text}\"'"
            raise LocalStackError(f"there is no option {text!r}; {f'did you mean {near[0]}?' if near else advice}")
    return [value_of(text) for text in texts or []]


def value_of(text: str) -> Any:
    """Return JSON as what it says, anything else as text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def keywords_of(pairs: list[str] | None) -> dict[str, Any]:
    """Return keyword arguments, each given as name=value."""
    keywords = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise LocalStackError(f"--kw {pair!r} cannot be; write --kw name=value")
        keywords[name] = value_of(value)
    return keywords


def json_of(text: str, kind: type[Any], option: str) -> Any:
    """Return what an option says in JSON.

    Raises:
        LocalStackError: it is no JSON, or not of this kind.
    """
    called = "a list, like '[1, \"a\"]'" if kind is list else "an object, like '{\"a\": 1}'"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LocalStackError(f"{option} is no JSON ({error}); write {called}") from None
    if not isinstance(value, kind):
        raise LocalStackError(f"{option} must be {called}")
    return value
