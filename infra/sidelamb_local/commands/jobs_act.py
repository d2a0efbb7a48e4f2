"""`sidelamb jobs retry`, `kill`, `delete` and `reschedule`."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sidelamb_local.commands.asking import ask
from sidelamb_local.commands.jobs_options import Which, of_which
from sidelamb_local.commands.options import connect, json_of
from sidelamb_local.errors import EXIT_INTERRUPTED, LocalStackError

if TYPE_CHECKING:
    from sidelamb.api.entries import Move
    from sidelamb_local.places import Place


@of_which
def retry(
    which: Which,
    args: Annotated[str, typer.Option("--args", metavar="JSON", help="Of one job: other arguments, a list.")] = "",
    kwargs: Annotated[str, typer.Option("--kwargs", metavar="JSON", help="Others by keyword, an object.")] = "",
    queue: Annotated[str, typer.Option("--queue", metavar="NAME", help="Of one job: another queue.")] = "",
) -> None:
    """Put jobs of retries, scheduled or dead on their queues now; one of them with other arguments, if you like.

    sidelamb jobs retry retries b4a577edbccf1d805744efa9
    sidelamb jobs retry retries b4a577edbccf1d805744efa9 --args '[42, "a@b.c"]'
    sidelamb jobs retry dead --class shop.mail --error TimeoutError
    sidelamb jobs retry dead --all --yes
    """
    changes: dict[str, Any] = {}
    if args:
        changes["args"] = json_of(args, list, "--args")
    if kwargs:
        changes["kwargs"] = json_of(kwargs, dict, "--kwargs")
    if queue:
        changes["queue"] = queue
    if not changes:
        _act("retry", which)
        return
    if len(which.jids or []) != 1 or which.name or which.error or which.match or which.every:
        raise LocalStackError("--args, --kwargs and --queue change one job; give its id, and no other choice")
    _changed(which, changes)


@of_which
def kill(
    which: Which,
) -> None:
    """Send jobs of retries or scheduled to dead, as they are. It keeps 10,000 at most: the oldest go.

    sidelamb jobs kill retries b4a577edbccf1d805744efa9
    sidelamb jobs kill retries --class shop.mail
    """
    _act("kill", which)


@of_which
def delete(
    which: Which,
) -> None:
    """Delete jobs of a set or of a queue. What a worker has already is not stopped.

    sidelamb jobs delete dead b4a577edbccf1d805744efa9
    sidelamb jobs delete queue:mail --match '*@example.com'
    sidelamb jobs delete dead --all
    """
    _act("delete", which)


@of_which
def reschedule(
    which: Which,
    in_s: Annotated[float | None, typer.Option("--in", metavar="SECONDS", help="From now.")] = None,
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="ISO-8601 with a zone, or epoch seconds.")] = "",
) -> None:
    """Have jobs of retries or scheduled run at another time.

    sidelamb jobs reschedule scheduled b4a577edbccf1d805744efa9 --in 3600
    sidelamb jobs reschedule retries --error TimeoutError --at 2030-01-01T06:00:00+01:00
    """
    when = moment_of(in_s, at)
    if when is None:
        raise LocalStackError("say when: --in SECONDS, or --at TIME")
    _act("reschedule", which, at=when)


def moment_of(in_s: float | None, at: str) -> float | None:
    """Return epoch s of what --in or --at says; None if neither says anything.

    Raises:
        LocalStackError: both say something, or it is no time.
        BadOption: the time is none that there is.
    """
    from sidelamb.times import epoch_seconds, seconds

    if in_s is not None and at:
        raise LocalStackError("--in and --at say two times; give one")
    if in_s is not None:
        return round(time.time() + seconds(in_s, "--in"), 3)
    if not at:
        return None
    try:
        when: float | dt.datetime = float(at)
    except ValueError:
        try:
            when = dt.datetime.fromisoformat(at)
        except ValueError:
            raise LocalStackError(f"--at {at!r} is no time; write 2030-01-01T06:00:00+01:00, or seconds") from None
    return epoch_seconds(when, "--at")


def _changed(which: Which, changes: dict[str, Any]) -> None:
    """Run one job again, changed."""
    from sidelamb.api import Entry, Queue
    from sidelamb_local.bulk import can
    from sidelamb_local.out import say
    from sidelamb_local.places import place_of

    [jid] = which.jids or []
    place = place_of(which.set_, connect(which.redis))
    can(place, "retry")
    entry = place.jobs.find(jid)
    if entry is not None and entry.is_encrypted and {"args", "kwargs"} & set(changes):
        raise LocalStackError(f"the arguments of {jid} are encrypted, so they cannot be changed here")
    if isinstance(place.jobs, Queue) or not isinstance(entry, Entry) or not place.jobs.retry(entry, **changes):
        _missing([jid], place)
    say(f"1 retried, from {place.name}, with other {' and '.join(changes)}")


def _act(verb: Move, which: Which, at: float | None = None) -> None:
    from sidelamb_local.bulk import DONE, act, can
    from sidelamb_local.out import note, say
    from sidelamb_local.places import Wanted, place_of

    wanted = Wanted(frozenset(which.jids or ()), which.name, which.error, which.match)
    if "" in wanted.jids:
        raise LocalStackError("an id is empty")
    if not wanted and not which.every:
        raise LocalStackError("say which: ids of jobs, --class, --error, --match, or --all")
    if wanted.jids and which.every:
        raise LocalStackError("ids and --all say two things; give one")
    place = place_of(which.set_, connect(which.redis))
    can(place, verb)
    if which.every and not which.yes:
        those = f"all of {place.name} that match" if wanted else f"all {place.jobs.size():,} of {place.name}"
        ask(f"{verb} {those}")
    ended = act(place, verb, wanted, at)
    say(f"{ended.moved:,} {DONE[verb]}, from {place.name}")
    if ended.skipped:
        note(f"{ended.skipped:,} are no jobs, and stay; they can be deleted")
    if not ended.whole:
        same = "the same command" if at is None else f"the same with --at {at!r} in place of the time"
        note(f"interrupted; {same} goes on")
        raise typer.Exit(EXIT_INTERRUPTED)
    if ended.moved < len(wanted.jids) or ended.skipped:
        if wanted.jids:
            note(f"{len(wanted.jids) - ended.moved:,} of the ids are not in {place.name}, or are not meant")
        raise typer.Exit(1)


def _missing(jids: list[str], place: Place) -> None:
    from sidelamb_local.out import note

    note(f"{', '.join(jids)} is not in {place.name} (any more); `sidelamb jobs find` looks everywhere")
    raise typer.Exit(1)
