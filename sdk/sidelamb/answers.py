"""What Redis answers when it does not do what it was told, and the errors that come of that.

redis-py takes the code off some answers and puts it into the class; others keep it as their first word. Which
of them it does depends on its release, so both are read here.
"""

from __future__ import annotations

import redis.exceptions as rx

from sidelamb.errors import RedisRefused, RedisUncertain, RedisUnreachable

__all__ = ["DISPLACED", "code_of", "hangs_up", "is_answer", "lost", "refused", "unreachable"]

_CODES = {
    "AskError": "ASK",
    "AuthenticationError": "",
    "BusyLoadingError": "LOADING",
    "ClusterCrossSlotError": "CROSSSLOT",
    "ClusterDownError": "CLUSTERDOWN",
    "MasterDownError": "MASTERDOWN",
    "MovedError": "MOVED",
    "NoPermissionError": "NOPERM",
    "NoScriptError": "NOSCRIPT",
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "TryAgainError": "TRYAGAIN",
}
_ANSWERED = (rx.ResponseError, rx.BusyLoadingError, rx.AuthenticationError, rx.AuthorizationError)
_FULL = "max number of clients reached"

DISPLACED = frozenset({"READONLY", "MASTERDOWN", "LOADING", "CLUSTERDOWN"})
"""Codes of a server that is not, or not now, the one to ask: nothing ran, and another may know better."""

_ADVICE = {
    "OOM": " Redis is full: raise maxmemory or let the jobs drain.",
    "READONLY": " This is a replica: connect to the primary.",
    "WRONGTYPE": " Another program uses one of our keys: use a database or a namespace of its own.",
    "NOAUTH": " Put the password into the URL.",
    "Authentication": " Put the password into the URL.",
    "WRONGPASS": " Check user and password in the URL.",
    "invalid username-password": " Check user and password in the URL.",
    "NOPERM": " The Redis user needs EVALSHA, EVAL and the commands of the scripts.",
    "LOADING": " It is loading its data: try again in a moment.",
    "CROSSSLOT": " On Redis Cluster the namespace must be a hash tag: set SIDELAMB_NAMESPACE={app}.",
    "CLUSTERDOWN": " The cluster has no primary for some keys: try again when it has failed over.",
    "TRYAGAIN": " The cluster is moving our keys to another node: try again in a moment.",
    "MASTERDOWN": " Its primary is away: try again when it has failed over.",
    "NOREPLICAS": " Too few replicas are there for its min-replicas-to-write.",
    "MISCONF": " It cannot save its data: look into its log.",
    "UNBLOCKED": " It became a replica.",
    _FULL: " Raise its maxclients, or use fewer processes.",
}


def is_answer(error: BaseException) -> bool:
    """Say whether an error is Redis's own word: it did not do it."""
    return isinstance(error, _ANSWERED) or hangs_up(error)


def hangs_up(error: BaseException) -> bool:
    """Say whether Redis closes the connection after an answer."""
    return _FULL in str(error)


def code_of(reply: object) -> str:
    """Return the code of an error that Redis answered, such as MOVED; empty for any other reply."""
    if not isinstance(reply, Exception):
        return ""
    code = _CODES.get(type(reply).__name__)
    if code is None:
        word = str(reply).partition(" ")[0]
        code = word if word.isupper() else ""
    return code


def refused(error: Exception, address: str) -> RedisRefused:
    """Return Redis's own refusal as ours, with what to do about the usual ones."""
    text, code = str(error).rstrip("."), code_of(error)
    said = text if code in text else f"{code} {text}"
    advice = next((a for sign, a in _ADVICE.items() if sign in said), "")
    error_of_ours = RedisRefused(f"Redis at {address} refused: {said}; nothing was changed.{advice}")
    error_of_ours.code = code
    return error_of_ours


def unreachable(address: str, error: BaseException) -> RedisUnreachable:
    """Return the error for a connection that could not be made."""
    return RedisUnreachable(
        f"Redis at {address} cannot be reached ({str(error) or 'no answer in time'}); nothing was changed. "
        "Check SIDELAMB_REDIS_URL and that the server runs."
    )


def lost(address: str, error: BaseException) -> RedisUncertain:
    """Return the error for a reply that did not come."""
    why = str(error) or "no answer in time"
    return RedisUncertain(
        f"The connection to Redis at {address} broke before the answer ({why}): "
        "the command may have been carried out or not."
    )
