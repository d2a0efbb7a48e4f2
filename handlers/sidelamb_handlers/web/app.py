"""The app: who asks is asked for first, then pages show and act, and every answer is fenced in.

What a browser may load is this app's own files and nothing else; nothing is inline. Whatever goes wrong with Redis
or with what was asked is a page that says so.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from sidelamb.errors import ConfigError, RedisError, SidelambError
from sidelamb.settings import default_client
from sidelamb_handlers.web import audit, forgery, pages
from sidelamb_handlers.web.access import Visitor
from sidelamb_handlers.web.form import MOST_BYTES, Form, TooLarge
from sidelamb_handlers.web.page import Page, Visit
from sidelamb_handlers.web.render import STATIC, Looks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from sidelamb import Client
    from sidelamb_handlers.web.access import Auth

__all__ = ["web"]

FENCE = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def web(
    client: Client | None = None, *, auth: Auth | None = None, read_only: bool = False, title: str = "Sidelamb"
) -> ASGIApp:
    """Return the web page as an ASGI app, to be mounted under any path.

    Args:
        client: whose Redis and namespace; default the process's own client.
        auth: is given each request and returns a `Visitor`, None for nobody, or a response of its own (a way to
            the login, say); may be async. Needed: `anyone` is for a page on loopback.
        read_only: nobody may act, whoever they are.
        title: in the page's corner.

    Raises:
        ConfigError: nobody decides who may see it.
    """
    if auth is None:
        raise ConfigError(
            "web() needs auth=…, a callable that is given the request and returns a Visitor or None; whoever sees "
            "the page sees arguments, and whoever acts can run jobs. On loopback auth=anyone will do"
        )
    site = _Site(client, auth, title, read_only=read_only)
    routes: list[Route | Mount] = [Mount("/static", _Assets(directory=STATIC), name="static")]
    routes.append(Route("/favicon.ico", _icon))  # asked for by browsers beside what a page names
    for page in site.pages:
        methods = (["GET"] if page.show else []) + (["POST"] if page.act else [])
        routes.append(Route(page.path, site.endpoint(page), methods=methods))
    app = Starlette(routes=routes, exception_handlers={HTTPException: site.refuse})
    return _Fenced(app)


class _Site:
    """What all pages share."""

    def __init__(self, client: Client | None, auth: Auth, title: str, *, read_only: bool) -> None:
        self._client, self._auth, self._read_only = client, auth, read_only
        self.pages: list[Page] = []
        for module in pkgutil.iter_modules(pages.__path__):
            self.pages += importlib.import_module(f"{pages.__name__}.{module.name}").PAGES
        self._looks = Looks(self.pages, title)

    def endpoint(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        """Return what answers for a page."""

        async def answer(request: Request) -> Response:
            who = await self._who(request)
            if isinstance(who, Response):
                return who
            visit = await self._visit(request, who)
            try:
                response = await self._answer(page, visit)
            except RedisError as error:
                response = await _trouble(visit, 503, "Redis could not do it", str(error))
            except SidelambError as error:
                response = await _trouble(visit, 400, "That cannot be done", str(error))
            except HTTPException as error:
                response = await _trouble(visit, error.status_code, error.detail, "")
            forgery.give(request, response, visit.token)
            return response

        return answer

    async def refuse(self, request: Request, error: Exception) -> Response:
        """Answer for what is no page, to who may see pages."""
        status, what, headers = 500, "It went wrong", None
        if isinstance(error, HTTPException):
            status, what, headers = error.status_code, error.detail, error.headers
        if status == 404:  # noqa: PLR2004
            what = "There is no such page"
        who = await self._who(request)
        if isinstance(who, Response):
            return who
        response = await _trouble(await self._visit(request, who, read=False), status, what, "")
        response.headers.update(headers or {})
        return response

    async def _who(self, request: Request) -> Visitor | Response:
        found = self._auth(request)
        who = await found if inspect.isawaitable(found) else found
        if isinstance(who, Visitor | Response):
            return who
        return PlainTextResponse("this page is not for you", 403)

    async def _visit(self, request: Request, who: Visitor, *, read: bool = True) -> Visit:
        said = Form(request.query_params.multi_items())
        if request.method == "POST" and read:
            try:
                said = Form.read(await _body(request))
            except TooLarge:
                raise HTTPException(413, "The form is too large") from None
        may_act = who.may_act and not self._read_only
        client = self._client or default_client()
        return Visit(request, client, who, may_act, said, forgery.token_of(request), self._looks)

    async def _answer(self, page: Page, visit: Visit) -> Response:
        if visit.request.method != "POST":
            if page.show is None:
                raise HTTPException(405, "That is done by a form")
            return await page.show(visit)
        if page.act is None:
            raise HTTPException(405, "Nothing can be done here")
        if not forgery.is_ours(visit.request, visit.said(forgery.FIELD)):
            raise HTTPException(403, "The form is not from this page, or too old: load the page again")
        if page.is_for_all:
            return (await page.act(visit)).then
        if not visit.may_act:
            raise HTTPException(403, "You may look, and not act")
        done = await page.act(visit)
        audit.record(visit.request, visit.visitor.name, done)
        return done.then


async def _trouble(visit: Visit, status: int, what: str, why: str) -> Response:
    passes = status == 503 and visit.request.method != "POST"  # noqa: PLR2004 - then the page is looked at again
    return await visit.page("trouble.html", status=status, what=what, why=why, passes=passes)


def _tidied(scope: Scope) -> Scope:
    """Return a request whose `root_path` ends without a slash: its paths are then found behind it."""
    root = scope.get("root_path", "")
    if not root.endswith("/"):
        return scope
    bare, path = root.rstrip("/"), scope["path"]
    if path.startswith(root):
        path = f"{bare}/{path[len(root) :].lstrip('/')}"
    return {**scope, "root_path": bare, "path": path}


async def _body(request: Request) -> bytes:
    """Return a request's body.

    Raises:
        TooLarge: no form of ours has so many bytes.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise TooLarge
        parts.append(part)
    return b"".join(parts)


async def _icon(_: Request) -> Response:
    return FileResponse(STATIC / "icon.svg", headers={"cache-control": "public, max-age=86400"})


class _Assets(StaticFiles):
    """Files with a version in their address, which browsers keep."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response


class _Fenced:
    """Puts the headers of the fence onto every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def fenced(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in message["headers"]}
                fence = FENCE if b"cache-control" in names else {**FENCE, "cache-control": "no-store"}
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in fence.items())]
            await send(message)

        await self._app(_tidied(scope), receive, fenced)
