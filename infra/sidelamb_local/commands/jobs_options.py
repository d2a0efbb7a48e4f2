"""What the commands about jobs take, all alike."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_type_hints

import typer

from sidelamb_local.commands.completing import set_names
from sidelamb_local.commands.options import RedisOption, YesOption

if TYPE_CHECKING:
    from collections.abc import Callable

SetArgument = Annotated[
    str, typer.Argument(metavar="SET", help="retries, scheduled, dead, or queue:NAME.", autocompletion=set_names)
]
JidsArgument = Annotated[list[str] | None, typer.Argument(metavar="[JID]...", help="Ids of jobs.")]
ClassOption = Annotated[str, typer.Option("--class", metavar="NAME", help="Those of one class.")]
ErrorOption = Annotated[str, typer.Option("--error", metavar="CLASS", help="Those with one class of error.")]
MatchOption = Annotated[
    str,
    typer.Option(
        "--match",
        metavar="TEXT",
        help="Those that contain a text: id, class, queue, arguments, tags, error; * stands for anything.",
    ),
]
AllOption = Annotated[bool, typer.Option("--all", help="All of the set. Asks first.")]


class Which(NamedTuple):
    """The jobs that a command is to act on, as its line says it."""

    set_: SetArgument
    jids: JidsArgument = None
    name: ClassOption = ""
    error: ErrorOption = ""
    match: MatchOption = ""
    every: AllOption = False
    yes: YesOption = False
    redis: RedisOption = ""


def of_which(command: Callable[..., None]) -> Callable[..., None]:
    """Have a command whose first parameter is a `Which` take the fields of one in its place, for typer."""

    @functools.wraps(command)
    def taken(**given: Any) -> None:
        command(Which(**{field: given.pop(field) for field in Which._fields}), **given)

    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    hints, defaults = get_type_hints(Which, include_extras=True), Which._field_defaults
    fields = [
        inspect.Parameter(
            field,
            inspect.Parameter.KEYWORD_ONLY,
            default=defaults.get(field, inspect.Parameter.empty),
            annotation=hint,
        )
        for field, hint in hints.items()
    ]
    both = [*fields, *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own)]
    taken.__signature__ = inspect.Signature(both)  # type: ignore[attr-defined]
    taken.__annotations__ = {one.name: one.annotation for one in both}
    return taken
