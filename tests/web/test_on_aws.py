"""The page on AWS, the whole way: browser, signing proxy, function URL, event, function in AWS's own runtime."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from sidelamb_handlers.web import by_password
from sidelamb_handlers.web.app import FENCE
from sidelamb_handlers.web.render import STATIC
from sidelamb_local.errors import LocalStackError
from sidelamb_local.signing_proxy import FunctionUrl, SigningProxy
from tests.web.function_url import KEYS, REGION, Front, Lambda
from tests.web.stand import Served

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from sidelamb_local.redis_server import RedisServer


@pytest.fixture(scope="module")
def function(web_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lambda]:
    with Lambda(tmp_path_factory.mktemp("full"), web_server.url, SIDELAMB_WEB="full") as function:
        yield function


@pytest.fixture(scope="module")
def front(function: Lambda) -> Iterator[tuple[Front, str]]:
    """What stands before the function, and where."""
    front = Front(function)
    with front.served() as origin:
        yield front, origin


def proxy(origin: str, key: str = "AKIAANNA", **options: Any) -> SigningProxy:
    credentials = KEYS[key].credentials(key) if key in KEYS else KEYS["AKIAANNA"].credentials(key)
    return SigningProxy(FunctionUrl(origin, REGION), credentials, profile="prod", **options)


@pytest.fixture(scope="module")
def annas(front: tuple[Front, str]) -> Iterator[str]:
    """Where the page is for anna, on her machine."""
    signing = proxy(front[1])
    signing.check()
    with Served(signing.app) as url:
        yield url


@pytest.fixture
def asked(front: tuple[Front, str]) -> list[dict[str, Any]]:
    """The events that the function gets from now on."""
    front[0].events.clear()
    return front[0].events


def token(page: httpx.Response) -> str:
    found = re.search(r'name="token" value="(\w+)"', page.text)
    assert found
    return found[1]


def test_a_person_looks_searches_and_acts_and_the_audit_names_who_iam_says_they_are(
    filled: redis.Redis, front: tuple[Front, str], annas: str, asked: list[dict[str, Any]]
) -> None:
    with httpx.Client(base_url=annas) as browser:
        page = browser.get("/queues")
        assert page.status_code == 200
        assert FENCE.items() <= dict(page.headers).items()
        assert browser.get("/static/icon.svg").content == (STATIC / "icon.svg").read_bytes()
        found = browser.get("/retries?q=*bank (ex)*+~&page=")
        assert (found.status_code, 'value="*bank (ex)* ~"' in found.text) == (200, True)
        form = {"token": token(page), "do": "pause", "name": "mail", "more": "é +&=*"}
        done = browser.post("/queues", data=form, headers={"origin": annas, "sec-fetch-site": "same-origin"})
        assert (done.status_code, done.headers["location"]) == (303, "/queues")
        assert browser.post("/queues", data=form | {"token": "0" * 32}).status_code == 403
    assert filled.sismember("paused", "mail")
    lines = [json.loads(found) for log in front[0].logs for found in re.findall(r'\{"audit".*\}', log)]
    assert [(one["audit"], one["what"], one["who"], one["from"]) for one in lines] == [
        ("queue.pause", "mail", KEYS["AKIAANNA"].arn, "203.0.113.7")
    ]
    assert [event["isBase64Encoded"] for event in asked] == [False, False, False, True, True]


def test_the_browsers_cookie_is_kept_without_tls_and_those_of_other_apps_stay_here(
    filled: redis.Redis, annas: str, asked: list[dict[str, Any]]
) -> None:
    cookies = {"session": "of another app", "sidelamb_theme": "dark"}
    with httpx.Client(base_url=annas, cookies=cookies) as browser:
        kept = browser.get("/about").headers["set-cookie"]
        assert {part.strip().lower() for part in kept.split(";")[1:]} == {"httponly", "path=/", "samesite=strict"}
        browser.get("/about", headers={"authorization": "Basic eA==", "x-forwarded-for": "10.0.0.1"})
    first, second = asked
    assert first["cookies"] == ["sidelamb_theme=dark"]
    assert [one.partition("=")[0] for one in second["cookies"]] == ["sidelamb_theme", "sidelamb_token"]
    assert second["headers"]["x-forwarded-for"] == "203.0.113.7"


def test_an_address_of_the_function_leads_back_here(annas: str, filled: redis.Redis) -> None:
    with httpx.Client(base_url=annas) as browser:
        there = browser.get("/queues/")
        assert (there.status_code, there.headers["location"]) == (307, "/queues")


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"host": "evil.example"}, 421),
        ("POST", {"host": "evil.example", "origin": "http://evil.example"}, 421),
        ("POST", {"origin": "http://evil.example"}, 403),
        ("GET", {"origin": "http://127.0.0.1:1"}, 403),
        ("POST", {"origin": "null"}, 403),
        ("POST", {"sec-fetch-site": "cross-site"}, 403),
        ("POST", {"sec-fetch-site": "same-site"}, 403),
        ("PUT", {}, 405),
    ],
)
def test_what_another_site_sends_is_not_signed(
    annas: str, asked: list[dict[str, Any]], method: str, headers: dict[str, str], status: int
) -> None:
    assert httpx.request(method, f"{annas}/queues", headers=headers).status_code == status
    assert asked == []


def test_a_machine_with_others_on_it_asks_for_a_password(
    front: tuple[Front, str], asked: list[dict[str, Any]]
) -> None:
    credential = "anna:correct horse battery"
    with Served(proxy(front[1], auth=by_password(credential)).app) as url:
        assert httpx.get(url).status_code == 401
        assert asked == []
        assert httpx.get(url, auth=("anna", credential.partition(":")[2])).status_code == 200


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("AKIABEN", "these keys may not open the page: they need lambda:InvokeFunctionUrl, and lambda:Invoke"),
        (
            "AKIAOLD",
            "ExpiredTokenException: The security token .* is expired; if .* `aws sso login --profile prod`",
        ),
        ("AKIANOBODY", "UnrecognizedClientException: The security token included in the request is invalid"),
    ],
)
def test_keys_that_open_nothing_are_one_line_that_says_what_to_do(
    front: tuple[Front, str], asked: list[dict[str, Any]], key: str, said: str
) -> None:
    signing = proxy(front[1], key)
    with pytest.raises(LocalStackError, match=said) as error:
        signing.check()
    assert "\n" not in str(error.value)
    with Served(signing.app) as url:
        page = httpx.get(url)
    assert (page.status_code, page.headers["content-type"]) == (403, "text/plain; charset=utf-8")
    assert page.text == f"{error.value}\n"
    assert asked == []


def test_a_page_that_is_not_there_is_one_line() -> None:
    with pytest.raises(LocalStackError, match="the page does not answer: Could not connect"):
        proxy("http://127.0.0.1:1").check()


def test_a_function_that_cannot_start_is_one_line_that_says_where_to_look(tmp_path: Any) -> None:
    with (
        Lambda(tmp_path, "redis://127.0.0.1:1", PYTHONPATH=broken(tmp_path)) as function,
        Front(function).served() as origin,
        pytest.raises(LocalStackError, match=r"AWS answered 502 .* Is sidelamb\[web\] in poller/requirements.txt"),
    ):
        proxy(origin).check()


def broken(folder: Any) -> str:
    (folder / "mangum.py").write_text("raise ImportError('it is not there')")
    return str(folder)


def test_read_only_is_for_all_and_so_is_whatever_is_not_full(
    filled: redis.Redis, web_server: RedisServer, tmp_path: Any
) -> None:
    with (
        Lambda(tmp_path, web_server.url, SIDELAMB_WEB="read-only") as function,
        Front(function).served() as origin,
        Served(proxy(origin).app) as url,
        httpx.Client(base_url=url) as browser,
    ):
        page = browser.get("/queues")
        assert "read only" in page.text
        form = {"token": token(page), "do": "pause", "name": "mail"}
        assert browser.post("/queues", data=form).status_code == 403
    assert not filled.sismember("paused", "mail")


@pytest.mark.parametrize("authorizer", [None, {}, {"iam": None}, {"iam": {"userArn": None}}, {"jwt": {}}])
def test_whom_iam_has_not_named_sees_nothing_whatever_the_url_lets_in(
    filled: redis.Redis, function: Lambda, authorizer: Any
) -> None:
    said, _ = function.invoke(
        {
            "version": "2.0",
            "rawPath": "/retries",
            "rawQueryString": "",
            "headers": {"host": "abc123.lambda-url.eu-west-1.on.aws", "x-forwarded-proto": "https"},
            "requestContext": {
                "accountId": "anonymous",
                "authorizer": authorizer,
                "http": {"method": "GET", "path": "/retries", "protocol": "HTTP/1.1", "sourceIp": "198.51.100.1"},
            },
            "isBase64Encoded": False,
        }
    )
    assert (said["statusCode"], said["body"]) == (403, "this page is not for you")
