"""Every error that Sidelamb raises in app code, drawn as one tree.

::

    SidelambError
    ├── ConfigError            a setting is missing or wrong
    ├── JobError               a job is declared or called wrongly
    │   ├── UnknownOption      an option that no job has
    │   ├── BadOption          an option's value, or a name, that cannot be
    │   │   └── UnknownQueue   a queue that configure(queues=…) does not list
    │   ├── NameTaken          two functions under one name
    │   ├── BadArgument        an argument that JSON cannot carry
    │   ├── BadCall            arguments that the function would not take
    │   ├── PayloadTooLarge    more bytes than the limit
    │   └── NotAJob            delay() of something that is not registered
    ├── Malformed              bytes that are not a job payload
    └── RedisError             Redis could not do it
        ├── RedisUnreachable   no connection: certainly not done
        ├── RedisRefused       Redis said no: certainly not done
        ├── RedisUncertain     the answer got lost: perhaps done, perhaps not
        └── NotPushed          a transaction is committed, and its jobs are not in Redis

An error says what happened, to which job or queue, and what to do next. The default sentence of each stands
in its docstring.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "BadArgument",
    "BadCall",
    "BadOption",
    "ConfigError",
    "JobError",
    "Malformed",
    "NameTaken",
    "NotAJob",
    "NotPushed",
    "PayloadTooLarge",
    "RedisError",
    "RedisRefused",
    "RedisUncertain",
    "RedisUnreachable",
    "SidelambError",
    "UnknownOption",
    "UnknownQueue",
]


class SidelambError(Exception):
    """Something in Sidelamb went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").partition("\n")[0])


class ConfigError(SidelambError):
    """A setting is missing or wrong; check the environment and sidelamb.toml."""


class JobError(SidelambError):
    """A job is declared or called wrongly; nothing was enqueued.

    Attributes:
        stored: jobs that a bulk call had certainly stored before the error.
    """

    stored: int = 0


class UnknownOption(JobError):
    """There is no such job option."""


class BadOption(JobError):
    """The value of an option is of the wrong type or out of range."""


class UnknownQueue(BadOption):
    """This queue is not among those that configure(queues=[…]) lists."""


class NameTaken(JobError):
    """Another job has this name; give one of them a name of its own with @job(name=…)."""


class BadArgument(JobError):
    """An argument is not a JSON value; send null, booleans, numbers, strings, lists and dicts."""


class BadCall(JobError):
    """The job's function would not take these arguments; nothing was enqueued."""


class PayloadTooLarge(JobError):
    """The payload is over the limit; store the data elsewhere and send its id."""


class NotAJob(JobError):
    """This is not a registered job; decorate the function with @job."""


class Malformed(SidelambError):
    """These bytes are not a job payload."""


class RedisError(SidelambError):
    """Redis could not do it.

    Attributes:
        jids: ids of the jobs that the call was about, empty if it was about none.
        stored: jobs that a bulk call had certainly stored before those.
    """

    jids: tuple[str, ...] = ()
    stored: int = 0


class RedisUnreachable(RedisError):
    """Redis cannot be reached; nothing was stored. Check the URL and that the server runs."""


class RedisRefused(RedisError):
    """Redis refused the command; nothing was stored.

    Attributes:
        code: the first word of Redis's answer, such as OOM; empty if it has none.
    """

    code: str = ""


class RedisUncertain(RedisError):
    """The connection broke before Redis answered: the command may have been carried out or not."""


class NotPushed(RedisError):
    """A transaction is committed, but its jobs were not pushed; do not repeat it.

    Attributes:
        uncertain: those of `jids` that are perhaps in Redis, because the answer got lost.
        payloads: the jobs, as `Client.push_many` takes them.
    """

    uncertain: tuple[str, ...] = ()
    payloads: tuple[dict[str, Any], ...] = ()
