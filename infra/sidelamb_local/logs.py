"""One sandbox's log: what its processes print, and the platform's own lines between.

Reads the pipe that is stdout and stderr of the sandbox, cuts it into lines, and keeps the last 4 KB since the
invocation before for `LogType=Tail`. A handler's line is always seen before its invocation's END: the pipe is
emptied when the answer arrives. Carriage returns, with which the runtime client joins the lines of a
traceback, become line ends.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TAIL_BYTES = 4096
READ_BYTES = 65_536
# A pipe holds 64 KB (up to 1 MB where somebody raised that).
DRAIN_READS = 16
# A "line" longer than this is passed on in pieces rather than held.
LINE_BYTES = 262_144


class LogStream:
    """The log of one sandbox."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        """`emit` is called with each line, without its end."""
        self._emit = emit
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._partial = b""
        self._tail = bytearray()
        self._open = True
        asyncio.get_running_loop().add_reader(self._read_fd, self._readable)

    def started(self) -> None:
        """The process has its copy of the writing end; ours would keep the pipe open."""
        os.close(self.write_fd)
        self.write_fd = -1

    def platform(self, line: str) -> None:
        """A line of the platform's own."""
        self._line(line.encode())

    def drain(self) -> None:
        """Take what is in the pipe now, and no more, even if somebody keeps on printing."""
        for _ in range(DRAIN_READS):
            if not self._open or not self._readable():
                return

    def take_tail(self) -> bytes:
        """The last 4 KB since the last call."""
        tail = bytes(self._tail[-TAIL_BYTES:])
        self._tail.clear()
        return tail

    def close(self) -> None:
        """Read what is left and let go of the pipe, even if a stray process still holds it."""
        self.drain()
        self._flush()
        self._shut()

    def _readable(self) -> bool:
        try:
            data = os.read(self._read_fd, READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._flush()
            self._shut()
            return False
        self._feed(data)
        return True

    def _feed(self, data: bytes) -> None:
        text = (self._partial + data).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, self._partial = text.split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._partial) > LINE_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._partial:
            line, self._partial = self._partial, b""
            self._line(line)

    def _line(self, line: bytes) -> None:
        self._tail += line + b"\n"
        if len(self._tail) > READ_BYTES:
            del self._tail[:-TAIL_BYTES]
        # The runtime client indents tracebacks with no-break spaces.
        self._emit(line.decode(errors="replace").replace("\u00a0", " "))

    def _shut(self) -> None:
        if self._open:
            self._open = False
            asyncio.get_running_loop().remove_reader(self._read_fd)
            os.close(self._read_fd)
            if self.write_fd >= 0:
                self.started()
