"""`sidelamb web`: the web page alone, on uvicorn.

On loopback it is open to whoever is on this machine. On any other address it does not start without a credential:
`SIDELAMB_WEB_CREDENTIAL=name:password`, which is no option of the command, so that no list of processes shows it.
The page of a stack on AWS it shows through a proxy that signs, on loopback and nowhere else.
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
    from starlette.types import ASGIApp

    from sidelamb import Client
    from sidelamb_handlers.web import Auth

__all__ = ["CREDENTIAL", "PORT", "Background", "is_loopback", "run_proxy", "run_web", "server_for"]

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


def run_proxy(url: str, *, profile: str, host: str, port: int | None, say: Callable[[str], None]) -> None:
    """Serve the page of a stack on AWS until Ctrl-C, signing for whoever is on this machine.

    Args:
        url: of the page's function.
        profile: whose keys sign; empty for those that are meant here.
        host: address of loopback to listen on.
        port: as `run_web`.
        say: is told the address here.

    Raises:
        LocalStackError: the URL is none, there are no keys, they may not open the page, or it does not answer; the
            address is not this machine's alone, or the port is taken.
        ConfigError: the credential is none.
    """
    from sidelamb_local.profile import credentials_of  # noqa: PLC0415 - an extra brings it
    from sidelamb_local.signing_proxy import FunctionUrl, SigningProxy  # noqa: PLC0415 - the same

    if not is_loopback(host):
        raise LocalStackError(f"--url signs with your keys for whoever reaches {host}: listen on 127.0.0.1")
    proxy = SigningProxy(FunctionUrl.read(url), credentials_of(profile), profile=profile, auth=_auth())
    proxy.check()
    bound = _bound(host, port)
    say(f"http://{_shown(host)}:{bound.getsockname()[1]}/")
    with bound:
        _server(proxy.app).run(sockets=[bound])


def server_for(
    client: Client, *, host: str, port: int | None, read_only: bool = False
) -> tuple[uvicorn.Server, socket.socket]:
    """Return a server for the page, and the socket it is to listen on. Args and raises as `run_web`."""
    from sidelamb_handlers.web import web  # noqa: PLC0415 - an extra brings it

    if not os.environ.get(CREDENTIAL) and not is_loopback(host):
        raise LocalStackError(
            f"{host} can be reached from elsewhere, and whoever reaches the page can run jobs: set {CREDENTIAL}="
            "name:password, or listen on 127.0.0.1"
        )
    server = _server(web(client, auth=_auth(), read_only=read_only))
    return server, _bound(host, port)


def _auth() -> Auth:
    from sidelamb_handlers.web import anyone, by_password  # noqa: PLC0415 - an extra brings it

    credential = os.environ.get(CREDENTIAL, "")
    return by_password(credential) if credential else anyone


def _server(app: ASGIApp) -> uvicorn.Server:
    import uvicorn  # noqa: PLC0415 - an extra brings it

    config = uvicorn.Config(
        app, log_level="warning", lifespan="off", ws="none", server_header=False, timeout_graceful_shutdown=2
    )
    return uvicorn.Server(config)


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
