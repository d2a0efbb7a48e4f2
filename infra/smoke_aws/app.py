"""The app that is deployed: what `sidelamb init` writes, with jobs of ours and a function that enqueues.

The function stands for the user's web app: it is in the same network as the worker, so it reaches a Redis that
this machine does not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sidelamb_local.scaffold import files

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["producer", "write", "write_jobs"]

JOBS = '''\
"""What is run: greetings that say which version of the code they are from, and failures."""

from sidelamb import job

VERSION = {version}


@job
def greet(name: str) -> None:
    print(f"Hello, {{name}}, from version {{VERSION}}!")


@job(max_retries=0)
def fail() -> None:
    raise RuntimeError("as it should")
'''

PRODUCER = '''\
"""Enqueues, as the user's app would: {"job": "greet", "each": [["a"], ["b"]]} returns the ids of two jobs."""

from dataclasses import asdict

import jobs
from sidelamb.api import Stats


def handler(event, context):
    job = getattr(jobs, event["job"])
    jids = [job.enqueue(*args) for args in event["each"]]
    return {"jids": jids, "now": asdict(Stats().summary())}
'''

PLACE = "  # --- yours: resources\n"


def write(folder: Path, stack: str) -> None:
    """Write the app into an empty folder."""
    texts = files(stack) | {"producer.py": PRODUCER, "jobs.py": JOBS.format(version=1)}
    texts["template.yaml"] = texts["template.yaml"].replace(PLACE, PLACE + producer(texts["template.yaml"]))
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def write_jobs(folder: Path, version: int) -> None:
    """Change the code."""
    (folder / "jobs.py").write_text(JOBS.format(version=version))


def producer(template: str) -> str:
    """Return the producer's resource: the worker's, with another name and handler."""
    worker = re.search(r"^  WorkerFunction:\n(?:(?:    .*)?\n)*", template, re.MULTILINE)
    if worker is None:
        raise ValueError("the template has no WorkerFunction")
    lines = [line for line in worker[0].splitlines(keepends=True) if not line.strip().startswith("#")]
    return (
        "".join(lines)
        .replace("  WorkerFunction:\n", "  ProducerFunction:\n", 1)
        .replace("${AWS::StackName}-worker", "${AWS::StackName}-producer", 1)
        .replace("sidelamb_handlers.worker.handler", "producer.handler", 1)
    )
