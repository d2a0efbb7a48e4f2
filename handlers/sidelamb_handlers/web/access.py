"""Who may see, and who may act.

One callable decides both: it is given the request, and returns a `Visitor`, None for nobody, or a response of its
own, like the way to a login.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response

from sidelamb.errors import ConfigError

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["Auth", "Visitor", "anyone", "by_password"]

LEAST_PASSWORD = 12
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person who may see the pages.

    Attributes:
        name: as the audit's lines have it.
        may_act: whether they may change anything.
    """

    name: str
    may_act: bool = True


Answer = Visitor | Response | None
Auth = Callable[["Request"], Answer | Awaitable[Answer]]


def anyone(request: Request) -> Answer:
    """Let in whoever asks for this machine by a name that is its own, for a page on loopback.

    A page of another site whose name was made to lead here asks by that name, and gets nothing.
    """
    host = (request.url.hostname or "").lower()
    if host in LOOPBACK:
        return Visitor("local")
    return PlainTextResponse(f"this page answers on {', '.join(sorted(LOOPBACK))} only", 421)


def by_password(credential: str) -> Auth:
    """Return what lets in who knows a name and a password, by the browser's own question for them.

    Args:
        credential: `name:password`; the password of 12 characters at least.

    Raises:
        ConfigError: it is none.
    """
    name, colon, password = credential.partition(":")
    if not colon or not name or len(password) < LEAST_PASSWORD:
        raise ConfigError(
            f"the web page's credential must be name:password, the password {LEAST_PASSWORD} characters at least"
        )

    def auth(request: Request) -> Answer:
        said = _said(request.headers.get("authorization", ""))
        if hmac.compare_digest(said.encode(), credential.encode()):
            return Visitor(name)
        ask = {"WWW-Authenticate": 'Basic realm="Sidelamb", charset="UTF-8"'}
        return PlainTextResponse("name and password, please", 401, ask)

    return auth


def _said(header: str) -> str:
    """Return what a browser was told, or nothing."""
    scheme, _, coded = header.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(coded, validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return ""
