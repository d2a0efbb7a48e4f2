"""Five faults that can be put into the code, to see that the fires find them.

Loaded by the processes of the system under fire, before anything else: plain, and no imports at the top but the
standard library's.
"""

from __future__ import annotations

import hashlib
from typing import Any

SCRIPTS = {
    "settle without check": ("settle", "    if value then\n", "    if value or ARGV[i + 4] ~= '' then\n"),
    "release twice": (
        "release",
        "for list, payloads in pairs(pushes) do ",
        "for list, payloads in pairs(pushes) do call_in_chunks('RPUSH', KEYS[list], payloads, 1, #payloads) ",
    ),
    "no claim": ("claim", "if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end", "do return 1 end"),
}
"""Script, and what is replaced in its text."""

EARLY_S = 60.0


def put_in(mutant: str) -> None:
    """Change the code of this process."""
    if mutant in SCRIPTS:
        _change_script(*SCRIPTS[mutant])
    elif mutant == "reap early":
        _reap_early()


def _change_script(name: str, old: str, new: str) -> None:
    from sidelamb import scripts

    load = scripts.load

    def changed(script: str) -> scripts.Script:
        made = load(script)
        if script != name:
            return made
        text = made.text.decode()
        if old not in text:
            raise AssertionError("the code has changed, and the mutant must too")
        raw = text.replace(old, new).encode()
        return scripts.Script(script, raw, hashlib.sha1(raw, usedforsecurity=False).hexdigest().encode())

    scripts.load = changed  # type: ignore[assignment]


def _reap_early() -> None:
    from sidelamb.store import Store

    overdue, reap = Store.overdue, Store.reap

    def early_overdue(self: Store, now: float, *args: Any, **options: Any) -> Any:
        return overdue(self, now + EARLY_S, *args, **options)

    def early_reap(self: Store, *args: Any, now: float, **options: Any) -> Any:
        return reap(self, *args, now=now + EARLY_S, **options)

    Store.overdue, Store.reap = early_overdue, early_reap  # type: ignore[method-assign]
