"""What all calls of one job have in common: its name on the wire, the fields before its arguments, its signature.

Made once for a job (or for a job with options of a call), so that a single call only fills in what is new.
"""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from sidelamb.effects import FIELDS
from sidelamb.errors import BadCall
from sidelamb.late import late_import
from sidelamb.payload import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sidelamb.codec import Codec

    Mark = Callable[[dict[str, Any], float | None], None]

__all__ = ["Frame", "Shape", "Template"]

_PLAIN = (inspect.Parameter.empty, bool, int, float, str, "bool", "int", "float", "str", "Any")
_POSITIONAL = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}


class Shape:
    """Which arguments a job's function takes.

    Args:
        job: its wire name.
        function: what a worker will call.
    """

    __slots__ = ("_job", "_signature", "codec", "hints", "least", "most", "names")

    def __init__(self, job: str, function: Callable[..., Any]) -> None:
        self._job = job
        self._signature = _signature(function)
        parameters = list(self._signature.parameters.values()) if self._signature else []
        positional = [p for p in parameters if p.kind in _POSITIONAL]
        needed = [p for p in positional if p.default is p.empty]
        self.names = tuple(p.name for p in positional)
        self.least = len(needed)
        self.most: float = len(positional)
        """With so many positional arguments, and no others, a call is right."""
        if self._signature is None or any(p.kind is p.VAR_POSITIONAL for p in parameters):
            self.most = math.inf
        if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
            self.most = -1
        self.codec: Codec | None = None
        """Carries the arguments whose annotations are not plain JSON; None if all are."""
        self.hints: Mapping[str, str] = {}
        """By the name of an argument: why its annotation does not carry it."""
        if self._signature and any(_is_more_than_plain(p.annotation) for p in parameters):
            with late_import:
                from sidelamb.codec import codec_of  # noqa: PLC0415 - most jobs need none

            self.codec, self.hints = codec_of(job, function, self._signature)

    def takes(self, count: int) -> bool:
        """Say whether the function takes so many positional arguments and no others."""
        return self._signature is None or self.least <= count <= self.most

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise BadCall if the function would not take these arguments."""
        if self._signature is None or (not kwargs and self.takes(len(args))):
            return
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise BadCall(f"{self._job}{self._shown()} cannot be called like this: {error}") from None

    def _shown(self) -> str:
        """Return the signature without its types, which are texts in modules with postponed annotations."""
        if self._signature is None:
            return ""
        bare = [p.replace(annotation=p.empty) for p in self._signature.parameters.values()]
        return str(inspect.Signature(bare))


class Frame(NamedTuple):
    """What is the same in the payloads of many calls that are made at once, as bytes around what is not."""

    name: str
    queue: str
    head: bytes
    """To the bracket that opens the arguments."""
    middle: bytes
    """From the bracket that closes them to the quote before the id."""
    tail: bytes
    """From the quote after the id."""

    @property
    def size(self) -> int:
        """Bytes of a payload beside its arguments."""
        return len(self.head) + len(self.middle) + 24 + len(self.tail)


class Template:
    """A job's payload but for what is new in each call.

    Args:
        name: its wire name.
        head: the fields that its options write.
        shape: the arguments it takes; None for a job of another service, whose function is not here.
        expires_in_s: seconds in which it may be started, from its enqueue or its scheduled time.
        marks: put the fields of its features into a payload that is complete otherwise.
    """

    __slots__ = ("expires_in_s", "head", "marks", "name", "shape", "uses_features")

    def __init__(
        self,
        name: str,
        head: Mapping[str, Any],
        shape: Shape | None = None,
        *,
        expires_in_s: float | None = None,
        marks: Sequence[Mark] = (),
    ) -> None:
        self.name = name
        self.head = dict(head)
        self.shape = shape or _ANY
        self.expires_in_s = expires_in_s
        self.marks = tuple(marks)
        self.uses_features = bool(self.marks) or not FIELDS.isdisjoint(self.head)

    def payload(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        jid: str,
        now: float,
        at: float | None = None,
        *,
        ms: bool = False,
    ) -> dict[str, Any]:
        """Return a new payload with its fields in Sidekiq's order. The arguments are not checked here.

        Args:
            args: positional ones of the call.
            kwargs: its keyword arguments.
            jid: its id.
            now: epoch s.
            at: when it is to run, epoch s, or None for now.
            ms: whether timestamps are written as whole milliseconds.
        """
        payload = self.head.copy()
        payload["args"] = list(args)
        if kwargs:
            payload["kwargs"] = dict(kwargs)
        payload["class"] = self.name
        payload["jid"] = jid
        payload["created_at"] = round(now * 1000) if ms else now
        if self.expires_in_s is not None:
            payload["expiry"] = max(now, at or 0.0) + self.expires_in_s
        for mark in self.marks:
            mark(payload, at)
        return payload

    def frame(self, now: float, more: Mapping[str, Any], *, ms: bool = False) -> Frame:
        """Return what is around arguments and id in the payloads of calls without keyword arguments.

        Args:
            now: epoch s.
            more: fields that follow what `payload` makes.
            ms: as for `payload`.
        """
        whole = encode({**self.payload((), {}, "", now, ms=ms), **more})
        head, args, rest = whole.partition(b'"args":[')  # within a text the quotes would be escaped
        middle, jid, tail = rest.partition(b'"jid":"')
        return Frame(self.name, self.head["queue"], head + args, middle + jid, tail)


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # compiled code may not tell
        return None


def _is_more_than_plain(annotation: Any) -> bool:
    """Say whether an annotation has to be looked at: most are none, or a plain type or its name."""
    return annotation not in _PLAIN


def _anything(*args: Any, **kwargs: Any) -> None:
    """Take any arguments."""


_ANY = Shape("", _anything)
