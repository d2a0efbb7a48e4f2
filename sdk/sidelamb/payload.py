"""Job payloads as bytes: made, read, and changed without touching what is not ours.

A payload is compact UTF-8 JSON, and its bytes are its identity: Redis removes entries by exact bytes, and
other programs store fields here that we do not know. So a payload is only ever *spliced*: `edit` replaces or
adds the named top-level fields and leaves every other value as it came. Big integers, exponents and the order
of fields survive. Only space between values and needless escapes do not: see `tidy`.

This module does no I/O and knows no clock.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import orjson

from sidelamb.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "DEFAULT_QUEUE",
    "canonical",
    "decode",
    "edit",
    "encode",
    "is_tidy",
    "queue_of",
    "stamp_enqueued",
    "tidy",
]

DEFAULT_QUEUE = "default"
"""Where a payload without a usable `queue` goes."""

# orjson reads an integer beyond 64 bit as a float and so loses digits: such payloads take the slow road.
_LONG_INTEGER = b"0" * 19
_DIGITS_TO_0 = bytes.maketrans(b"123456789", b"0" * 9)
_PLAIN_ONLY = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
_decoder: Any = json.JSONDecoder()
_scan_value = _decoder.scan_once  # raw_decode without its checks
_scan_string = json.decoder.scanstring  # type: ignore[attr-defined]


def encode(value: Any) -> bytes:
    """Return `value` as compact UTF-8 JSON.

    Arguments are looked at by `values` before: this one would write NaN as null and a tuple as a list.

    Raises:
        TypeError: `value` holds something that JSON cannot say.
    """
    # A copy: what orjson returns is a large buffer made small, and a thousand of them, kept, have the system's
    # allocator give memory back and take it again for each, which costs ten times as much as the encoding.
    return b"%b" % orjson.dumps(value, option=_PLAIN_ONLY)


def canonical(value: Any) -> bytes:
    """Return `value` as JSON in which dicts that are equal are the same bytes; raises as `encode`."""
    return orjson.dumps(value, option=_PLAIN_ONLY | orjson.OPT_SORT_KEYS)


def decode(raw: bytes) -> dict[str, Any]:
    """Return the payload in `raw`, integers of any size kept to the last digit.

    Raises:
        Malformed: `raw` is not JSON, or not an object.
    """
    try:
        value = _loads_exactly(raw) if _LONG_INTEGER in raw.translate(_DIGITS_TO_0) else orjson.loads(raw)
    except ValueError as error:
        raise Malformed(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Malformed(f"a job is a JSON object, this is {type(value).__name__}")
    return value


def _loads_exactly(raw: bytes) -> Any:
    orjson.loads(raw)  # the stricter reader decides what is JSON (no NaN, no lone surrogate)
    try:
        return json.loads(raw)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def edit(raw: bytes, changes: Mapping[str, Any], drop: Iterable[str] = ()) -> bytes:
    """Return `raw` with top-level fields changed, added or dropped, and every other value as it came.

    A changed field keeps its place; a new one goes to the end. Of a field that stands twice only the last
    counts, as everywhere in JSON, and only it stays. What is written is `tidy`.

    Args:
        raw: a payload, which `decode` can read.
        changes: new values by field name.
        drop: names of fields to remove.

    Raises:
        Malformed: `raw` is not a JSON object.
        TypeError: a new value is not plain JSON.
    """
    fields = dict(_pairs(tidy(raw)))
    for name in drop:
        fields.pop(name, None)
    for name, value in changes.items():
        fields[name] = f"{encode(name).decode()}:{encode(value).decode()}"
    return ("{" + ",".join(fields.values()) + "}").encode()


def is_tidy(raw: bytes) -> bool:
    """Return whether JSON is compact, with no escapes but the short ones.

    Only so written does Sidekiq write the same bytes when it writes a payload anew, and by its bytes it finds it.
    Whether it is JSON at all is not looked at.
    """
    if b"\n" in raw or b"\t" in raw or b"\r" in raw:
        return False
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"")
        if b"\\u" in raw or b"\\/" in raw:
            return False
        raw = raw.replace(b'\\"', b"")
    return b" " not in raw or b" " not in b"".join(raw.split(b'"')[::2])  # every other part is outside of texts


def tidy(raw: bytes) -> bytes:
    """Return a payload without space between values and with raw UTF-8 for escapes; numbers stay as written.

    Raises:
        Malformed: it is not JSON.
    """
    if is_tidy(raw):
        return raw
    try:
        orjson.loads(raw)  # without its spaces `1 2` would become a number
    except ValueError as error:
        raise Malformed(f"not JSON: {error}") from None
    return _SPACE_OR_TEXT.sub(_tidied, raw)


_SPACE_OR_TEXT = re.compile(rb'[ \t\n\r]++|"(?:[^"\\]++|\\.)*+"')


def _tidied(token: re.Match[bytes]) -> bytes:
    text = token[0]
    if not text.startswith(b'"'):
        return b""
    return orjson.dumps(orjson.loads(text)) if b"\\" in text else text


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    """Return (name, `"name":value` as it stands) for each top-level field of a tidy payload."""
    found: list[tuple[str, str]] = []
    try:
        text = raw.decode()
        if text == "{}":
            return found
        at, sign = 0, "{"
        while text[at] == sign and text[at + 1] == '"':
            name, colon = _scan_string(text, at + 2, True)  # noqa: FBT003
            if text[colon] != ":":
                break
            _, end = _scan_value(text, colon + 1)
            found.append((name, text[at + 1 : end]))
            at, sign = end, ","
    except (ValueError, IndexError, StopIteration, RecursionError) as error:
        raise Malformed(f"not a JSON object: {error}") from None
    if not found or text[at:] != "}":
        raise Malformed(f"not a JSON object: odd at {at}")
    return found


def stamp_enqueued(raw: bytes, stamp: float, old: Any = None) -> bytes:
    """Return `raw` as it enters a queue at time `stamp`: with this `enqueued_at`, without `at` (WIRE: push).

    Args:
        raw: a payload.
        stamp: the time, as it is written.
        old: its `enqueued_at` until now, if that is known: a number is then replaced without reading all of `raw`.
    """
    if not raw.endswith(b"}") or raw == b"{}" or b'"at"' in raw or not is_tidy(raw):
        return edit(raw, {"enqueued_at": stamp}, drop=("at",))
    if b'"enqueued_at"' not in raw:
        return b'%b,"enqueued_at":%b}' % (raw[:-1], orjson.dumps(stamp))
    head, name, rest = raw.partition(b'"enqueued_at":')
    if type(old) not in {int, float} or name in rest:  # it stands in the arguments too
        return edit(raw, {"enqueued_at": stamp})
    return b"%b%b%b%b" % (head, name, orjson.dumps(stamp), rest.lstrip(b"-+.0123456789eE"))


def queue_of(payload: Mapping[str, Any], default: str = DEFAULT_QUEUE) -> str:
    """Return the queue a payload names, or the default one where it names none that can be used."""
    queue = payload.get("queue")
    return queue if isinstance(queue, str) and queue else default
