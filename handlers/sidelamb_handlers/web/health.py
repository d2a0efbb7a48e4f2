"""How it goes, in sentences: what a person would say who looked at all the numbers. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from sidelamb.names import is_queue_name
from sidelamb_handlers.web.words import brief, many, percent, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sidelamb.api import Process, QueueStats, Summary
    from sidelamb_handlers.web.figures import Minute

__all__ = ["Sentence", "sentences"]

SLOW_S = 60.0
"""A queue that makes its next job wait longer is worth a sentence,"""
LATE_S = 600.0
"""and one that waits longer than the alarm of the template is worth a warning."""
MANY_FAIL = 0.25
FEW = 20
MOST_LETTERS = 60
"""Of a queue's name in a sentence."""


class Sentence(NamedTuple):
    """One."""

    tone: str
    """good, note or bad."""
    text: str
    page: str = ""
    """Where to see more."""


def sentences(
    summary: Summary, queues: Sequence[QueueStats], processes: Sequence[Process], hour: Sequence[Minute]
) -> list[Sentence]:
    """Return what there is to say, the worst first."""
    found = [*_pollers(summary, processes), *_queues(queues), *_failures(hour), *_dead(summary)]
    found.sort(key=lambda one: one.tone != "bad")
    if not found:
        found = [Sentence("good", "All is well: nothing waits long, and nothing fails much.")]
    return found


def _pollers(summary: Summary, processes: Sequence[Process]) -> Iterator[Sentence]:
    waiting = summary.enqueued
    if not processes:
        tone = "bad" if waiting else "note"
        yield Sentence(tone, f"No poller is alive; {many(waiting, 'job waits', 'jobs wait')} for one.", "/busy")
    elif all(process.is_quiet for process in processes):
        yield Sentence("bad", "All pollers are quiet: they take no more jobs.", "/busy")


def _queues(queues: Sequence[QueueStats]) -> Iterator[Sentence]:
    for queue in [one for one in queues if one.foreign_key][:3]:
        text = Markup("The queue {} is no list: another program uses its key {}; rename or delete it.")
        yield Sentence("bad", text.format(_called(queue), _isolated(queue.foreign_key)), "/queues")
    for queue in sorted(queues, key=lambda one: -one.latency_s)[:3]:
        if queue.is_paused and queue.size:
            text = Markup("{} is paused, and {} in it.").format(_called(queue), many(queue.size, "job"))
            yield Sentence("note", text, "/queues")
        elif queue.latency_s > SLOW_S:
            tone = "bad" if queue.latency_s > LATE_S else "note"
            text = Markup("The oldest job in {} waits {}.").format(_called(queue), span(queue.latency_s))
            yield Sentence(tone, text, "/queues")


def _called(queue: QueueStats) -> str:
    """Return its name, so that what is no name of ours turns nothing of the sentence round."""
    name = brief(queue.name, MOST_LETTERS) or "no name"
    return name if is_queue_name(name) else _isolated(name)


def _isolated(name: str) -> Markup:
    return Markup("<bdi>{}</bdi>").format(brief(name, MOST_LETTERS))


def _failures(hour: Sequence[Minute]) -> Iterator[Sentence]:
    recent = hour[-10:]
    processed, failed = sum(m.processed for m in recent), sum(m.failed for m in recent)
    if processed >= FEW and failed / processed > MANY_FAIL:
        share = percent(failed / processed)
        yield Sentence("bad", f"{share} of the attempts of the last 10 minutes failed.", "/metrics")


def _dead(summary: Summary) -> Iterator[Sentence]:
    if summary.dead:
        dead = many(summary.dead, "dead job waits", "dead jobs wait")
        yield Sentence("note", f"{dead} for somebody to look at {'it' if summary.dead == 1 else 'them'}.", "/dead")
