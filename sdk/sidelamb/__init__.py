"""Sidelamb: background jobs for Python apps, run by AWS Lambda, on Sidekiq's Redis layout.

from sidelamb import job

@job(queue="images")
def resize(image_id: int) -> None: ...

resize.enqueue(12)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidelamb.cancel import acancel, cancel
from sidelamb.carry import carry
from sidelamb.control import Discard, JobTimeout, Kill, Retry, Snooze
from sidelamb.current import CurrentJob, current_job
from sidelamb.delay import delay
from sidelamb.deploys import mark_deploy
from sidelamb.errors import (
    BadArgument,
    BadCall,
    BadOption,
    ConfigError,
    JobError,
    Malformed,
    NameTaken,
    NotAJob,
    NotPushed,
    PayloadTooLarge,
    RedisError,
    RedisRefused,
    RedisUncertain,
    RedisUnreachable,
    SidelambError,
    UnknownOption,
    UnknownQueue,
)
from sidelamb.handle import Handle, JobFailed, NoResult, NotFinished, Progress, Status
from sidelamb.hooks import after_invocation, before_invocation, on_death, on_error, on_sandbox_start
from sidelamb.job import Job, job
from sidelamb.late import late_import
from sidelamb.middleware import CallNext, Middleware, Payload
from sidelamb.options import JobOptions
from sidelamb.registry import registry
from sidelamb.server import server_middleware
from sidelamb.settings import configure, default_client

if TYPE_CHECKING:
    from sidelamb.client import Client

__all__ = [
    "BadArgument",
    "BadCall",
    "BadOption",
    "CallNext",
    "Client",
    "ConfigError",
    "CurrentJob",
    "Discard",
    "Handle",
    "Job",
    "JobError",
    "JobFailed",
    "JobOptions",
    "JobTimeout",
    "Kill",
    "Malformed",
    "Middleware",
    "NameTaken",
    "NoResult",
    "NotAJob",
    "NotFinished",
    "NotPushed",
    "Payload",
    "PayloadTooLarge",
    "Progress",
    "RedisError",
    "RedisRefused",
    "RedisUncertain",
    "RedisUnreachable",
    "Retry",
    "SidelambError",
    "Snooze",
    "Status",
    "UnknownOption",
    "UnknownQueue",
    "acancel",
    "after_invocation",
    "before_invocation",
    "cancel",
    "carry",
    "configure",
    "current_job",
    "default_client",
    "delay",
    "job",
    "mark_deploy",
    "on_death",
    "on_error",
    "on_sandbox_start",
    "registry",
    "server_middleware",
]


def __getattr__(name: str) -> object:
    """Import the client, and with it redis-py, when it is first asked for: declaring jobs needs neither."""
    if name != "Client":
        raise AttributeError(f"module 'sidelamb' has no attribute {name!r}")
    with late_import:
        from sidelamb.client import Client  # noqa: PLC0415

    globals()["Client"] = Client
    return Client
