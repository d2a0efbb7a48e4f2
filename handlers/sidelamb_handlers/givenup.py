"""What is said of a job whose end is not written down whole, because another program uses a key of its features.

The job's own outcome is settled: it has run, and must not run again for that. What its features would have done is
not, and nobody does it later; so a person has to know.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sidelamb.store import GivenUp

__all__ = ["tell"]

_BATCH = re.compile(r"sidelamb:batch:([^\s:]+)")
_LEFT = {
    "batch": "its batch does not know that it has ended, and its callbacks may never come",
    "unlock": "its lock, if it is one, ends with its own time",
    "free": "its slot, if it had one, ends with its lease's deadline",
    "status": "its status is not kept",
    "result": "its result is not kept",
    "note": "its record is not kept",
    "next": "the next step is in dead: retry it from there",
}


def tell(
    say: Callable[..., object], lease: str, given_up: Sequence[GivenUp], names: Mapping[str, str] | None = None
) -> None:
    """Say of each part what was given up, and what to do.

    Args:
        say: takes a format and its arguments, as a logger's `error` does.
        lease: whose jobs these were.
        given_up: what Redis told of them.
        names: what a job is called by its field, where that is known.
    """
    for field, verb, why in given_up:
        name = (names or {}).get(field, field)
        say(
            "the end of job %s of lease %s is not written down whole: %s; %s. Delete that key, and give the other "
            "program a database or a namespace of its own%s",
            name,
            lease,
            why.removeprefix("WRONGTYPE "),
            _LEFT.get(verb, "that part of its end is not written down"),
            _look(verb, why),
        )


def _look(verb: str, why: str) -> str:
    """Return where to look what became of its batch, or nothing."""
    found: Any = _BATCH.search(why) if verb == "batch" else None
    return f"; then see `sidelamb batches show {found[1]}`" if found else ""
