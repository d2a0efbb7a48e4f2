"""What a function makes once in a sandbox: at its cold start in Lambda, elsewhere when it is first needed.

Lambda gives the import of a handler's module a whole processor and ends what cannot start; so there everything
is made at once, and a wrong setting is told before any job is taken. A test, or a tool that only wants a class of
that module, needs no settings for it.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["once"]

T = TypeVar("T")


def once(make: Callable[[], T]) -> Callable[[], T]:
    """Return the function that gives what `make` makes, the same each time."""
    made = cache(make)
    if "AWS_LAMBDA_RUNTIME_API" in os.environ:
        made()
    return made
