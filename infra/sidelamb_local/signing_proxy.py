"""A proxy that signs: the web page of a stack on AWS, for a browser, which cannot sign.

It answers on this machine and passes each request on to the page's function URL, signed with its owner's keys, so
whoever reaches it acts in their name. Hence it answers to names of this machine only, takes no form of another
site, and sends nothing of a browser's request but what the page reads: the cookies of other apps stay here. What
AWS itself answers, and not the page, is a line that says what to do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sidelamb_handlers.web import anyone
from sidelamb_local.errors import LocalStackError
from sidelamb_local.plain import plain
from sidelamb_local.profile import keys_of

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse
    from botocore.credentials import Credentials
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from sidelamb_handlers.web import Auth

__all__ = ["FunctionUrl", "SigningProxy"]

READ_BY_THE_PAGE = (
    "accept",
    "accept-language",
    "content-type",
    "if-modified-since",
    "if-none-match",
    "sec-fetch-site",
    "user-agent",
)
ITS_COOKIES = "sidelamb_"
OF_A_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})
"""Headers of an answer that are the way's own and not the page's."""
TIMEOUTS_S = (5, 40)
"""To connect; to wait, longer than the function may take."""
FENCED = "content-security-policy"
"""Each answer of the page has it, and no answer of AWS's own."""
MOST_SAID = 300

_URL = re.compile(r"https://[a-z0-9]+\.lambda-url\.([a-z0-9-]+)\.on\.(aws|amazonwebservices\.com\.cn)/?\Z")


class FunctionUrl(NamedTuple):
    """Where a page is."""

    origin: str
    """Without a slash at its end."""
    region: str

    @classmethod
    def read(cls, text: str) -> FunctionUrl:
        """Read the address of a function.

        Raises:
            LocalStackError: it is none.
        """
        found = _URL.match(text)
        if found is None:
            raise LocalStackError(
                f"--url {text!r} is no function's; write the stack's output WebUrl, like "
                "https://abc123.lambda-url.eu-west-1.on.aws/"
            )
        return cls(text.rstrip("/"), found[1])


class SigningProxy:
    """The page on this machine.

    Args:
        url: where it is.
        credentials: with which to sign.
        profile: what they are called, for a line about them.
        auth: whom to let in, of those who are on this machine.

    Attributes:
        app: as an ASGI app.
    """

    def __init__(self, url: FunctionUrl, credentials: Credentials, *, profile: str, auth: Auth = anyone) -> None:
        from botocore.httpsession import URLLib3Session  # noqa: PLC0415 - it takes a third of a second
        from botocore.utils import get_environ_proxies  # noqa: PLC0415

        self._url, self._credentials, self._profile, self._auth = url, credentials, profile, auth
        self._http = URLLib3Session(timeout=TIMEOUTS_S, proxies=get_environ_proxies(url.origin))
        self.app: ASGIApp = Starlette(routes=[Route("/{path:path}", self._pass_on, methods=["GET", "POST"])])

    def check(self) -> None:
        """See that the page answers.

        Raises:
            LocalStackError: it does not; says why.
        """
        answer = self._asked("GET", "/static/icon.svg", {}, b"")
        said = self._of_aws(answer)
        if said:
            raise LocalStackError(said)

    async def _pass_on(self, request: Request) -> Response:
        for refused in (anyone(request), _of_another_site(request), self._auth(request)):
            if isinstance(refused, Response):
                return refused
        body = await request.body()
        return await run_in_threadpool(self._answer, request, body)

    def _answer(self, request: Request, body: bytes) -> Response:
        try:
            answer = self._asked(request.method, _target(request), self._headers(request), body)
        except LocalStackError as error:
            return PlainTextResponse(f"{error}\n", 502)
        said = self._of_aws(answer)
        if said:
            return PlainTextResponse(f"{said}\n", answer.status_code)
        passed = Response(answer.content, answer.status_code)
        for name, value in answer.raw.headers.items():
            if name.lower() not in OF_A_CONNECTION:
                passed.headers.append(name, self._for_here(name.lower(), value))
        return passed

    def _asked(self, method: str, target: str, headers: dict[str, str], body: bytes) -> AWSResponse:
        """Send a signed request and return the answer.

        Raises:
            LocalStackError: there are no keys, or there is no answer.
        """
        from botocore.auth import SigV4Auth  # noqa: PLC0415 - it is late because botocore is slow to import
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        keys = keys_of(self._credentials, self._profile)
        request = AWSRequest(method, self._url.origin + target, data=body)
        SigV4Auth(keys, "lambda", self._url.region).add_auth(request)
        for name, value in headers.items():
            request.headers[name] = value  # unsigned: what stands between may rewrite them
        try:
            return self._http.send(request.prepare())
        except BotoCoreError as error:
            raise LocalStackError(f"the page does not answer: {plain(error, MOST_SAID)}") from None

    def _headers(self, request: Request) -> dict[str, str]:
        """Return what the page is told of a request, as if the browser were where it is."""
        said = {name: request.headers[name] for name in READ_BY_THE_PAGE if name in request.headers}
        cookies = [f"{k}={v}" for k, v in request.cookies.items() if k.startswith(ITS_COOKIES)]
        if cookies:
            said["cookie"] = "; ".join(cookies)
        if "origin" in request.headers:
            said["origin"] = self._url.origin
        return said

    def _for_here(self, name: str, value: str) -> str:
        """Return a header's value as it is right for a browser that has come without TLS, to this machine."""
        if name == "location" and urlsplit(value).netloc == urlsplit(self._url.origin).netloc:
            return urlsplit(value)._replace(scheme="", netloc="").geturl()
        if name == "set-cookie":
            return re.sub(r";\s*secure(?=;|$)", "", value, flags=re.IGNORECASE)
        return value

    def _of_aws(self, answer: AWSResponse) -> str:
        """Return what to do about an answer that is AWS's own; empty for the page's."""
        if FENCED in answer.headers:
            return ""
        kind, login = answer.headers.get("x-amzn-errortype", ""), "aws sso login"
        said = f"AWS answered {answer.status_code} {plain(kind.partition(':')[0])}: {_message(answer)}"
        if self._profile:
            login += f" --profile {self._profile}"
        match answer.status_code:
            case 403 if kind.startswith("AccessDenied"):
                return (
                    "these keys may not open the page: they need lambda:InvokeFunctionUrl, and "
                    "lambda:InvokeFunction by its URL; attach the policy that the stack's output WebAccess names"
                )
            case 403:
                return f"{said}; if the keys are old, `{login}`"
            case 502:
                return (
                    f"{said}; the function failed, and its log group says why. Is sidelamb[web] in "
                    "poller/requirements.txt?"
                )
        return said


def _of_another_site(request: Request) -> Response | None:
    """Return the refusal of what another site sends."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
    is_ours = origin is None or origin.lower() == f"http://{request.headers.get('host', '')}".lower()
    if is_ours and (request.method == "GET" or site in {"same-origin", "none"}):
        return None
    return PlainTextResponse("this is not from a page of ours\n", 403)


def _target(request: Request) -> str:
    """Return path and query, encoded as AWS does before it signs; a browser leaves more letters as they are."""
    path: str = request.scope["raw_path"].decode("ascii")
    query = parse_qsl(request.scope["query_string"], keep_blank_values=True)
    return path + (f"?{urlencode(query, quote_via=quote)}" if query else "")


def _message(answer: AWSResponse) -> str:
    """Return what AWS says, in one line."""
    text: str = answer.text
    found = re.search(r'"[Mm]essage"\s*:\s*"([^"]*)"', text)
    return plain(found[1] if found else text.strip() or "nothing more", MOST_SAID)
