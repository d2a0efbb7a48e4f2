"""One browser and one filled Redis for all tests of the page; what a test changes, it fills again."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis

from sidelamb import Client
from sidelamb_handlers.web import anyone, web
from sidelamb_local.redis_server import RedisServer
from tests.web.stand import Served, fill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome


@pytest.fixture(scope="session")
def web_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("web-redis")) as server:
        yield server


@pytest.fixture(scope="session")
def site(web_server: RedisServer) -> Iterator[str]:
    """The page's address, over the Redis that the tests share."""
    with Served(web(Client(web_server.url), auth=anyone)) as url:
        yield url


@pytest.fixture
def db(web_server: RedisServer) -> Iterator[redis.Redis]:
    """That Redis, empty."""
    with redis.Redis.from_url(web_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def filled(db: redis.Redis) -> redis.Redis:
    """That Redis with jobs in every state, hostile ones included."""
    fill(db, 12)
    return db


@pytest.fixture(scope="session")
def chrome() -> Iterator[Chrome]:
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    browser = chrome_of()
    yield browser
    browser.quit()


def chrome_of() -> Chrome:
    """A chromium without a window."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-extensions",
        "--disable-sync",
        "--no-first-run",
        "--lang=en",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


@pytest.fixture
def browser(chrome: Chrome, site: str) -> Iterator[Chrome]:
    """The browser, on the page that the tests share."""
    with fresh(chrome, site):
        yield chrome


@contextmanager
def fresh(chrome: Chrome, site: str) -> Iterator[None]:
    """Make the browser wide and without cookies; what its console says against a page is a failure.

    Then it is left on no page: one that is open looks and draws for as long as the browser lives.
    """
    chrome.get(f"{site}/static/icon.svg")
    chrome.delete_all_cookies()
    size(chrome, 1280)
    chrome.get_log("browser")  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        said = [line["message"] for line in chrome.get_log("browser") if line["level"] == "SEVERE"]  # type: ignore[no-untyped-call]
        chrome.get("about:blank")
    assert not [line for line in said if " 404 " not in line and " 400 " not in line], said


def size(browser: Any, width: int) -> None:
    """Make the window so wide."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
