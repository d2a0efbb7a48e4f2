"""`sidelamb init`: makes a folder an app that `sam build && sam deploy --guided` puts on AWS.

It writes files and nothing else, never over one that is there. `--upgrade` renews what belongs to the release,
the template and the rules of its build: the sections that are marked as the user's stay, and what would change is
shown before it is written.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidelamb_local.errors import LocalStackError
from sidelamb_local.marked import renewed
from sidelamb_local.scaffold import MAKEFILE, RULES, SAMCONFIG, TEMPLATE, files, rules, template

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


KEPT = {
    "requirements.txt": "see that it names sidelamb and aws-lambda-powertools",
    MAKEFILE: f"add the line `include {RULES}` to it: `sam build` makes the functions' bundles by these rules",
}
"""What a file must have that was there already."""

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
        say(f"kept  {folder / name}" + (f": {KEPT[name]}" if name in KEPT else ""))
    say(NEXT)


def renew(folder: Path, *, say: Callable[[str], object], agreed: Callable[[], bool]) -> None:
    """Renew what belongs to the release: show what changes, and write it if that is agreed to.

    Raises:
        LocalStackError: as `upgrade`.
    """
    new = upgrade(folder)
    for name, (_, diff) in new.items():
        say(diff or f"{folder / name} is up to date")
    changed = {name: text for name, (text, diff) in new.items() if diff}
    if not changed:
        return
    if not agreed():
        say("nothing was changed; --yes writes it")
        return
    for name, text in changed.items():
        (folder / name).write_text(text)
        say(f"wrote {folder / name}")


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


def upgrade(folder: Path) -> dict[str, tuple[str, str]]:
    """Return each file of this release by name: its text, with the folder's own sections, and the diff to now.

    Raises:
        LocalStackError: there is no template, or its sections cannot be kept.
    """
    path = folder / TEMPLATE
    try:
        old = path.read_text()
    except OSError as error:
        raise LocalStackError(f"{path}: {error.strerror}; `sidelamb init` writes one") from error
    build = (folder / RULES).read_text() if (folder / RULES).exists() else ""
    return {
        TEMPLATE: _compared(TEMPLATE, old, renewed(old, template(), str(path))),
        RULES: _compared(RULES, build, rules()),
    }


def _compared(name: str, old: str, new: str) -> tuple[str, str]:
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"{name} (yours)", f"{name} (new)"
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
