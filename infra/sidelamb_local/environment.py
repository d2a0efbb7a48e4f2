"""The environment a sandbox is given: Lambda's own variables, the function's, and little of this machine's.

A function sees what it will see on AWS. From this machine it takes only what a Python process needs to start
and to find its packages; whatever else a developer wants inside goes through `extra_env`, which wins over the
template, because that is where a local address replaces a deployed one. Lambda's own names win over both: AWS
would refuse them.
"""

from __future__ import annotations

import os
import secrets
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidelamb_local.template import FunctionSpec

ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"
INHERITED = ("PATH", "PYTHONPATH", "HOME", "VIRTUAL_ENV", "TMPDIR", "SIDELAMB_RUNTIME")

# Either would change the protocol that the sandbox speaks.
REFUSED = ("AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_MAX_CONCURRENCY")


def region() -> str:
    """The region the local stack pretends to be in."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION


def function_arn(name: str) -> str:
    """The ARN of a local function."""
    return f"arn:aws:lambda:{region()}:{ACCOUNT}:function:{name}"


def sandbox_environment(spec: FunctionSpec, runtime_api: str, extra: Mapping[str, str]) -> dict[str, str]:
    """All variables of one sandbox of `spec`, whose Runtime API is at `runtime_api` (host:port)."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    given = spec.environment | dict(extra)
    asked = {name: value for name, value in given.items() if name not in REFUSED}
    return inherited | {"LANG": "en_US.UTF-8", "TZ": ":UTC"} | asked | _own(spec, runtime_api)


def _own(spec: FunctionSpec, runtime_api: str) -> dict[str, str]:
    return {
        "_HANDLER": spec.handler,
        "AWS_DEFAULT_REGION": region(),
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start" if spec.snap_start else "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{spec.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{secrets.token_hex(16)}",
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "AWS_REGION": region(),
        "LAMBDA_TASK_ROOT": str(spec.code_dir),
    }
