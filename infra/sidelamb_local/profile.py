"""An AWS profile: its keys, or one line about why there are none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sidelamb_local.errors import LocalStackError

if TYPE_CHECKING:
    from botocore.credentials import Credentials, ReadOnlyCredentials

__all__ = ["credentials_of", "keys_of", "use_profile"]


def use_profile(name: str) -> None:
    """Have a Redis that checks IAM see the keys of an AWS profile, for as long as they are valid.

    Raises:
        LocalStackError: there is no such profile, or it has no keys.
    """
    session = _session(name)
    keys = keys_of(credentials_of(name), name)
    values = {
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_SESSION_TOKEN": keys.token,
        "AWS_REGION": session.region_name,
    }
    os.environ.update({field: value for field, value in values.items() if value})


def credentials_of(name: str) -> Credentials:
    """Return what gives the keys of a profile and renews them; with no name, those that are meant here.

    Raises:
        LocalStackError: there is no such profile, or it has no keys.
    """
    import botocore.exceptions  # noqa: PLC0415 - only with a profile

    try:
        found = _session(name).get_credentials()
    except botocore.exceptions.BotoCoreError as error:
        raise _useless(name, str(error)) from None
    if found is None:
        raise _useless(name, "there are no keys")
    return found


def keys_of(credentials: Credentials, name: str) -> ReadOnlyCredentials:
    """Return the keys of now; whoever hands them out is asked anew if need be.

    Raises:
        LocalStackError: they have expired, and there are no others.
    """
    import botocore.exceptions as bx  # noqa: PLC0415 - only with a profile

    try:
        return credentials.get_frozen_credentials()
    except (
        bx.BotoCoreError,
        bx.ClientError,
        RuntimeError,
    ) as error:  # the last: what is handed out is old
        raise _useless(name, str(error)) from None


def _session(name: str) -> Any:
    import boto3  # noqa: PLC0415 - only with a profile
    import botocore.exceptions  # noqa: PLC0415

    try:
        return boto3.Session(profile_name=name or None)
    except botocore.exceptions.BotoCoreError as error:
        raise _useless(name, str(error)) from None


def _useless(name: str, why: str) -> LocalStackError:
    who, login = (f"--profile {name}", f"aws sso login --profile {name}") if name else ("AWS", "aws sso login")
    return LocalStackError(f"{who}: {why.rstrip('.')}; try `{login}`, or name another profile with --profile")
