"""Code reload: notices that a Python file, the template or `sidelamb.toml` changed.

Looks at modification times twice a second. It needs no watcher library and no limits raised, and misses no
editor's way of saving. Folders that hold no code of the developer's own (hidden ones, virtual environments,
caches) are skipped.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from pathlib import Path

LOOK_S = 0.5
SETTINGS = "sidelamb.toml"
"""What is periodic there is read by a sandbox."""
SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "env"})


async def changes(file: Path, folders: Callable[[], Iterable[Path]]) -> AsyncIterator[set[str]]:
    """Yield, for ever, the paths that changed, appeared or went since the last look (never an empty set).

    Args:
        file: Watched too: the template.
        folders: The code folders, asked anew at each look.
    """
    before = await asyncio.to_thread(snapshot, file, folders())
    while True:
        await asyncio.sleep(LOOK_S)
        now = await asyncio.to_thread(snapshot, file, folders())
        if changed := {path for path, _ in before.items() ^ now.items()}:
            yield changed
        before = now


def snapshot(file: Path, folders: Iterable[Path]) -> dict[str, int]:
    """Modification time (ns) of the file, and in the folders of every Python file and the settings."""
    asked = list(folders)
    paths = {os.fspath(file)}.union(*(python_files(os.fspath(folder)) for folder in asked))
    paths.update(os.fspath(folder / SETTINGS) for folder in asked)
    return {path: modified for path in paths if (modified := _modified(path))}


def python_files(folder: str) -> Iterator[str]:
    """Every `*.py` below a folder, without the folders that are skipped."""
    for parent, children, names in os.walk(folder):
        children[:] = [name for name in children if name not in SKIPPED and not name.startswith(".")]
        yield from (os.path.join(parent, name) for name in names if name.endswith(".py"))  # noqa: PTH118 - twice as fast


def _modified(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - as above
    except OSError:
        return 0
