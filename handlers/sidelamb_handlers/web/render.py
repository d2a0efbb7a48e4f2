"""How pages become HTML: Jinja, with everything escaped, and what all pages have in common."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from starlette.responses import HTMLResponse

from sidelamb.api import Stats
from sidelamb.errors import RedisError
from sidelamb_handlers.web import words
from sidelamb_handlers.web.logs import lines_of
from sidelamb_handlers.web.queue_names import spoken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response

    from sidelamb_handlers.web.page import Page, Visit

__all__ = ["STATIC", "Looks"]

HERE = Path(__file__).parent
STATIC = HERE / "static"
THEMES = ("auto", "light", "dark")
COOKIE = "sidelamb_theme"


class Looks:
    """The templates, and what stands around each page.

    Args:
        pages: of which the navigation is made.
        title: in the corner.
    """

    def __init__(self, pages: Sequence[Page], title: str) -> None:
        self._nav = sorted((page for page in pages if page.title), key=lambda page: page.place)
        self._title = title
        self._version = _version()
        loader = jinja2.FileSystemLoader(HERE / "templates")
        self._jinja = jinja2.Environment(
            loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
        )
        self._jinja.filters.update(words.FILTERS, spoken=spoken)
        self._jinja.globals.update(many=words.many, lines_of=lines_of)

    async def page(self, visit: Visit, template: str, *, status: int, **context: Any) -> Response:
        """Return a page."""
        theme = visit.request.cookies.get(COOKIE, "auto")
        summary = context.pop("summary", None) or await _summary(visit)
        text = self._jinja.get_template(template).render(
            visit=visit,
            base=visit.base,
            url=visit.url,
            ago=lambda at: words.ago(at, visit.now),
            nav=self._nav,
            site=self._title,
            theme=theme if theme in THEMES else "auto",
            version=self._version,
            summary=summary,
            may_act=visit.may_act,
            token=visit.token,
            here=visit.path,
            **context,
        )
        return HTMLResponse(text.encode(errors="replace"), status)


async def _summary(visit: Visit) -> Any:
    try:
        return await Stats(visit.client).asummary()
    except RedisError:
        return None


def _version() -> str:
    """Return a text that changes when an asset does, so that browsers may keep them for ever."""
    digest = hashlib.sha256()
    for file in sorted(STATIC.rglob("*")):
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()[:10]
