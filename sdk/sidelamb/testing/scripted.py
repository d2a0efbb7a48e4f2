"""A job that does what it is told: `SIDELAMB_JOBS=app.jobs,sidelamb.testing.scripted`.

To see what one's own deployment, alarms and pages make of each ending that a job can have.

    scripted.enqueue("fail")
    scripted.enqueue("sleep", 120)
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Literal

from sidelamb.control import Discard, Kill, Retry, Snooze
from sidelamb.job import job

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Deed", "scripted"]

Deed = Literal["succeed", "fail", "retry", "snooze", "discard", "kill", "exit", "sleep", "eat", "return"]

_MEGABYTE = 1024 * 1024


@job(name="sidelamb.testing.scripted", max_retries=3)
def scripted(deed: Deed, amount: float = 0) -> Any:
    """Do one thing.

    Args:
        deed: `succeed`, `fail` (raise), `retry`, `snooze` (in `amount` seconds), `discard`, `kill` (to dead),
            `exit` (end the process with code `amount`), `sleep` (`amount` seconds, beyond the timeout say), `eat`
            (`amount` MB of memory), `return` (a text of `amount` MB).
        amount: see there.
    """
    word = _WORDS.get(deed)
    if word is not None:
        raise word(amount)
    act = _ACTS.get(deed)
    if act is None:
        raise ValueError(f"scripted knows no deed {deed!r}")
    return act(amount)


_WORDS: dict[str, Callable[[float], Exception]] = {
    "fail": lambda _: RuntimeError("told to fail"),
    "retry": lambda amount: Retry("told to retry", in_=amount),
    "snooze": lambda amount: Snooze(amount, "told to snooze"),
    "discard": lambda _: Discard("told to be discarded"),
    "kill": lambda _: Kill("told to die"),
}
_ACTS: dict[str, Callable[[float], Any]] = {
    "succeed": lambda _: None,
    "exit": lambda amount: os._exit(int(amount)),
    "sleep": time.sleep,
    "eat": lambda amount: len([bytearray(_MEGABYTE) for _ in range(int(amount))]),
    "return": lambda amount: "x" * int(amount * _MEGABYTE),
}
