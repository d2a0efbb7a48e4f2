"""A TCP way to Redis that a test can cut, silence, slow down, and mend."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Proxy"]


class Proxy:
    """Stands between a client and the server at `url`, on a port of its own that stays the same."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 6379)
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self._port = 0
        self._silent = False
        self._frozen: set[socket.socket] = set()
        self.delay_s = 0.0
        """Every reply comes so much later."""
        self.lose_replies = False
        """Commands get through; instead of its reply a client sees its connection end."""
        self.heard: Callable[[bytes], None] | None = None
        """Told of what clients send, as it arrives."""
        self.mend()
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def cut(self) -> None:
        """Kill every connection and refuse new ones."""
        with self._lock:
            listener, self._listener = self._listener, None
            sockets, self._sockets = self._sockets, set()
        if listener is not None:
            _end(listener)
        for each in sockets:
            _end(each)

    def hush(self) -> None:
        """Take connections and whatever is sent, and let nothing through, as a partition does."""
        self._silent = True

    def freeze(self) -> None:
        """Let nothing more through on the connections there are; new ones work: what a NAT or a thaw leaves."""
        with self._lock:
            self._frozen |= self._sockets

    def mend(self) -> None:
        """Work again; connections from before are gone."""
        self.cut()
        self._silent = False
        listener = socket.create_server(("127.0.0.1", self._port), backlog=128)
        self._port = listener.getsockname()[1]
        with self._lock:
            self._listener = listener
        self._start(self._accept, listener)

    def close(self) -> None:
        """End all threads."""
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._server)
            except OSError:
                near.close()
                continue
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                is_open = self._listener is listener
                if is_open:
                    self._sockets |= {near, far}
            if not is_open:
                _end(near)
                _end(far)
                return
            self._start(self._pump, near, far, False)
            self._start(self._pump, far, near, True)

    def _pump(self, source: socket.socket, target: socket.socket, is_reply: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if is_reply and self.delay_s:
                    time.sleep(self.delay_s)
                if is_reply and self.lose_replies:
                    break
                if not is_reply and (heard := self.heard):
                    heard(data)
                if not self._silent and source not in self._frozen:
                    target.sendall(data)
        _end(source)
        _end(target)


def _end(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
