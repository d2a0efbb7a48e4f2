"""The bill, against sums made by hand with round prices."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from sidelamb_handlers import cost
from sidelamb_handlers.attempt import Attempt
from sidelamb_handlers.cost import (
    JOB_LOG_BYTES,
    Workload,
    break_even_use,
    invocation_s,
    on_lambda_with_sqs,
    on_sidelamb,
    on_workers,
    runaway,
)
from sidelamb_handlers.decision import Decision, Outcome
from sidelamb_handlers.joblog import JobLog
from sidelamb_handlers.prices import PRICES, Prices
from sidelamb_local.cost_command import report

ROUND = Prices(
    date="2000-01-01",
    region="here",
    lambda_gb_s=0.001,
    lambda_request=0.01,
    fargate_vcpu_h=4.0,
    fargate_gb_h=2.0,
    redis_node_h=1.0,
    address_h=0.1,
    nat_h=1.0,
    nat_gb=1.0,
    endpoint_h=1.0,
    endpoint_gb=1.0,
    logs_gb=1.0,
    metric_month=1.0,
    alarm_month=0.5,
    sqs_request=0.001,
)
# 24 jobs a day are 730 a month; a second, 1 GB.
WORK = Workload(jobs=24, duration_s=1.0, memory_mb=1024, io_share=0.5, packing=1, threads=1)


@pytest.mark.parametrize(
    ("jobs", "threads", "io", "seconds"),
    [
        (1, 1, 0.5, 1.0),
        (10, 1, 0.5, 10.0),  # one after the other
        (10, 10, 1.0, 1.0),  # all wait at once
        (10, 10, 0.5, 5.0),  # each computes half a second, and there is one interpreter
        (10, 4, 1.0, 3.0),  # in three waves
        (2, 10, 1.0, 1.0),  # more threads than jobs help nobody
        (10, 10, 0.0, 10.0),
    ],
)
def test_waiting_overlaps_and_computing_does_not(jobs, threads, io, seconds):
    assert invocation_s(jobs, threads, replace(WORK, io_share=io)) == pytest.approx(seconds)


def test_sidelamb_pays_for_each_invocation_and_for_what_is_always_there():
    bill = on_sidelamb(WORK, ROUND)
    assert bill.rows == pytest.approx(
        {
            "running jobs": 730 * 1.005 * 1 * 0.001,
            "requests": 7.3,
            "queue": 2 * 730 * 1.0,
            "poller": 730 * (0.25 * 4 + 0.5 * 2),
            "scheduler": 43_800 * (0.01 + 0.25 * 0.1 * 0.001),
            "network": 73.0,
            "logs": 730 * (800 + 900) / 1e9,
            "metrics, alarms": 30 + 6,
        }
    )
    assert bill.total == pytest.approx(sum(bill.rows.values()))


def test_packing_divides_the_requests_and_threads_the_time():
    packed = on_sidelamb(replace(WORK, packing=10, threads=10, io_share=1.0), ROUND).rows
    assert packed["requests"] == pytest.approx(0.73)
    assert packed["running jobs"] == pytest.approx(73 * 1.005 * 0.001)


def test_a_nat_gateway_is_on_every_bill():
    for system, more in ((on_sidelamb, 730), (on_lambda_with_sqs, 803)):
        without, with_nat = system(WORK, ROUND), system(replace(WORK, nat=True), ROUND)
        assert with_nat.rows["network"] - without.rows["network"] == pytest.approx(more)
    assert on_workers(replace(WORK, nat=True), ROUND).rows["network"] == pytest.approx(803)


def test_sqs_pays_for_sends_and_polls_and_nothing_else_stands_idle():
    busy = on_lambda_with_sqs(replace(WORK, jobs=24_000_000, packing=100), ROUND)
    sends, batches = 730e6, 73e6
    assert busy.rows["queue"] == pytest.approx((sends + 2 * batches) * 0.001)
    assert busy.rows["requests"] == pytest.approx(batches * 0.01)
    idle = on_lambda_with_sqs(replace(WORK, jobs=0), ROUND)
    assert idle.total == pytest.approx(657_000 * 0.001)


def test_workers_are_as_many_as_are_busy_at_thirty_percent_and_never_fewer_than_two():
    # 86,400 jobs a day of a second keep one process busy all day: 3.33 at 30 %, so 4.
    bill = on_workers(replace(WORK, jobs=86_400), ROUND)
    assert bill.rows["running jobs"] == pytest.approx(4 * 730 * (1024 / 1769 * 4 + 2))
    assert bill.rows["network"] == pytest.approx(4 * 73)
    assert on_workers(replace(WORK, jobs=0), ROUND).rows["running jobs"] == pytest.approx(
        2 * 730 * (1024 / 1769 * 4 + 2)
    )
    exactly = on_workers(replace(WORK, jobs=86_400 * 0.9), ROUND)
    assert exactly.rows["running jobs"] == pytest.approx(3 * 730 * (1024 / 1769 * 4 + 2))


def test_threads_let_a_worker_do_more_too():
    one = on_workers(replace(WORK, jobs=864_000, io_share=1.0), ROUND).rows["running jobs"]
    ten = on_workers(replace(WORK, jobs=864_000, io_share=1.0, threads=10), ROUND).rows["running jobs"]
    assert one / ten == pytest.approx(34 / 4)


def test_workers_win_once_they_are_busy_enough():
    even = break_even_use(WORK, PRICES)
    assert 0.40 < even < 0.55
    busy = replace(WORK, jobs=86_400_000)
    processes_at_even_use = 1000 / even
    fargate = processes_at_even_use * 730 * (busy.vcpu * PRICES.fargate_vcpu_h + PRICES.fargate_gb_h)
    ours = on_sidelamb(busy, PRICES).rows["running jobs"] / 1.005
    assert fargate == pytest.approx(ours, rel=1e-6)


def test_a_runaway_job_is_bounded_by_what_is_in_flight():
    day = runaway(replace(WORK, memory_mb=1769, in_flight=10), ROUND)
    assert day["running jobs"] == pytest.approx(10 * 86_400 * 1769 / 1024 * 0.001)
    assert day["requests"] == pytest.approx(10 * 10 * 86_400 * 0.01)
    assert day["logs"] == pytest.approx(10 * 86_400 * (12_000 * 800 + 10 * 900) / 1e9)
    twice = runaway(replace(WORK, memory_mb=1769, in_flight=20), ROUND)
    assert twice == pytest.approx({row: 2 * usd for row, usd in day.items()})


def test_a_jobs_log_line_is_no_longer_than_the_bill_says(monkeypatch):
    attempt = Attempt(
        "0:default", "default", {}, "8f1c6f6e-7f0a-4b1e-9a60-3f7e3c0f4b11", "default:0123456789abcdef"
    )
    attempt.payload |= {"class": "shop.orders.jobs.send_confirmation", "jid": "0" * 24}
    attempt.started_at, attempt.ended_at = 1_790_000_000.0, 1_790_000_000.2
    decision = Decision(Outcome.SUCCEEDED)
    log, said = JobLog(), io.StringIO()
    for handler in log.logger.handlers:
        monkeypatch.setattr(handler, "stream", said)
    log.ended([(attempt, decision)])
    [line] = said.getvalue().splitlines()
    assert json.loads(line)["outcome"] == "succeeded"
    assert len(line) + 26 <= JOB_LOG_BYTES  # CloudWatch counts 26 bytes more for each event


def test_the_report_has_every_row_the_date_of_the_prices_and_the_kill_switch():
    said = report(Workload(), PRICES)
    for row in (*cost.ROWS, "together", "with no job at all", "2026-11-23", "put-function-concurrency"):
        assert row in said
    assert max(map(len, said.splitlines())) <= 110


def test_the_command_takes_the_workload_and_works_without_any_option():
    def run(*argv):
        command = [sys.executable, "-m", "sidelamb_local.cli", "cost", *argv]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert "100,000 jobs a day of 0.2 s" in run().stdout
    some = run("--jobs", "0", "--duration", "1", "--memory", "1024", "--io", "0.9", "--packing", "5", "--nat")
    assert some.stdout.startswith("0 jobs a day of 1 s (90% of it waiting), 1,024 MB, 5 an invocation")
    assert run("--io", "2").returncode == 2
    for impossible in ("inf", "1e300", "nan"):
        ended = run("--jobs", impossible)
        assert (ended.returncode, "Traceback" in ended.stderr) == (2, False)
    ended = run("--duration", "10", "--packing", "100")
    assert ended.stderr.startswith(
        "sidelamb: an invocation of 100 such jobs, 1 at once, takes 1,000 s, and Lambda ends"
    )
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert run("--duration", "10", "--packing", "100", "--threads", "10", "--io", "0.9").returncode == 0
