"""The Lua scripts, one file a transition, each loaded when it is first needed.

A script's text is `_common.lua`, then the files it names in its first lines (`-- include NAME`), then itself; that
of one which says `-- include nothing` is itself alone: what it does not need is not built at each call. With
`_effects` come the effects of all features, `_effect_*.lua`. Its SHA-1 names it to Redis.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Script", "load"]

_FOLDER = Path(__file__).parent / "lua"
_INCLUDE = re.compile(r"^-- include (\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """A script as Redis knows it: its text, and the digest that stands for it."""

    name: str
    text: bytes
    sha: bytes


@functools.cache
def load(name: str) -> Script:
    """Return the script in `lua/<name>.lua`."""
    own = (_FOLDER / f"{name}.lua").read_text()
    parts = [(_FOLDER / f"{part}.lua").read_text() for part in _parts(own)]
    text = "\n".join([*parts, own]).encode()
    return Script(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


def _parts(own: str) -> list[str]:
    included = _INCLUDE.findall(own)
    if included == ["nothing"]:
        return []
    named = ["_common", *included]
    features = sorted(path.stem for path in _FOLDER.glob("_effect_*.lua")) if "_effects" in named else []
    return [part for name in named for part in ([name, *features] if name == "_effects" else [name])]
