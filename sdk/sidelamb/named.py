"""Jobs by their wire name: this process's own, and those of other services, in Python or in Ruby."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidelamb.calls import Setter
from sidelamb.delay import job_of
from sidelamb.names import job_name
from sidelamb.options import JobOptions, marks_of, wire_head
from sidelamb.registry import registry
from sidelamb.template import Template

if TYPE_CHECKING:
    from sidelamb.calls import Takes
    from sidelamb.job import Job

__all__ = ["setter"]


def setter(job: str | Job[..., Any], options: dict[str, Any], way: Takes | None) -> Setter[..., Any]:
    """Return a job, or the name of one, with options for the calls that follow.

    A registered job has its own options and its arguments are checked; a name that nobody registered here is
    another service's, and has Sidekiq's defaults.

    Raises:
        UnknownOption, BadOption: an option, or the name, cannot be.
        NotAJob: `job` is neither a job nor a name.
    """
    found = registry.find(job) if isinstance(job, str) else job_of(job)
    if found is not None:
        return Setter(found.with_options(options), way)
    name = job_name(job, "enqueue")
    chosen = JobOptions().for_call(name, options)
    head = wire_head(chosen, timeout_s=chosen.timeout_s)
    marks = marks_of(chosen)
    return Setter(Template(name, head, expires_in_s=chosen.expires_in_s, marks=marks), way)
