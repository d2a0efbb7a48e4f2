"""What this is and what it runs on, with the warnings that a poller gives at its start; and the theme."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import TYPE_CHECKING

from sidelamb.api.steps import Steps, View, awaiting
from sidelamb_handlers.web.page import Done, Page
from sidelamb_handlers.web.render import COOKIE, THEMES

if TYPE_CHECKING:
    from starlette.responses import Response

    from sidelamb_handlers.web.page import Visit

YEAR_S = 365 * 86_400
FACTS = {
    "redis_version": "Version",
    "valkey_version": "Valkey",
    "redis_mode": "Mode",
    "uptime_in_days": "Up, days",
    "connected_clients": "Connections",
    "used_memory_human": "Memory in use",
    "used_memory_peak_human": "Memory at its peak",
    "maxmemory_human": "Most memory",
    "maxmemory_policy": "When full",
    "evicted_keys": "Keys thrown away",
    "aof_enabled": "Append-only file",
    "role": "Role",
}


class _Server(View):
    """Redis itself."""

    def _info(self) -> Steps[dict[str, str]]:
        """Return the fields of INFO."""
        raw = yield (b"INFO",)
        lines = raw.decode(errors="replace").splitlines() if isinstance(raw, bytes) else []
        return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))

    ainfo = awaiting(_info)


async def show(visit: Visit) -> Response:
    """Show it."""
    info = await _Server(visit.client).ainfo()
    versions = {"Sidelamb": importlib.metadata.version("sidelamb"), "Python": platform.python_version()}
    versions |= {name: importlib.metadata.version(name) for name in ("redis", "starlette", "jinja2")}
    return await visit.page(
        "about.html",
        redis=[(label, info[field]) for field, label in FACTS.items() if info.get(field)],
        versions=versions,
        warnings=_warnings(info),
        namespace=visit.client.store.keys.namespace,
        address=visit.client.link.address,
    )


def _warnings(info: dict[str, str]) -> list[str]:
    """Return what of a Redis would lose jobs."""
    found = []
    if (policy := info.get("maxmemory_policy", "noeviction")) != "noeviction":
        found.append(f"maxmemory-policy is {policy}: a full Redis would throw jobs away. Set it to noeviction")
    if int(info.get("evicted_keys", "0") or 0):
        found.append(f"{info['evicted_keys']} keys have been thrown away since this Redis started")
    if info.get("aof_enabled") == "0" and info.get("rdb_last_save_time") and info.get("role") == "master":
        found.append(
            "There is no append-only file: a Redis that restarts forgets what came after its last snapshot"
        )
    return found


async def set_theme(visit: Visit) -> Done:
    """Keep what a person wants to see: dark, light, or as their system is."""
    theme = visit.said("theme")
    where = visit.said("back")
    there = where if where.startswith("/") and not where.startswith(("//", "/\\")) else "/"
    response = visit.to(there)
    if theme in THEMES:
        path = visit.base or "/"
        response.set_cookie(COOKIE, theme, max_age=YEAR_S, path=path, samesite="lax", httponly=True)
    return Done("theme", theme, 1, response)


PAGES = (Page("/about", show, title="About", place=90, key="a"), Page("/theme", None, set_theme, is_for_all=True))
