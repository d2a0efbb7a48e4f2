"""The Lambda function that shows the web page: `sidelamb_handlers.web.function.handler`, behind a Function URL.

The URL opens by IAM: AWS has asked who comes, and says it in the event. That is the visitor, and the name in the
audit's lines; whom IAM has not named sees nothing, whatever the URL's settings are. An answer is one piece, which
is all that the page needs: it asks for itself again, and nothing is held open.

Settings, from the environment: SIDELAMB_REDIS_URL (required) and SIDELAMB_NAMESPACE; SIDELAMB_WEB, `full` for
visitors who may act. With anything else there nobody may.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from mangum import Mangum

from sidelamb_handlers.coldstart import once
from sidelamb_handlers.web.access import Answer, Visitor
from sidelamb_handlers.web.app import web

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["by_iam", "handler"]


def by_iam(request: Request) -> Answer:
    """Let in whom IAM has let in, under the ARN of their user or of their session of a role."""
    authorizer = request.scope["aws.event"].get("requestContext", {}).get("authorizer") or {}
    arn = (authorizer.get("iam") or {}).get("userArn")
    return Visitor(arn) if arn else None


def _made() -> Mangum:
    asyncio.set_event_loop(asyncio.new_event_loop())  # the sandbox's one, with its connections to Redis
    page = web(auth=by_iam, read_only=os.environ.get("SIDELAMB_WEB") != "full")
    return Mangum(page, lifespan="off")  # type: ignore[arg-type]  # it has Coroutine where ASGI has Awaitable


_page = once(_made)


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Lambda's entry point: answer a request of payload format 2.0."""
    return _page()(event, context)
