"""Encrypted arguments: sealed with AES-256-GCM when a job is made, opened by the worker just before its function.

    @job(encrypt=True)
    def charge(card: str, *, cents: int) -> None: ...

All arguments are one sealed text, the only one in `args`; the field `sealed` names the key. A job's class and id
are sealed along, so that nobody can move the text to another job. The keys are in SIDELAMB_KEYS (`id:base64,…`, or
the ARN of a secret that holds this) or `configure(keys={id: bytes})`: the first one seals, all of them open.
"""

from __future__ import annotations

import base64
import hmac
import os
import time
from typing import TYPE_CHECKING, Any

from sidelamb import settings
from sidelamb.errors import ConfigError, SidelambError
from sidelamb.payload import encode
from sidelamb.registry import registry
from sidelamb.values import are_plain, explain

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HIDDEN", "checked_keys", "lock_keys", "opened", "seal"]

HIDDEN = "[encrypted]"
"""What is shown in place of sealed arguments."""

KEY_BYTES = 32
AGAIN_S = 60.0
"""Between two looks into the secret for a key that is not known here."""
NONCE_BYTES = 12
"""Random; one key seals 2³² jobs before two of the same become likely enough to matter (NIST SP 800-38D)."""


def seal(payload: dict[str, Any], _at: float | None = None) -> None:
    """Seal the arguments of a payload that has its class and id.

    Raises:
        BadArgument: an argument is not plain JSON.
        ConfigError: there is no key, or `sidelamb[encryption]` is not installed.
    """
    args, kwargs = payload["args"], payload.pop("kwargs", {})
    if not are_plain(args) or not are_plain(kwargs.values()):
        job = registry.find(payload["class"])
        raise explain(payload["class"], args, kwargs, job.template.shape.names if job is not None else ())
    keys = _some_keys(payload["class"])
    name, key = next(iter(keys.items()))
    nonce = os.urandom(NONCE_BYTES)
    text = _cipher(key).encrypt(nonce, encode([args, kwargs]), _bound_to(payload))
    payload["args"] = [base64.b64encode(nonce + text).decode()]
    payload["sealed"] = name


def opened(payload: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a sealed payload.

    Raises:
        ConfigError: its key is not here.
        SidelambError: it is not what was sealed, or not with this key.
    """
    name, what = payload.get("sealed"), f"{payload.get('class')} {payload.get('jid')}"
    keys = _keys()
    if name not in keys:
        keys = _keys_anew()
    if name not in keys:
        known = ", ".join(keys) or "none"
        raise ConfigError(
            f"{what} is encrypted with the key {name!r}, which is not here (keys: {known}); "
            "add it to SIDELAMB_KEYS"
        )
    cipher = _cipher(keys[name])
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - only who opens something pays for it

    try:
        text = base64.b64decode(payload["args"][0], validate=True)
        plain = cipher.decrypt(text[:NONCE_BYTES], text[NONCE_BYTES:], _bound_to(payload))
    except (InvalidTag, ValueError, TypeError, LookupError):
        raise SidelambError(
            f"{what} cannot be decrypted: the key {name!r} is another one here than where it was enqueued, or its "
            "arguments, its class or its id were changed"
        ) from None
    import orjson  # noqa: PLC0415 - loaded by every client already

    args, kwargs = orjson.loads(plain)
    return args, kwargs


def lock_keys(name: str) -> list[bytes]:
    """Return the keys of the digests of a unique job of this name: one from each key, the sealing one's first.

    Raises:
        ConfigError: there is no key.
    """
    return [hmac.digest(key, b"sidelamb: locks of unique jobs", "sha256") for key in _some_keys(name).values()]


def checked_keys(keys: Any, where: str) -> dict[str, bytes]:
    """Return keys by id; raises ConfigError for what cannot be one, and never shows it."""
    if not isinstance(keys, dict):
        raise ConfigError(f"{where} takes a dict of key ids and keys of {KEY_BYTES} bytes")
    for name, key in keys.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise ConfigError(f"{where}: a key's id is letters, digits and _, like k1")
        if not isinstance(key, bytes) or len(key) != KEY_BYTES:
            raise ConfigError(
                f"{where}: the key {name} does not have {KEY_BYTES} bytes; make one by secrets.token_bytes"
            )
    return dict(keys)


def _some_keys(whose: str) -> dict[str, bytes]:
    keys = _keys()
    if not keys:
        raise ConfigError(
            f"{whose} encrypts its arguments and there is no key: set SIDELAMB_KEYS, like "
            "SIDELAMB_KEYS=k1:<32 bytes in base64>, for the app and for its workers"
        )
    return keys


def _keys() -> dict[str, bytes]:
    given = settings.keys()
    if not isinstance(given, str):
        return dict(given)
    if not given.startswith("arn:"):
        return _read(given, "SIDELAMB_KEYS")
    from sidelamb.secret import text_in  # noqa: PLC0415 - few need it

    return _read(text_in(given), f"SIDELAMB_KEYS, the secret {given}")


def _keys_anew() -> dict[str, bytes]:
    """Return the keys, out of their secret once more: somebody may have rotated them since."""
    now, given = time.monotonic(), settings.keys()
    if isinstance(given, str) and given.startswith("arn:") and now >= _Secret.again_at:
        from sidelamb.secret import text_in  # noqa: PLC0415 - few need it

        _Secret.again_at = now + AGAIN_S
        text_in.cache_clear()
    return _keys()


class _Secret:
    again_at = 0.0
    """Of the process's monotonic clock: when an unknown key may have the secret read once more."""


def _read(text: str, where: str) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, colon, key = part.partition(":")
        if not colon:  # and perhaps the key itself is what stands there
            raise ConfigError(f"{where}: a key has no id; write id:base64,id:base64")
        try:
            keys[name] = base64.b64decode(key, validate=True)
        except ValueError:
            raise ConfigError(f"{where}: the key {name} is no base64; write id:base64,id:base64") from None
    return checked_keys(keys, where)


def _bound_to(payload: Mapping[str, Any]) -> bytes:
    return encode([payload["class"], payload["jid"]])


def _cipher(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - only if used
    except ImportError:
        raise ConfigError("encrypted arguments need pip install 'sidelamb[encryption]'") from None
    return AESGCM(key)
