"""Whether Lambda has the functions, and they may be invoked from this machine: for `sidelamb doctor`.

Each function is asked by a dry run, which checks that it is there and may be invoked, and runs nothing.
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any

from sidelamb_local.finding import Finding, Sign

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["about_lambda"]

TIMEOUT_S = 5


def about_lambda(functions: Iterable[str]) -> list[Finding]:
    """Say of each function whether it may be invoked from here."""
    names = [name for name in dict.fromkeys(functions) if name]
    if not names:
        return [Finding(Sign.WARNING, "no function was asked: name it in sidelamb.toml, or in SIDELAMB_FUNCTION")]
    if importlib.util.find_spec("boto3") is None:
        return [Finding(Sign.WARNING, "Lambda was not asked: boto3 is missing; pip install 'sidelamb[aws]'")]
    return _asked(names)


def _asked(names: list[str]) -> list[Finding]:
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    settings = Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 1})
    try:
        session = boto3.Session()
        if session.get_credentials() is None:
            return [
                Finding(
                    Sign.WARNING,
                    "no AWS credentials are here, so no function was asked; aws sso login, or set AWS_PROFILE",
                )
            ]
        region = session.region_name
        if not region:
            return [Finding(Sign.WARNING, "no AWS region is set, so no function was asked; set AWS_REGION")]
        client = session.client("lambda", config=settings)
    except (BotoCoreError, ValueError) as error:
        return [Finding(Sign.WRONG, f"AWS credentials or settings cannot be used: {_line(error)}; aws configure")]
    return [_of(name, client, region) for name in names]


def _of(name: str, client: Any, region: str) -> Finding:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        client.invoke(FunctionName=name, InvocationType="DryRun")
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        return Finding(Sign.WRONG, f"function {name}: {_advice(code, region) or _line(error)}")
    except (BotoCoreError, ValueError) as error:
        where = os.environ.get("AWS_ENDPOINT_URL_LAMBDA") or f"Lambda in {region}"
        return Finding(
            Sign.WRONG, f"function {name}: {where} cannot be reached: {_line(error)}; check network and region"
        )
    return Finding(Sign.OK, f"function {name} is there, and may be invoked from here")


def _advice(code: str, region: str) -> str:
    if code == "ResourceNotFoundException":
        return f"there is no such function in {region}; deploy it, or correct its name or the region"
    if "AccessDenied" in code:
        return "these credentials may not invoke it; allow lambda:InvokeFunction, or use others"
    if code in {"ExpiredTokenException", "ExpiredToken"}:
        return "the credentials have expired; aws sso login"
    if code in {"UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException"}:
        return "the credentials are none that AWS knows; correct AWS_PROFILE"
    return ""


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
