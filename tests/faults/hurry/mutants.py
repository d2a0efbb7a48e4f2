"""Faults that can be put into the code, to see that the fires find them.

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
CARELESS = (
    ("settle", "if not is[2] and redis.call('SCARD', level.pending) == 0 then", "if false then"),
    ("settle", "redis.call('LPUSH', list, call[1] .. world.stamp)", "for _ = 1, 2 do %s end"),
    ("settle", "if redis.call('GET', e.keys[1]) ~= e.args[1] then return end", "do return end"),
    ("begin", "if redis.call('ZCARD', key) >= tonumber(e.args[4]) then", "if false then"),
    ("tick", "call_in_chunks('LPUSH', KEYS[5], history, 1, N)", "for _ = 1, 2 do %s end"),
)
"""One fault for each of the features, all at once: a batch never ends, its callback is pushed twice, a lock is
kept, a limit is none, a tick is noted twice. `%s` is what was there."""

EARLY_S = 60.0


def put_in(mutant: str) -> None:
    """Change the code of this process."""
    if mutant in SCRIPTS:
        _change_script(*SCRIPTS[mutant])
    elif mutant == "careless":
        for script, old, new in CARELESS:
            _change_script(script, old, new.replace("%s", old))
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
