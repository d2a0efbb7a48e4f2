"""The web page: what waits, runs, failed and died, for people, and their hands on it.

    app.mount("/jobs", web(auth=who))

An ASGI app on Starlette and Jinja2 (the extra `web`). It reads and acts through `sidelamb.api` alone, keeps
nothing of its own, and is imported by nothing else here.
"""

from __future__ import annotations

from sidelamb_handlers.web.access import Auth, Visitor, anyone, by_password
from sidelamb_handlers.web.app import web

__all__ = ["Auth", "Visitor", "anyone", "by_password", "web"]
