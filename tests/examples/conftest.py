"""The command line in this process, for what plays with the examples."""

from __future__ import annotations

from tests.infra.in_process import sidelamb

__all__ = ["sidelamb"]
