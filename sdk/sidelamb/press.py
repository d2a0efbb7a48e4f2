"""The payloads of many plain calls of one job, made together: what they have in common is encoded once.

The bytes are those that `packing` makes of each. What is not plain is left to it: it finds out which call is
wrong, and why. No I/O.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, overload

from sidelamb.bulk import MOST_CHUNK_BYTES
from sidelamb.packing import Packed
from sidelamb.payload import encode
from sidelamb.store import BULK
from sidelamb.values import SCALARS, are_plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidelamb.store import Call, Store
    from sidelamb.template import Frame, Shape

__all__ = ["Pressed", "gathered"]

FIRST = 10
"""So many calls of a chunk show how many more of their size fit into it."""


class Pressed(Sequence[Packed]):
    """Jobs that are pushed to one queue in one step.

    Args:
        frame: what is around the arguments and the id of each.
        args: of each, as JSON without its brackets.
        jids: the id of each, in hexadecimal digits.
    """

    __slots__ = ("_frame", "_jids", "raws")

    def __init__(self, frame: Frame, args: Sequence[bytes], jids: Sequence[bytes]) -> None:
        self._frame = frame
        self._jids = jids
        head, middle, tail = frame.head, frame.middle, frame.tail
        self.raws = [b"%b%b%b%b%b" % (head, a, middle, j, tail) for a, j in zip(args, jids, strict=True)]

    def __len__(self) -> int:
        return len(self.raws)

    @overload
    def __getitem__(self, index: int) -> Packed: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Packed]: ...
    def __getitem__(self, index: int | slice) -> Packed | Sequence[Packed]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(len(self)))]
        return Packed(self._jids[index].decode(), self._frame.name, self._frame.queue, None, self.raws[index])

    def calls(self, store: Store) -> Iterator[tuple[Call[Any], Sequence[Packed]]]:
        """Give the step, as a chunk does."""
        yield store.enqueue_to(self._frame.queue, self.raws), self


def gathered(shape: Shape, items: Iterator[Any]) -> Iterator[tuple[list[Any], list[bytes] | None]]:
    """Give the calls of a chunk, and the arguments of each as JSON without its brackets.

    None in their place says that one of the calls is not plain, or too much for a chunk.

    Args:
        shape: the arguments that the job takes.
        items: the arguments of each call; those that were given are taken from it, and no others.
    """
    while True:
        calls: list[Any] = []
        args: list[bytes] = []
        size, most = 0, FIRST
        while most > 0 and (step := list(islice(items, most))):
            found = _arguments(shape, step)
            calls += step
            if found is None:
                yield calls, None
                return
            args += found
            size += sum(map(len, found))
            most = min(BULK - len(calls), -(-(MOST_CHUNK_BYTES - size) * len(calls) // max(1, size)))
        if not calls:
            return
        yield calls, args


def _arguments(shape: Shape, items: Sequence[Any]) -> list[bytes] | None:
    if {*map(type, items)} != {tuple} or not all(map(shape.takes, {*map(len, items)})):
        return None
    kinds = {*map(type, chain.from_iterable(items))}
    if not kinds <= SCALARS and not _all_plain(kinds, items):
        return None
    try:
        parts = encode(items)[2:-2].split(b"],[")
        if len(parts) != len(items):  # so it stands within the arguments too
            parts = [encode(item)[1:-1] for item in items]
    except TypeError:
        return None
    return parts


def _all_plain(kinds: set[type], items: Sequence[Any]) -> bool:
    if kinds <= SCALARS | {float}:
        return all(math.isfinite(value) for value in chain.from_iterable(items) if type(value) is float)
    return all(map(are_plain, items))
