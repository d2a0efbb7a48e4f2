"""For the tests of apps: record what is enqueued, run it at once, or run what waits in a real Redis.

with fake() as jobs:
    sign_up("ann@example.org")
jobs.assert_enqueued(welcome, "ann@example.org", queue="mail")
"""

from __future__ import annotations

from sidelamb.testing.draining import adrain, drain
from sidelamb.testing.faking import fake
from sidelamb.testing.inlining import inline
from sidelamb.testing.invocation import LambdaContext, lambda_event
from sidelamb.testing.recorded import Jobs, Recorded
from sidelamb.testing.report import Drained, Ran

__all__ = [
    "Drained",
    "Jobs",
    "LambdaContext",
    "Ran",
    "Recorded",
    "adrain",
    "drain",
    "fake",
    "inline",
    "lambda_event",
]
