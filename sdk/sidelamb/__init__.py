"""Sidelamb: background jobs for Python apps, run by AWS Lambda, on Sidekiq's Redis layout.

from sidelamb import job

@job(queue="images")
def resize(image_id: int) -> None: ...

resize.enqueue(12)
"""

from __future__ import annotations

from importlib import import_module
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
    from sidelamb.batches.batch import Batch, BatchClosed, current_batch
    from sidelamb.batches.listing import Batches
    from sidelamb.batches.status import BatchGone, BatchStatus
    from sidelamb.client import Client
    from sidelamb.workflows.steps import WorkflowStopped, chain, group

__all__ = [
    "BadArgument",
    "BadCall",
    "BadOption",
    "Batch",
    "BatchClosed",
    "BatchGone",
    "BatchStatus",
    "Batches",
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
    "WorkflowStopped",
    "acancel",
    "after_invocation",
    "before_invocation",
    "cancel",
    "carry",
    "chain",
    "configure",
    "current_batch",
    "current_job",
    "default_client",
    "delay",
    "group",
    "job",
    "mark_deploy",
    "on_death",
    "on_error",
    "on_sandbox_start",
    "registry",
    "server_middleware",
]


_LATE = {
    "Client": "client",
    "Batch": "batches.batch",
    "BatchClosed": "batches.block",
    "current_batch": "batches.batch",
    "BatchGone": "batches.status",
    "BatchStatus": "batches.status",
    "Batches": "batches.listing",
    "WorkflowStopped": "workflows.steps",
    "chain": "workflows.steps",
    "group": "workflows.steps",
}
"""What is imported when it is first asked for. Declaring jobs needs no client, and with it redis-py."""


def __getattr__(name: str) -> object:
    """Import what few need when it is first asked for."""
    if name not in _LATE:
        raise AttributeError(f"module 'sidelamb' has no attribute {name!r}")
    with late_import:
        found: object = getattr(import_module(f"sidelamb.{_LATE[name]}"), name)
    globals()[name] = found
    return found
