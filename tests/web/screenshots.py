"""Takes the README's screenshots: `python -m tests.web.screenshots` writes docs/screenshots/*.png."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import redis

from sidelamb import Batches, Client
from sidelamb_handlers.web import anyone, web
from sidelamb_local.redis_server import RedisServer
from tests.web.conftest import chrome_of, size
from tests.web.stand import Served, entries, fill

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

INTO = Path(__file__).parents[2] / "docs" / "screenshots"
WIDE, NARROW = 1280, 390
LISTS = ("queues", "busy", "retries", "scheduled", "dead", "batches", "periodic", "guards", "metrics", "about")


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="take all of them, into a folder")
    every = parser.parse_args().all
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        with redis.Redis.from_url(server.url) as db:
            fill(db, hostile=False)
            job = f"/job?in=retries&key={quote(list(entries(db, 'retry'))[7])}"
            batches = Batches(Client(server.url)).page()
            bid = next(one.bid for one in batches if one.description == "Import of November")
        shots = [
            ("dashboard", "/", "light", WIDE),
            ("retries", "/retries", "light", WIDE),
            ("job-dark", job, "dark", WIDE),
            ("narrow-dark", "/", "dark", NARROW),
            ("metrics-dark", "/metrics", "dark", WIDE),
        ]
        if every:
            pages = {"batch": f"/batch?bid={bid}", "job": job, "one-class": "/metric?name=shop.charge"}
            pages |= {
                "one-periodic": "/periodic/one?name=reports.nightly",
                "limit": "/limit?kind=concurrent&name=bank",
            }
            pages |= {name: f"/{name}" for name in LISTS}
            shots = [
                (f"{name}-{theme}-{width}", path, theme, width)
                for name, path in pages.items()
                for theme, width in (("light", WIDE), ("dark", NARROW), ("dark", WIDE), ("light", NARROW))
            ]
        browser = chrome_of()
        try:
            with Served(web(Client(server.url), auth=anyone)) as url:
                take(browser, url, shots, every or INTO)
        finally:
            browser.quit()


def take(browser: Chrome, url: str, shots: list[tuple[str, str, str, int]], into: Path) -> None:
    """Take each: its name, the page, the theme and the width."""
    into.mkdir(exist_ok=True)
    for name, path, theme, width in shots:
        browser.get(f"{url}/static/icon.svg")
        browser.add_cookie({"name": "sidelamb_theme", "value": theme, "path": "/"})
        size(browser, width)
        browser.get(f"{url}{path}")
        browser.save_screenshot(str(into / f"{name}.png"))


if __name__ == "__main__":
    main()
