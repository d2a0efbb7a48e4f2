"""What a page is: where, what it shows, what it does. Each file in `pages/` declares its own, in `PAGES`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from starlette.responses import RedirectResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

    from sidelamb import Client
    from sidelamb_handlers.web.access import Visitor
    from sidelamb_handlers.web.form import Form
    from sidelamb_handlers.web.render import Looks

__all__ = ["Done", "Page", "Visit", "paged"]


@dataclass(frozen=True, slots=True)
class Done:
    """An action that was taken."""

    action: str
    """A verb, as in `retry`."""
    what: str
    """To what: a job's id, a queue, a process."""
    count: int
    """To how many; 0: it was not there any more."""
    then: Response
    """What the browser gets."""
    more: dict[str, Any] = field(default_factory=dict)
    """For the audit."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request to a page, by somebody who may see it."""

    request: Request
    client: Client
    visitor: Visitor
    may_act: bool
    said: Form
    """What the address says, or the form."""
    token: str
    looks: Looks

    @property
    def base(self) -> str:
        """Where the app is mounted, without a slash at its end."""
        return quote(str(self.request.scope.get("root_path", "")))

    @property
    def path(self) -> str:
        """Which page of the app was asked for."""
        scope = self.request.scope
        return str(scope["path"]).removeprefix(str(scope.get("root_path", ""))) or "/"

    @property
    def now(self) -> dt.datetime:
        """The client's clock."""
        return dt.datetime.fromtimestamp(self.client.now(), dt.UTC)

    def url(self, path: str, **query: Any) -> str:
        """Return the address of a page; what is empty is left out."""
        kept = [(k, v) for k, v in query.items() if v not in {"", None}]
        text = urlencode(kept, errors="replace")
        return f"{self.base}{path}" + (f"?{text}" if text else "")

    def to(self, path: str, **query: Any) -> Response:
        """Send the browser to a page."""
        return RedirectResponse(self.url(path, **query), 303)

    async def page(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """Return a page made of a template."""
        return await self.looks.page(self, template, status=status, **context)


def paged(number: int, count: int, size: int) -> tuple[int, int]:
    """Return which page is meant, the last if there are not so many, and how many there are: 1 at least."""
    pages = max(0, count - 1) // size + 1
    return min(number, pages - 1), pages


Show = Callable[[Visit], Awaitable[Response]]
Act = Callable[[Visit], Awaitable[Done]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page."""

    path: str
    show: Show | None = None
    act: Act | None = None
    title: str = ""
    """In the navigation; empty: it is not there."""
    place: int = 1_000
    """Its place in the navigation."""
    badge: str = ""
    """Which number of `Summary` stands beside it."""
    key: str = ""
    """The key that leads there, after a `g`."""
    is_for_all: bool = False
    """Whether its act is open to who may only see: it changes nothing but what they see."""
