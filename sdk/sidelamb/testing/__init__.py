"""For the tests of apps: run what was enqueued, here and now.

from sidelamb.testing import drain

signup("ann@example.org")
drain()
"""

from __future__ import annotations

from sidelamb.testing.draining import adrain, drain
from sidelamb.testing.report import Drained, Ran

__all__ = ["Drained", "Ran", "adrain", "drain"]
