"""Where an app's local Redis is: remembered in its `.sidelamb` folder.

So a Redis of our own comes back at the same address, which a shell or an editor may have been told, and the other
commands find the Redis of `sidelamb dev` by themselves.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sidelamb_local.project import DATA_DIR
from sidelamb_local.redis_server import HOST

if TYPE_CHECKING:
    from pathlib import Path

FILE = "redis.url"


def remember(data_dir: Path, url: str) -> None:
    """Write the address down, for nobody but the owner: it may hold a password."""
    path = data_dir / FILE
    path.touch(mode=0o600)
    path.write_text(f"{url}\n")


def remembered(app_dir: Path) -> str | None:
    """The address that `remember` wrote for the app in this folder, if it did."""
    return _read(app_dir / DATA_DIR)


def free_port_of(data_dir: Path) -> int | None:
    """The port of the Redis that this folder had on this machine, if nobody has taken it since."""
    url = _read(data_dir)
    parts = urlsplit(url) if url else None
    if parts is None or parts.hostname != HOST or parts.port is None:
        return None
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, parts.port))
        except OSError:
            return None
    return parts.port


def _read(data_dir: Path) -> str | None:
    try:
        return (data_dir / FILE).read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None
