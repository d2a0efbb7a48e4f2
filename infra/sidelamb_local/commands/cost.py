"""`sidelamb cost`: What a month costs."""

from __future__ import annotations

from typing import Annotated

import typer

from sidelamb_local.errors import LocalStackError


def cost(
    jobs: Annotated[float, typer.Option("--jobs", min=0, max=1e12, help="Jobs a day.")] = 100_000,
    duration: Annotated[
        float, typer.Option("--duration", metavar="SECONDS", min=0.001, max=900, help="Of one job, alone.")
    ] = 0.2,
    memory: Annotated[int, typer.Option("--memory", metavar="MB", min=128, max=10_240)] = 512,
    io: Annotated[float, typer.Option("--io", min=0, max=1, help="Share of it spent waiting.")] = 0.5,
    packing: Annotated[
        int, typer.Option("--packing", min=1, max=10_000, help="Jobs an invocation, on average.")
    ] = 1,
    threads: Annotated[int, typer.Option("--threads", min=1, max=1_000, help="Of them at once.")] = 1,
    in_flight: Annotated[int, typer.Option("--in-flight", min=1, max=10_000, help="Invocations at once.")] = 10,
    nat: Annotated[bool, typer.Option("--nat", help="With a NAT gateway.")] = False,
) -> None:
    """Print what a month costs on AWS, beside SQS → Lambda and workers on Fargate.

    sidelamb cost
    sidelamb cost --jobs 5000000 --duration 0.2 --io 0.9 --packing 50 --threads 10
    """
    from sidelamb_handlers.cost import LONGEST_S, Workload, invocation_s
    from sidelamb_handlers.prices import PRICES
    from sidelamb_local.cost_command import report

    work = Workload(jobs, duration, memory, io, packing, threads, in_flight, nat)
    took = invocation_s(packing, threads, work)
    if took > LONGEST_S:
        raise LocalStackError(
            f"an invocation of {packing:,} such jobs, {threads:,} at once, takes {took:,.0f} s, and Lambda ends "
            f"it after {LONGEST_S}; give a smaller --packing, or more --threads if they mostly wait"
        )
    typer.echo(report(work, PRICES))
