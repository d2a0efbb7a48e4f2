"""Takes the README's screenshots: `python -m tests.web.screenshots` writes docs/screenshots/*.png."""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import quote

import redis

from sidelamb import Client
from sidelamb_handlers.web import anyone, web
from sidelamb_local.redis_server import RedisServer
from tests.web.conftest import chrome_of, size
from tests.web.stand import Served, entries, fill

INTO = Path(__file__).parents[2] / "docs" / "screenshots"


def main() -> None:
    """Take them."""
    INTO.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        with redis.Redis.from_url(server.url) as db:
            fill(db, hostile=False)
            job = f"/job?in=retries&key={quote(list(entries(db, 'retry'))[7])}"
        browser = chrome_of()
        try:
            with Served(web(Client(server.url), auth=anyone)) as url:
                for name, path, theme, width in (
                    ("dashboard", "/", "light", 1280),
                    ("retries", "/retries", "light", 1280),
                    ("job-dark", job, "dark", 1280),
                    ("narrow-dark", "/", "dark", 390),
                ):
                    browser.get(f"{url}/static/icon.svg")
                    browser.add_cookie({"name": "sidelamb_theme", "value": theme, "path": "/"})
                    size(browser, width)
                    browser.get(f"{url}{path}")
                    browser.save_screenshot(str(INTO / f"{name}.png"))
        finally:
            browser.quit()


if __name__ == "__main__":
    main()
