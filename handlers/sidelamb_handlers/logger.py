"""powertools' Logger, imported without the botocore that its package would load.

The package looks for botocore to name itself in the headers of boto3 calls. A worker makes none, and its cold
start should not pay for it: so botocore is out of sight while powertools is imported. An app that uses boto3 in
its jobs imports it as ever.
"""

from __future__ import annotations

import sys

__all__ = ["Logger", "new_logger"]

_hidden = "botocore" not in sys.modules
if _hidden:
    sys.modules["botocore"] = None  # type: ignore[assignment]  # as if it were not installed
try:
    from aws_lambda_powertools import Logger
finally:
    if _hidden:
        del sys.modules["botocore"]


def new_logger() -> Logger:
    """Return the logger of our own lines: JSON, and nothing in it that says nothing.

    Where a line stands in our code helps nobody, the invocation's request id leads to its X-Ray trace, and whose
    line it is its log group says.
    """
    keys = {"location": None, "xray_trace_id": None}
    logger = Logger(service="sidelamb", use_rfc3339=True, **keys)  # type: ignore[arg-type]
    logger.remove_keys(["service"])
    return logger
