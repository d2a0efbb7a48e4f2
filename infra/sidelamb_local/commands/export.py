"""`sidelamb export` and `sidelamb import`: a set as a file of JSON lines, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sidelamb_local.commands.jobs_options import SetArgument
from sidelamb_local.commands.options import RedisOption, connect
from sidelamb_local.errors import EXIT_INTERRUPTED

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines; - is the other end of a pipe.")]


def export(set_: SetArgument, file: FileArgument = Path("-"), redis: RedisOption = "") -> None:
    """Write all jobs of a set to a file, as JSON lines, each with its exact bytes. The set stays as it is.

    The file is there when it is whole: until then it is FILE.part, and the same command goes on with that. A
    queue, which moves, is begun anew. Arguments stand in it as they are in Redis; only you may read it.

        sidelamb export dead dead.jsonl
        sidelamb export queue:mail | gzip > mail.jsonl.gz
    """
    from sidelamb_local.exporting import to_file, to_pipe
    from sidelamb_local.out import note
    from sidelamb_local.places import place_of

    place = place_of(set_, connect(redis))
    if str(file) == "-":
        to_pipe(place)
        return
    written, whole = to_file(place, file)
    if not whole:
        note(f"interrupted after {written:,}; the same command {'begins anew' if place.is_queue else 'goes on'}")
        raise typer.Exit(EXIT_INTERRUPTED)
    note(f"{written:,} jobs of {place.name} are in {file}")


def import_(set_: SetArgument, file: FileArgument = Path("-"), redis: RedisOption = "") -> None:
    """Put the jobs of a file that `export` wrote into a set.

    All lines are checked first: if one is bad, it is named by its number and nothing is done. A job whose id is in
    the set already stays as it is there, so that doing it twice, or going on after Ctrl-C, does no harm.

        sidelamb import dead dead.jsonl
        gunzip -c mail.jsonl.gz | sidelamb import queue:mail
    """
    from sidelamb_local.importing import from_file
    from sidelamb_local.out import note, say
    from sidelamb_local.places import place_to_fill

    client = connect(redis)
    place = place_to_fill(set_, client)
    ended = from_file(place, file, client)
    say(f"{ended.stored:,} put into {place.name}, {ended.there:,} were there")
    if not ended.whole:
        note("interrupted; the same command goes on")
        raise typer.Exit(EXIT_INTERRUPTED)
