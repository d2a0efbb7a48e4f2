"""`sidelamb init`: makes a folder an app that `sam build && sam deploy --guided` puts on AWS.

It writes files and nothing else, never over one that is there. `--upgrade` renews the template alone: the sections
that are marked as the user's stay, and what would change is shown before it is written.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidelamb_local.errors import LocalStackError
from sidelamb_local.marked import renewed
from sidelamb_local.scaffold import SAMCONFIG, TEMPLATE, files, template

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Plan", "make", "plan", "renew", "stack_name", "upgrade"]

# CloudFormation's own rule for stack names; the rest is left for the names made of it.
_STACK = re.compile(r"[A-Za-z][-A-Za-z0-9]*\Z")
_LONGEST = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written into a folder.

    Attributes:
        folder: Where.
        new: Texts by file name.
        kept: Names of files that are there already and stay as they are.
    """

    folder: Path
    new: dict[str, str]
    kept: tuple[str, ...] = ()

    def write(self) -> None:
        """Write the new files; none that is there is touched.

        Raises:
            LocalStackError: the folder cannot be written, or a file has appeared since.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, text in self.new.items():
                (self.folder / name).parent.mkdir(exist_ok=True)
                with (self.folder / name).open("x") as file:
                    file.write(text)
        except OSError as error:
            raise LocalStackError(f"{error.filename} cannot be written: {error.strerror}") from error


NEXT = """\

Next, on this machine:  sidelamb dev, and in another shell: sidelamb enqueue jobs.greet world
On AWS:                 sam build && sam deploy --guided"""


def make(folder: Path, stack: str, *, say: Callable[[str], object], ask: Callable[[str], str] | None) -> None:
    """Set up a folder, and say what was written.

    Args:
        folder: made if need be.
        stack: the stack's name; empty for one made of the folder's.
        say: prints a line.
        ask: asks a person for the name, given a default; None where nobody is to be asked.

    Raises:
        LocalStackError: as `plan` and `Plan.write`.
    """
    default = stack_name(folder)
    planned = plan(folder, stack or (ask(default) if ask else default))
    planned.write()
    for name in planned.new:
        say(f"wrote {folder / name}")
    for name in planned.kept:
        say(f"kept  {folder / name}")
    if "requirements.txt" in planned.kept:
        say("      see that requirements.txt names sidelamb and aws-lambda-powertools")
    say(NEXT)


def renew(folder: Path, *, say: Callable[[str], object], agreed: Callable[[], bool]) -> None:
    """Renew a folder's template: show what changes, and write it if that is agreed to.

    Raises:
        LocalStackError: as `upgrade`.
    """
    new, diff = upgrade(folder)
    if not diff:
        say(f"{folder / TEMPLATE} is up to date")
        return
    say(diff)
    if not agreed():
        say(f"{folder / TEMPLATE} was not changed; --yes writes it")
        return
    (folder / TEMPLATE).write_text(new)
    say(f"wrote {folder / TEMPLATE}")


def plan(folder: Path, stack: str) -> Plan:
    """Return what `init` would write into `folder`, for a stack of this name.

    Raises:
        LocalStackError: the folder is set up already, or the name cannot be.
    """
    _check(stack)
    texts = files(stack)
    there = [name for name in texts if (folder / name).exists()]
    taken = [name for name in (TEMPLATE, "template.yml", SAMCONFIG) if (folder / name).exists()]
    if taken:
        raise LocalStackError(
            f"{folder} has {' and '.join(taken)} already, so nothing was written; "
            "`sidelamb init --upgrade` renews template.yaml, and another folder takes a new app"
        )
    return Plan(folder, {name: text for name, text in texts.items() if name not in there}, tuple(there))


def upgrade(folder: Path) -> tuple[str, str]:
    """Return the template of this release with the folder's own sections in it, and the diff to what is there.

    Raises:
        LocalStackError: there is no template, or its sections cannot be kept.
    """
    path = folder / TEMPLATE
    try:
        old = path.read_text()
    except OSError as error:
        raise LocalStackError(f"{path}: {error.strerror}; `sidelamb init` writes one") from error
    new = renewed(old, template(), str(path))
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"{TEMPLATE} (yours)", f"{TEMPLATE} (new)"
    )
    return new, "".join(lines)


def stack_name(folder: Path) -> str:
    """Return a stack's name made of a folder's."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", folder.resolve().name).strip("-").lower()
    return (words if words[:1].isalpha() else f"app-{words}".strip("-"))[:_LONGEST].rstrip("-")


def _check(stack: str) -> None:
    if not _STACK.match(stack) or len(stack) > _LONGEST:
        raise LocalStackError(
            f"{stack!r} is no name for a stack; use up to {_LONGEST} letters, digits and hyphens, a letter first"
        )
