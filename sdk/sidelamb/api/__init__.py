"""Looking after jobs: what waits, runs, failed and died, and a person's hands on it.

    from sidelamb.api import DeadSet, Queue, RetrySet, Stats

    Stats().summary()
    Queue("mail").latency()
    RetrySet().retry_all("Timeout")

Every method has an `a…` twin for async code, and every collection an `async for`. All of it counts and pages;
nothing loads a whole set. Without `client=` it looks through the process's own client.
"""

from __future__ import annotations

from sidelamb.api.audit import Audit, Finding
from sidelamb.api.entries import Bulk, DeadSet, Entry, Found, Place, RetrySet, ScheduledSet, Swept
from sidelamb.api.leases import LeaseRecord, Leases
from sidelamb.api.limits import Holder, Limits, LimitState
from sidelamb.api.locks import Lock, Locks
from sidelamb.api.periodic import Periodic, Periodics, Ticked
from sidelamb.api.processes import Process, Processes, Running, Work
from sidelamb.api.queue import Queue
from sidelamb.api.record import FailedRun, JobRecord
from sidelamb.api.stats import Day, QueueStats, Stats, Summary

__all__ = [
    "Audit",
    "Bulk",
    "Day",
    "DeadSet",
    "Entry",
    "FailedRun",
    "Finding",
    "Found",
    "Holder",
    "JobRecord",
    "LeaseRecord",
    "Leases",
    "LimitState",
    "Limits",
    "Lock",
    "Locks",
    "Periodic",
    "Periodics",
    "Place",
    "Process",
    "Processes",
    "Queue",
    "QueueStats",
    "RetrySet",
    "Running",
    "ScheduledSet",
    "Stats",
    "Summary",
    "Swept",
    "Ticked",
    "Work",
]
