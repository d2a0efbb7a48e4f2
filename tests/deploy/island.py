"""A network of a test's own: loopback and the address where ECS hands out credentials, and nothing else.

There is no resolver and no way out, so whatever runs in it runs without a package index. Needs root, as CI is.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CLONE_NEWNET = 0x40000000
ECS_ADDRESS = "169.254.170.2"

_libc = ctypes.CDLL(None, use_errno=True)


def possible() -> bool:
    """Return whether this machine lets us make one."""
    return os.geteuid() == 0 and not subprocess.run(["unshare", "-n", "true"], check=False).returncode


@contextlib.contextmanager
def island() -> Iterator[None]:
    """Move this thread into a new network; sockets and processes that it makes are there, and stay there."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _check(_libc.unshare(CLONE_NEWNET))
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            subprocess.run(["ip", "address", "add", f"{ECS_ADDRESS}/32", "dev", "lo"], check=True)
            yield
        finally:
            _check(_libc.setns(before, CLONE_NEWNET))
    finally:
        os.close(before)


def _check(code: int) -> None:
    if code:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
