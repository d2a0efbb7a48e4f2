"""Puts the template together from its pieces: one small YAML file for each part of the system.

A piece has sections of its own (Parameters, Conditions, Resources, …); the template has each section once, with
what the pieces say in it, one after the other. Texts, not trees: comments and layout stay as they are written.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["PIECES", "assemble", "assembled"]

PIECES = ("base", "redis", "network", "worker", "scheduler", "poller", "web", "observe", "yours")
"""In the order in which they stand in the template. The last has the places that are the user's."""

_SECTION = re.compile(r"^(\w+):.*\n(?:(?:[ #].*)?\n)*", re.MULTILINE)
_GROUPS = "  AWS::CloudFormation::Interface:\n    ParameterGroups:\n"


def assembled() -> str:
    """Return the template of this release."""
    folder = Path(__file__).with_name("pieces")
    return assemble([(folder / f"{name}.yaml").read_text() for name in PIECES])


def assemble(pieces: list[str]) -> str:
    """Return one template made of these, the first of which has its head."""
    sections: dict[str, list[str]] = {}
    for piece in pieces:
        for found in _SECTION.finditer(piece):
            sections.setdefault(found[1], []).append(found[0].rstrip("\n") + "\n")
    return "\n".join(_joined(name, texts) for name, texts in sections.items())


def _joined(name: str, texts: list[str]) -> str:
    """Return a section with the bodies of all."""
    head, bodies = f"{name}:\n", [text.partition("\n")[2] for text in texts]
    if len(texts) == 1:
        return texts[0]
    if name == "Metadata":
        head, bodies = head + _GROUPS, [body.removeprefix(_GROUPS) for body in bodies]
    glue = "\n" if name == "Resources" else ""
    return head + glue.join(bodies)
