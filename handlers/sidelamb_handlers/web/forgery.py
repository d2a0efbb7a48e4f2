"""Forms that only our own pages can send.

Each browser gets a random token in a cookie that scripts cannot read and other sites cannot send, and each form
repeats it; and what the browser itself says about where a form comes from must not speak against it.
"""

from __future__ import annotations

import hmac
import re
import secrets
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["FIELD", "give", "is_ours", "token_of"]

COOKIE = "sidelamb_token"
FIELD = "token"
_TOKEN = re.compile(r"[0-9a-f]{32}\Z")


def token_of(request: Request) -> str:
    """Return this browser's token; a new one if it has none."""
    token = request.cookies.get(COOKIE, "")
    return token if _TOKEN.match(token) else secrets.token_hex(16)


def give(request: Request, response: Response, token: str) -> None:
    """Have the browser keep its token."""
    if request.cookies.get(COOKIE) != token:
        path = quote(request.scope.get("root_path", "")) or "/"
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, token, path=path, secure=secure, httponly=True, samesite="strict")


def is_ours(request: Request, said: str) -> bool:
    """Say whether a form with token `said` is one of ours."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    if site is None and origin is not None and _host(origin) != request.headers.get("host", "").lower():
        return False
    token = request.cookies.get(COOKIE, "")
    return bool(_TOKEN.match(token)) and hmac.compare_digest(token.encode(), said.encode())


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
