"""What the local stack refuses, as exceptions.

    LocalStackError          something on this machine is missing or did not start
    └── TemplateError        the SAM template cannot be used as it is

    InvocationError          an invocation came to no answer
    ├── Throttled            all sandboxes are busy: it did not run
    ├── SandboxGone          its sandbox ended first: it did not run (never leaves the service)
    └── ServiceStopped       the service was stopped: what it did is unknown

Those of the first tree carry one line: what is wrong and what to do next. A command prints it and ends.
"""

from __future__ import annotations

EXIT_INTERRUPTED = 130
"""Exit status of a command that Ctrl-C has ended, as shells have it."""


class LocalStackError(Exception):
    """The local stack cannot be started here. The message says what to do next."""


class TemplateError(LocalStackError):
    """The SAM template cannot be used. The message names the place in it and what to change."""


class InvocationError(Exception):
    """An invocation came to no answer."""


class Throttled(InvocationError):
    """All sandboxes are busy and there may be no more. `reserved`: the limit is the function's own."""

    def __init__(self, *, reserved: bool) -> None:
        super().__init__("Rate Exceeded.")
        self.reserved = reserved


class SandboxGone(InvocationError):
    """The process ended before it took the event: another sandbox may have it."""


class ServiceStopped(InvocationError):
    """The local Lambda service is stopping; whatever ran was cut off."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)
