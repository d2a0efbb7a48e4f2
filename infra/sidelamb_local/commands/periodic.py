"""`sidelamb periodic`: the jobs that the clock enqueues, and a person's hands on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sidelamb_local.commands.completing import periodic_names
from sidelamb_local.commands.group import group
from sidelamb_local.commands.options import JsonOption, PageOption, RedisOption, SizeOption, connect
from sidelamb_local.errors import LocalStackError

if TYPE_CHECKING:
    from sidelamb.api import Periodic, Periodics

HELP = """
Look at periodic jobs, hold them, run one now.

    sidelamb periodic list
    sidelamb periodic show jobs.clean
    sidelamb periodic pause jobs.clean
    sidelamb periodic run jobs.clean
"""
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The periodic job's name.", autocompletion=periodic_names)
]
NamesArgument = Annotated[
    list[str], typer.Argument(metavar="NAME...", help="Names of periodic jobs.", autocompletion=periodic_names)
]


def list_(
    page: PageOption = 1, size: SizeOption = 100, as_json: JsonOption = False, redis: RedisOption = ""
) -> None:
    """List the periodic jobs by name: when each comes next, and what it enqueued last.

    sidelamb periodic list
    sidelamb periodic list --json --page 0 | jq 'select(.is_paused) | .name'
    """
    from sidelamb.api import Periodics
    from sidelamb_local import periodic_view
    from sidelamb_local.listing import Listing

    periodics = Periodics(connect(redis))
    Listing(
        "periodic jobs",
        periodics.size,
        periodics.page,
        lambda: periodics,
        periodic_view.as_json,
        periodic_view.COLUMNS,
        periodic_view.row,
    ).show(page, size, as_json=as_json)


def show(name: NameArgument, as_json: JsonOption = False, redis: RedisOption = "") -> None:
    """Show a periodic job, and the last 100 jobs that it has enqueued, the newest first.

    sidelamb periodic show jobs.clean
    sidelamb periodic show jobs.clean --json | jq .history
    """
    from sidelamb.api import Periodics
    from sidelamb_local import periodic_view
    from sidelamb_local.out import document, line, say, table
    from sidelamb_local.plain import plain

    periodics = Periodics(connect(redis))
    one = _known(periodics, [name])[0]
    history = periodics.history(name)
    if as_json:
        document(periodic_view.with_history(one, history))
        return
    for field, value in periodic_view.for_people(one).items():
        line(f"{field:>13}  {plain(value, 1_000)}")
    say()
    table(periodic_view.TICKED, [periodic_view.ticked_row(each) for each in history], right=("late",))


def pause(names: NamesArgument, redis: RedisOption = "") -> None:
    """Let ticks pass without a job, until `resume`. Those that pass meanwhile are gone.

    sidelamb periodic pause jobs.clean
    """
    _turn(names, redis, paused=True)


def resume(names: NamesArgument, redis: RedisOption = "") -> None:
    """Let the ticks of a paused one count again, from the next one on.

    sidelamb periodic resume jobs.clean
    """
    _turn(names, redis, paused=False)


def run(name: NameArgument, redis: RedisOption = "") -> None:
    """Enqueue it now, paused or not, beside its ticks; prints the job's id. Kept out by a job like it: status 1.

    sidelamb periodic run jobs.clean
    """
    from sidelamb.api import Periodics
    from sidelamb_local.out import line, note

    periodics = Periodics(connect(redis))
    _known(periodics, [name])
    jid = periodics.run_now(name)
    line(jid)
    if any(each.kept_out_by == jid and each.tick is None for each in periodics.history(name)[:5]):
        note("not enqueued: it is unique, and the job of this id is there already")
        raise typer.Exit(1)


def _turn(names: list[str], redis: str, *, paused: bool) -> None:
    """Turn all, or none if one of them is not there."""
    from sidelamb.api import Periodics
    from sidelamb_local.out import line

    periodics = Periodics(connect(redis))
    word = "paused" if paused else "resumed"
    for one in _known(periodics, names):
        changed = periodics.pause(one.name) if paused else periodics.resume(one.name)
        line(f"{one.name} {word}" if changed else f"{one.name} was {'paused' if paused else 'not paused'}")


def _known(periodics: Periodics, names: list[str]) -> list[Periodic]:
    """Return those of these names.

    Raises:
        LocalStackError: there is none of a name.
    """
    from sidelamb.wording import did_you_mean

    found = []
    for name in names:
        one = periodics.find(name)
        if one is None:
            hint = did_you_mean(name, [each.name for each in periodics]) or " `sidelamb periodic list` has all."
            raise LocalStackError(f"there is no periodic job {name!r}.{hint}")
        found.append(one)
    return found


periodic = group(HELP)
periodic.command("list")(list_)
for one in (show, pause, resume, run):
    periodic.command()(one)
