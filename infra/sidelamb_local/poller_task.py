"""What a template's poller is told: the environment of its ECS task, as far as AWS need not be asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sidelamb_local.intrinsics import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sidelamb_local.intrinsics import Scope

__all__ = ["task_environment"]

TASK = "AWS::ECS::TaskDefinition"


def task_environment(resources: Mapping[str, Any], scope: Scope, functions: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the container that is told which function to invoke; none if there is none.

    Args:
        resources: The template's.
        scope: What names mean in it.
        functions: Their names by logical id, for their aliases.
    """
    aliases = {f"{logical_id}.Alias": name for logical_id, name in functions.items()}
    known = replace(
        scope, references=dict(scope.references) | aliases, attributes=dict(scope.attributes) | aliases
    )
    for container in _containers(resources):
        entries = [known.resolve(entry) for entry in container.get("Environment") or []]
        named = [entry for entry in entries if isinstance(entry, dict) and "Name" in entry]
        told = {entry["Name"]: entry.get("Value") for entry in named}
        if "SIDELAMB_FUNCTION" in told:
            return {name: text_of(said) for name, said in told.items() if isinstance(said, str | int | float)}
    return {}


def _containers(resources: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in resources.values():
        if isinstance(resource, dict) and resource.get("Type") == TASK:
            found = (resource.get("Properties") or {}).get("ContainerDefinitions") or []
            yield from (one for one in found if isinstance(one, dict))
