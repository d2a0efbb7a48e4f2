"""A deployed stack's log, as CloudWatch has it: all log groups under `/sidelamb/<stack>/`, one stream of lines."""

from __future__ import annotations

import heapq
import time
from typing import TYPE_CHECKING, Any

from sidelamb_local.errors import LocalStackError
from sidelamb_local.log_file import Said
from sidelamb_local.stack import POLLER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["LogGroups"]

LOOK_EVERY_S = 2.0
LATE_S = 60.0
"""CloudWatch may show a line so much after it was said: so far back each look reaches."""


class LogGroups:
    """Reads.

    Args:
        client: boto3's, of CloudWatch Logs.
        stack: The stack's name.
        pattern: A filter pattern; empty for everything.

    Raises:
        LocalStackError: There is no such stack, or AWS does not let us look; says what to do.
    """

    def __init__(self, client: Any, stack: str, pattern: str = "") -> None:
        self._client = client
        self._pattern = pattern
        prefix = f"/sidelamb/{stack}/"
        pages = client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
        self._groups = [group["logGroupName"] for page in _asked(pages) for group in page["logGroups"]]
        if not self._groups:
            raise LocalStackError(
                f"no log group in {client.meta.region_name} begins with {prefix}; look at the stack's name and "
                "the region (AWS_REGION, AWS_PROFILE)"
            )

    def kept(self, since: float) -> Iterator[Said]:
        """Give what was said since epoch s `since`, in order."""
        return (said for _, said in self._events(since))

    def follow(self, since: float, wait: Callable[[float], object] = time.sleep) -> Iterator[Said]:
        """Give what was said since epoch s `since`, and then what is said, for ever."""
        seen: dict[str, float] = {}
        while True:
            for name, said in self._events(since):
                if name not in seen:
                    seen[name] = said.at
                    yield said
            newest = max(seen.values(), default=since)
            since = max(since, newest - LATE_S)
            seen = {name: at for name, at in seen.items() if at >= since}
            wait(LOOK_EVERY_S)

    def _events(self, since: float) -> Iterator[tuple[str, Said]]:
        """Give (id, line) of all groups in the order of time."""
        return heapq.merge(*(self._of(group, since) for group in self._groups), key=lambda event: event[1].at)

    def _of(self, group: str, since: float) -> Iterator[tuple[str, Said]]:
        source = group.rpartition("/")[2]
        asked: dict[str, Any] = {"logGroupName": group, "startTime": int(since * 1000)}
        if self._pattern:
            asked["filterPattern"] = self._pattern
        for page in _asked(self._client.get_paginator("filter_log_events").paginate(**asked)):
            for event in page["events"]:
                line = event["message"].rstrip("\n")
                # What stands for CloudWatch on one machine may give no id.
                name = event.get("eventId") or f"{event.get('logStreamName')} {event['timestamp']} {line}"
                yield name, Said(event["timestamp"] / 1000, _source(source), line)


def _source(name: str) -> str:
    return POLLER if name == "poller" else name


def _asked(pages: Any) -> Iterator[dict[str, Any]]:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - the extra may not be installed

    try:
        yield from pages
    except (BotoCoreError, ClientError) as error:
        raise LocalStackError(f"CloudWatch Logs could not be read: {error}") from None
