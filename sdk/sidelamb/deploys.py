"""Deploys as marks in the graphs of Sidekiq's Metrics page: call `mark_deploy` at the end of a deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidelamb.errors import BadOption
from sidelamb.settings import default_client
from sidelamb.times import epoch_seconds
from sidelamb.wording import shown

if TYPE_CHECKING:
    import datetime as dt

    from sidelamb.client import Client

__all__ = ["mark_deploy"]

_LONGEST = 200
"""Characters of a label; the page shows it in a line of a graph."""


def mark_deploy(label: str, client: Client | None = None, at: float | dt.datetime | None = None) -> bool:
    """Mark a deploy, and return whether it is marked now.

    However many machines call it for one deploy, there is one mark: a label is noted once a minute, and a minute
    keeps its first label.

    Args:
        label: what was deployed, such as a version and the subject of its last commit.
        client: default the one of this process's settings.
        at: when, an aware datetime or epoch seconds; default now.

    Raises:
        BadOption: the label is no line of text, or the time cannot be.
        RedisUnreachable, RedisRefused, RedisUncertain: as `Job.enqueue`; it is safe to try again.
    """
    if not isinstance(label, str) or not label.strip() or not label.isprintable() or len(label) > _LONGEST:
        raise BadOption(
            f"mark_deploy: the label is {shown(label)}; expected one line of text, at most {_LONGEST} characters"
        )
    client = default_client() if client is None else client
    when = client.now() if at is None else epoch_seconds(at, "mark_deploy")
    return client.link.run(client.store.mark_deploy(label, when))
