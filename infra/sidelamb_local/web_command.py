"""`sidelamb web`: the web page alone, on uvicorn.

On loopback it is open to whoever is on this machine. On any other address it does not start without a credential:
`SIDELAMB_WEB_CREDENTIAL=name:password`, which is no option of the command, so that no list of processes shows it.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING

from sidelamb_local.errors import LocalStackError

if TYPE_CHECKING:
    from collections.abc import Callable

    import uvicorn

    from sidelamb import Client

__all__ = ["CREDENTIAL", "PORT", "Background", "is_loopback", "run_web", "server_for", "use_profile"]

CREDENTIAL = "SIDELAMB_WEB_CREDENTIAL"
PORT = 8321
TRIED = 20
"""Ports after the usual one, where that is taken."""


def is_loopback(host: str) -> bool:
    """Say whether an address is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def run_web(client: Client, *, host: str, port: int | None, read_only: bool, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C.

    Args:
        client: whose Redis and namespace.
        host: address to listen on.
        port: 0 takes a free one; None 8321, or the next that is free.
        read_only: nobody may act.
        say: is told the page's address.

    Raises:
        LocalStackError: the address is not this machine's alone and there is no credential, or the port is taken.
        ConfigError: the credential is none.
    """
    _audit_aloud()
    server, bound = server_for(client, host=host, port=port, read_only=read_only)
    say(f"http://{_shown(host)}:{bound.getsockname()[1]}/")
    with bound:
        server.run(sockets=[bound])


def server_for(
    client: Client, *, host: str, port: int | None, read_only: bool = False
) -> tuple[uvicorn.Server, socket.socket]:
    """Return a server for the page, and the socket it is to listen on. Args and raises as `run_web`."""
    import uvicorn  # noqa: PLC0415 - an extra brings it

    from sidelamb_handlers.web import anyone, by_password, web  # noqa: PLC0415 - the same

    credential = os.environ.get(CREDENTIAL, "")
    if not credential and not is_loopback(host):
        raise LocalStackError(
            f"{host} can be reached from elsewhere, and whoever reaches the page can run jobs: set {CREDENTIAL}="
            "name:password, or listen on 127.0.0.1"
        )
    app = web(client, auth=by_password(credential) if credential else anyone, read_only=read_only)
    bound = _bound(host, port)
    config = uvicorn.Config(
        app, log_level="warning", lifespan="off", ws="none", server_header=False, timeout_graceful_shutdown=2
    )
    return uvicorn.Server(config), bound


def use_profile(name: str) -> None:
    """Have a Redis that checks IAM see the keys of an AWS profile, for as long as they are valid.

    Raises:
        LocalStackError: there is no such profile, or it has no keys.
    """
    import boto3  # noqa: PLC0415 - only with a profile
    import botocore.exceptions  # noqa: PLC0415

    try:
        session = boto3.Session(profile_name=name)
        found = session.get_credentials()
        keys = found.get_frozen_credentials() if found else None
    except botocore.exceptions.BotoCoreError as error:
        raise LocalStackError(f"--profile {name}: {error}") from None
    if keys is None:
        raise LocalStackError(f"--profile {name}: it has no keys; try `aws sso login --profile {name}`")
    values = {
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_SESSION_TOKEN": keys.token,
        "AWS_REGION": session.region_name,
    }
    os.environ.update({field: value for field, value in values.items() if value})


class Background:
    """The page beside something else in this process, on a thread.

    Args:
        client: whose Redis and namespace.
        port: as `run_web`.
    """

    def __init__(self, client: Client, port: int | None = None) -> None:
        self._server, self._socket = server_for(client, host="127.0.0.1", port=port)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="web", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.should_exit = True
        self._thread.join(5)
        self._socket.close()


def _bound(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in [port] if port is not None else [*range(PORT, PORT + TRIED), 0]:
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, number))
            bound.listen(128)
        except OSError as error:
            bound.close()
            if port is None and error.errno == errno.EADDRINUSE:
                continue
            raise LocalStackError(f"cannot listen on {host}:{number}: {error.strerror}") from None
        return bound
    raise LocalStackError(f"no port is free on {host}")


def _audit_aloud() -> None:
    """Have the lines of the audit written to stderr."""
    logger = logging.getLogger("sidelamb.web.audit")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
