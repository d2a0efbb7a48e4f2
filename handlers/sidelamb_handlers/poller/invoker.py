"""Lambda's Invoke API over HTTP: signed, and sent by aiohttp, each request once.

boto3 would block a thread for each invocation and send again what may already run. Here thousands of
invocations in flight are just sockets. Credentials, region and endpoint are found as boto3 finds them, and
refreshed on a thread, so that the loop never waits for them.
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import time
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlsplit

import aiohttp
from botocore.exceptions import BotoCoreError, NoRegionError
from botocore.session import Session

from sidelamb.errors import ConfigError
from sidelamb_handlers.poller.reply import Reply, lost, read_reply
from sidelamb_handlers.poller.signer import Signer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HttpInvoker", "Invoker"]

CONNECT_S = 5.0
KEEPALIVE_IDLE_S = 60
"""A NAT drops a silent connection after 350 s; an invocation may last 900."""
CREDENTIALS_EVERY_S = 60.0


class Invoker(Protocol):
    """What the poller needs of Lambda."""

    async def invoke(self, function: str, event: bytes, *, timeout: float) -> Reply:
        """Invoke a function synchronously, once; wait at most `timeout` seconds for its answer."""

    async def close(self) -> None:
        """Give up all connections."""


class HttpInvoker:
    """Invokes over HTTP.

    Use `await HttpInvoker.open()`.
    """

    def __init__(self, endpoint: str, region: str, credentials: Callable[[], Any]) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._path = urlsplit(endpoint).path.rstrip("/")
        self._credentials = credentials
        self._keys = credentials()
        self._signer = Signer(endpoint, region)
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60, socket_factory=_keepalive_socket)
        self._http = aiohttp.ClientSession(
            connector=connector, auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None)
        )
        self._refresher = asyncio.create_task(self._refresh())

    @classmethod
    async def open(cls) -> HttpInvoker:
        """Find credentials, region and endpoint, and return an invoker.

        Raises:
            ConfigError: one of them cannot be found; says which.
        """
        endpoint, region, credentials = await asyncio.to_thread(_find)
        return cls(endpoint, region, credentials)

    async def invoke(self, function: str, event: bytes, *, timeout: float) -> Reply:
        """Invoke `function` with `event`; never raises, never sends twice."""
        path = _path(function)
        headers = self._signer.headers(self._path + path, event, self._keys, time.time())
        limits = aiohttp.ClientTimeout(total=timeout, connect=CONNECT_S)
        url = _as_signed(self._endpoint + path)
        try:
            async with self._http.post(url, data=event, headers=headers, timeout=limits) as answer:
                return read_reply(answer.status, answer.headers, await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return lost(error)

    async def close(self) -> None:
        """Give up all connections; what is in flight runs on in Lambda."""
        self._refresher.cancel()
        await self._http.close()

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(CREDENTIALS_EVERY_S)
            try:
                self._keys = await asyncio.to_thread(self._credentials)
            except BotoCoreError:
                continue  # the old ones are good for some minutes more, and the next try comes in one


@functools.lru_cache(256)
def _path(function: str) -> str:
    return f"/2015-03-31/functions/{quote(function, safe='')}/invocations"


@functools.lru_cache(256)
def _as_signed(url: str) -> Any:
    from yarl import URL  # noqa: PLC0415 - aiohttp's own, and loaded with it

    return URL(url, encoded=True)


def _find() -> tuple[str, str, Callable[[], Any]]:
    session = Session()
    try:
        # ECS and Lambda set AWS_REGION, which botocore itself does not read.
        region = session.get_config_variable("region") or os.environ.get("AWS_REGION")
        client = session.create_client("lambda", region_name=region)
        found = session.get_credentials()
        if found is not None:
            found.get_frozen_credentials()
    except (BotoCoreError, ValueError) as error:
        text = " ".join(str(error).split()).rstrip(".: ")
        advice = "look at AWS_ENDPOINT_URL_LAMBDA, AWS_PROFILE and the files in ~/.aws"
        if isinstance(error, NoRegionError):
            advice = "set AWS_REGION, or a region in your profile"
        raise ConfigError(f"Lambda cannot be reached: {text}; {advice}") from None
    if found is None:
        raise ConfigError("no AWS credentials were found; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret")
    return client.meta.endpoint_url, client.meta.region_name, found.get_frozen_credentials


def _keepalive_socket(info: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, _ = info
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)  # noqa: FBT003
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))
    if idle is not None:
        made.setsockopt(socket.IPPROTO_TCP, idle, KEEPALIVE_IDLE_S)
    return made
