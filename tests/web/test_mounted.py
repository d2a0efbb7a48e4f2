"""Under any path of another app: FastAPI, and Starlette beside Django."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from sidelamb import Client
from sidelamb_handlers.web import anyone, web
from tests.web.stand import fill

if TYPE_CHECKING:
    import redis

    from sidelamb_local.redis_server import RedisServer


def in_fastapi(page: Any) -> Any:
    app, inner = FastAPI(), FastAPI()
    inner.mount("/jobs", page)
    app.mount("/admin", inner)

    @app.get("/")
    def home() -> str:
        return "the shop"

    return app


def in_django(page: Any) -> Any:
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application

    if not settings.configured:
        settings.configure(ROOT_URLCONF="tests.web.test_mounted", ALLOWED_HOSTS=["*"], SECRET_KEY="x" * 50)
        django.setup()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "ROOT_URLCONF", "tests.web.test_mounted")
        return Starlette(routes=[Mount("/admin/jobs", page), Mount("/", get_asgi_application())])


def _home(_: Any) -> Any:
    from django.http import HttpResponse

    return HttpResponse("the shop")


def _urls() -> list[Any]:
    from django.urls import path

    return [path("", _home)]


class _Urls(list[Any]):
    """Made when Django asks, so that importing this module needs no settings."""

    def __iter__(self) -> Any:
        return iter(_urls())


urlpatterns = _Urls()


@pytest.mark.parametrize("host", [in_fastapi, in_django])
async def test_every_address_on_a_page_is_under_its_path(
    db: redis.Redis, web_server: RedisServer, host: Any
) -> None:
    fill(db, 3, hostile=False)
    transport = httpx.ASGITransport(app=host(web(Client(web_server.url), auth=anyone)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        assert (await http.get("/")).text.strip('"') == "the shop"
        for path in (
            "/",
            "/queues",
            "/queue?name=mail",
            "/retries",
            "/dead?by=class",
            "/busy",
            "/metrics",
            "/about",
        ):
            answer = await http.get(f"/admin/jobs{path}")
            assert answer.status_code == 200, path
            for address in re.findall(r'(?:href|action|src)="([^"#]+)', answer.text):
                assert address.startswith("/admin/jobs/"), (path, address)
            assets = set(re.findall(r'"(/admin/jobs/static/[^"?]+)', answer.text))
            assert len(assets) == 4
            for address in assets:
                assert (await http.get(address)).status_code == 200, address
        token = re.search(r'name="token" value="(\w+)"', answer.text)
        assert token
        done = await http.post("/admin/jobs/queues", data={"token": token[1], "do": "pause", "name": "mail"})
        assert (done.status_code, done.headers["location"]) == (303, "/admin/jobs/queues")
        assert {cookie.path for cookie in http.cookies.jar} == {"/admin/jobs"}
    assert db.sismember("paused", "mail")


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("/jobs/", "/jobs/queues"),
        ("/jobs/", "/jobs//queues"),
        ("/jobs/", "/queues"),
        ("/f\u00fcr uns", "/f\u00fcr uns/queues"),
    ],
)
async def test_every_way_of_writing_a_root_path_is_understood(
    db: redis.Redis, web_server: RedisServer, root: str, path: str
) -> None:
    """A slash at its end, whether or not the server puts it before the path; and what an address must quote."""
    fill(db, 3, hostile=False)
    transport = httpx.ASGITransport(app=web(Client(web_server.url), auth=anyone), root_path=root)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        answer = await http.get(quote(path))
        base = quote(root.rstrip("/"))
        assert answer.status_code == 200
        assert 'queues" data-key="q" aria-current="page"' in answer.text
        assert {re.match(f"{base}/(?!/)", a) for a in re.findall(r'href="(/[^"]+)', answer.text)} - {None}
        assert f"Path={base};" in f"{answer.headers['set-cookie']};"
        token = re.search(r'name="token" value="(\w+)"', answer.text)
        assert token
        cookie = {"cookie": f"sidelamb_token={token[1]}"}
        fields = {"token": token[1], "do": "pause", "name": "mail"}
        done = await http.post(quote(path), data=fields, headers=cookie)
        assert (done.status_code, done.headers["location"]) == (303, f"{base}/queues")
