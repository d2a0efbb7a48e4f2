"""The least worker there is: `python pop.py URL FOLDER`, one blocking pop after the other, on a bare socket.

It marks each job as the real ones do. A value that begins with "s" is a stamp: its number, after that.
"""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "apps"))
from marks import Marks

COMMAND = b"*3\r\n$5\r\nBRPOP\r\n$13\r\nqueue:default\r\n$1\r\n0\r\n"


def main() -> None:
    """Serve until killed."""
    parts, marks = urlsplit(sys.argv[1]), Marks(sys.argv[2])
    redis = socket.create_connection((parts.hostname, parts.port))
    redis.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        redis.sendall(COMMAND)
        answer = redis.recv(65_536)
        while answer.count(b"\r\n") < 5:
            answer += redis.recv(65_536)
        value = answer.rsplit(b"\r\n", 2)[1]
        if value[:1] == b"s":
            marks.stamp(int(value[1:]), time.time())
            marks.ring()
        else:
            marks.done[int(value)] = 1


if __name__ == "__main__":
    main()
