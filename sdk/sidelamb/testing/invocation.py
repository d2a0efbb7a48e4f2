"""What Lambda gives to a handler: an event with jobs, and a context."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING, Any

from sidelamb.payload import encode
from sidelamb.testing.draining import handlers

if TYPE_CHECKING:
    from sidelamb.testing.recorded import Recorded

__all__ = ["LambdaContext", "lambda_event"]

_requests = itertools.count(1)


class LambdaContext:
    """Lambda's context object, with its time really running out.

    Args:
        seconds: what is left of the function's timeout.
        function_name: the function.
    """

    def __init__(self, seconds: float = 60.0, *, function_name: str = "sidelamb-worker") -> None:
        self._ends = time.monotonic() + seconds
        self.aws_request_id = f"test-{next(_requests)}"
        self.function_name = function_name
        self.function_version = "$LATEST"
        self.invoked_function_arn = f"arn:aws:lambda:eu-west-1:123456789012:function:{function_name}"
        self.memory_limit_in_mb = "128"
        self.log_group_name = f"/aws/lambda/{function_name}"
        self.log_stream_name = "test"

    def get_remaining_time_in_millis(self) -> int:
        """Return milliseconds until the function's timeout."""
        return max(0, round((self._ends - time.monotonic()) * 1000))


def lambda_event(*jobs: Recorded, threads: int = 1, seconds: float = 900.0) -> Any:
    """Return the event with which a poller has a worker run these jobs.

    It is a detached one: the worker neither claims nor settles in Redis, and what came of the jobs stands in its
    answer, in `outcomes`.

    Args:
        *jobs: as `fake` has recorded them.
        threads: how many run at once.
        seconds: how long the lease lives.
    """
    now = time.time()
    event = handlers("event").write_event(
        {f"{n}:{job.queue}": encode(job.payload) for n, job in enumerate(jobs)},
        lease="test:1",
        capsule="test",
        start_by=now + seconds,
        deadline=now + seconds,
        threads=threads,
        detached=True,
    )
    return json.loads(event)
