"""What an app's stack is on AWS, as far as its template and samconfig.toml say: read here, without AWS.

It is for what is to be known of the stack, as what its poller is told. No parameter in samconfig.toml reaches a
function on this machine: it may name a database that is in use.
"""

from __future__ import annotations

import shlex
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sidelamb_handlers.config import load_config
from sidelamb_local.errors import LocalStackError
from sidelamb_local.template import load_template

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sidelamb_handlers.config import Config
    from sidelamb_local.template import Template

__all__ = ["as_deployed", "at_home", "has_capsules", "poller_config"]

SAMCONFIG = "samconfig.toml"


def as_deployed(path: Path) -> Template:
    """Return the template with the stack's name and the parameters that `sam deploy` gives it.

    Raises:
        LocalStackError: samconfig.toml cannot be read, or the template.
    """
    return load_template(path, _given(path.with_name(SAMCONFIG)))


def has_capsules(template: Template) -> bool:
    """Say whether the poller's task has capsules of its own, in the section that is the user's."""
    try:
        return bool(tomllib.loads(template.poller.get("SIDELAMB_TOML", "")).get("capsules"))
    except tomllib.TOMLDecodeError:
        return True  # it is there, and wrong: `poller_config` says how


def poller_config(template: Template) -> Config | None:
    """Return the settings of the poller's task, functions by their names here; None if there is no such task.

    Raises:
        ConfigError: the task would not start with them.
        LocalStackError: they name a function that the template does not have.
    """
    if not template.poller:
        return None
    # With an empty text it would look for a file in this folder.
    told = {"SIDELAMB_TOML": "#"} | template.poller | {"SIDELAMB_REDIS_URL": "redis://on.aws"}
    return at_home(load_config(None, told), template, str(template.path))


def at_home(config: Config, template: Template, where: str) -> Config:
    """Return settings in which functions have the names that they have here.

    Raises:
        LocalStackError: the template does not have one of them.
    """
    capsules = tuple(replace(one, function=_name(one.function, template, where)) for one in config.capsules)
    scheduler = _name(config.scheduler, template, where) if config.scheduler else ""
    return replace(config, capsules=capsules, scheduler=scheduler)


def _name(function: str, template: Template, where: str) -> str:
    """Return the name here of a function that is called by its own, or by its name on AWS, an alias behind it."""
    plain = function.partition(":")[0]
    name = template.deployed.get(plain, plain)
    if name not in template.functions:
        raise LocalStackError(
            f"{where} names the function {function!r}, and {template.path} has only "
            f"{', '.join(template.deployed)}; correct one"
        )
    return name


def _given(samconfig: Path) -> dict[str, str]:
    try:
        said: Mapping[str, Any] = tomllib.loads(samconfig.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise LocalStackError(f"{samconfig} cannot be read: {error}") from None
    tables = [_table(said, "default", command, "parameters") for command in ("global", "deploy")]
    given: dict[str, str] = {}
    for table in tables:
        if isinstance(table.get("stack_name"), str):
            given["AWS::StackName"] = table["stack_name"]
        given |= _overrides(table.get("parameter_overrides", []), samconfig)
    return given


def _table(said: Any, *path: str) -> Mapping[str, Any]:
    for name in path:
        said = said.get(name, {}) if isinstance(said, dict) else {}
    return said if isinstance(said, dict) else {}


def _overrides(written: Any, samconfig: Path) -> dict[str, str]:
    """Return the parameters: a text, `Key="value" Other=2`, or a list of such."""
    try:
        words = shlex.split(" ".join(written) if isinstance(written, list) else str(written))
    except (TypeError, ValueError) as error:
        raise LocalStackError(f"{samconfig}: parameter_overrides cannot be read: {error}") from None
    return {name: value for name, equals, value in (word.partition("=") for word in words) if equals}
