"""The commands of `sidelamb`, for typer: what they take, and what they print.

What they do is elsewhere: `dev`, `run_job`, the poller, the client. Modules that a command needs are imported by
it alone, so that `sidelamb --help` is quick and a missing extra is missed only by who needs it.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import json
import os
import platform
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from sidelamb_local.errors import LocalStackError

if TYPE_CHECKING:
    from sidelamb_local.project import Project

HELP = """
Background jobs for Python apps, executed by AWS Lambda.

[bold]Start here[/], in a folder with a jobs.py, or one that `sidelamb init` has filled:

    sidelamb dev                         the whole system on this machine
    sidelamb enqueue jobs.resize 12      give it a job
    sidelamb run jobs.resize 12          or run one right here, with a debugger
"""
NEEDED_FOR_DEV = ("yaml", "aiohttp", "botocore", "aws_lambda_powertools")
# "-5" is an argument of the job, not an option of ours.
ARGUMENTS_MAY_LOOK_LIKE_OPTIONS = {"ignore_unknown_options": True}
LOOKS_LIKE_AN_OPTION = re.compile(r"--[A-Za-z]")

app = typer.Typer(help=HELP, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")

JobsOption = Annotated[
    str,
    typer.Option(
        "--jobs",
        metavar="MODULES",
        help="Modules with your jobs, comma-separated. Default: SIDELAMB_JOBS, or jobs.",
    ),
]
RedisOption = Annotated[
    str,
    typer.Option(
        "--redis", metavar="URL", help="A Redis to use. Default: SIDELAMB_REDIS_URL, or that of sidelamb dev."
    ),
]
TemplateOption = Annotated[
    Path | None,
    typer.Option("--template", metavar="FILE", help="SAM template. Default: template.yaml, or a built-in one."),
]
NameArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The job's name. Its last part will do where it is the only such one."),
]
ArgsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ARGS]...", help="Its arguments: JSON where they parse as JSON, else text."),
]
KwOption = Annotated[list[str] | None, typer.Option("--kw", metavar="NAME=VALUE", help="A keyword argument.")]


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Default: this one.")] = Path(),
    name: Annotated[str, typer.Option("--name", help="Of the stack. Default: the folder's.")] = "",
    upgrade: Annotated[  # noqa: FBT002
        bool, typer.Option("--upgrade", help="Renew template.yaml, and keep the sections that are yours.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,  # noqa: FBT002
) -> None:
    """Make a folder an app that `sam build && sam deploy --guided` puts on AWS.

    Writes template.yaml, samconfig.toml, sidelamb.mk, jobs.py and more, and nothing over what is there. --upgrade
    shows what would change and asks; without a terminal it changes nothing unless --yes is given.

        sidelamb init
        sidelamb init shop --name shop-jobs
        sidelamb init --upgrade
    """
    from sidelamb_local.init_command import make, renew  # noqa: PLC0415

    ask = sys.stdin.isatty() and not yes
    if upgrade:
        renew(folder, say=typer.echo, agreed=lambda: yes or (ask and typer.confirm("Write this?")))
        return
    make(
        folder,
        name,
        say=typer.echo,
        ask=(lambda default: typer.prompt("Name of the stack", default)) if ask else None,
    )


@app.command()
def dev(
    jobs: JobsOption = "",
    redis: Annotated[
        str,
        typer.Option(
            "--redis", metavar="URL", help="A Redis to use. Default: SIDELAMB_REDIS_URL, or one of its own."
        ),
    ] = "",
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, max=200, help="Invocations at once.")
    ] = 4,
    template: TemplateOption = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="Of the Lambda service; 0 takes a free one.")
    ] = 0,
) -> None:
    """Run the whole system on this machine: Redis, Lambda, poller, scheduler.

    Needs nothing but Python. Your functions come from template.yaml if there is one. Code reloads when it changes;
    data stays in .sidelamb/ until you delete it.

        sidelamb dev
        sidelamb dev --jobs shop.jobs,mail.jobs --concurrency 8
        sidelamb dev --redis redis://127.0.0.1:6379/1
    """
    _need(NEEDED_FOR_DEV)
    from sidelamb_local.dev import run_dev  # noqa: PLC0415

    run_dev(
        Path.cwd(),
        Console(),
        template=template,
        jobs=_names(jobs),
        redis_url=redis or None,
        concurrency=concurrency,
        port=port,
    )


@app.command()
def poller(
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Settings. Default: sidelamb.toml, if there is one."),
    ] = None,
) -> None:
    """Run a poller, as the container on AWS does: it takes jobs from Redis and has Lambda run them.

    sidelamb poller
    SIDELAMB_REDIS_URL=rediss://… SIDELAMB_FUNCTION=app-worker sidelamb poller
    """
    _need(("aiohttp", "botocore"))
    from sidelamb_handlers.poller.__main__ import main  # noqa: PLC0415

    raise typer.Exit(main(["--config", str(config)] if config else []))


@app.command(context_settings=ARGUMENTS_MAY_LOOK_LIKE_OPTIONS)
def run(  # noqa: PLR0917 - typer passes them by name
    ctx: typer.Context,
    name: NameArgument,
    args: ArgsArgument = None,
    kw: KwOption = None,
    jobs: JobsOption = "",
    template: TemplateOption = None,
) -> None:
    """Run one job in this process, without Redis and Lambda; breakpoint() works.

    The arguments take the way of a real payload, through JSON. Nothing is retried: a job that fails shows its
    traceback, and the exit status is 1.

        sidelamb run jobs.resize 12
        sidelamb run jobs.mail '{"to": "a@b.c"}' --kw subject=Hello
    """
    from sidelamb_local.run_job import find_job, load_jobs, run_job, users_traceback  # noqa: PLC0415

    values = _values(ctx, args)
    load_jobs(_project(jobs, template))
    job = find_job(name)
    ran = run_job(job, values, _keywords(kw))
    err = Console(stderr=True)
    if ran.error is not None and ran.failed:
        typer.echo(users_traceback(ran.error), err=True, nl=False)
        err.print(f"[red]✗[/] {job.name} failed after {ran.duration_ms:.0f} ms", highlight=False)
        raise typer.Exit(1)
    if ran.error is not None or ran.reason:
        err.print(f"[yellow]∅[/] {job.name} {ran.outcome}: {ran.reason or ran.error}", highlight=False)
        return
    if ran.result is not None:
        typer.echo(repr(ran.result))
    err.print(f"[green]✓[/] {job.name} succeeded in {ran.duration_ms:.0f} ms", highlight=False)


@app.command(context_settings=ARGUMENTS_MAY_LOOK_LIKE_OPTIONS)
def enqueue(  # noqa: PLR0917 - typer passes them by name
    ctx: typer.Context,
    name: NameArgument,
    args: ArgsArgument = None,
    kw: KwOption = None,
    queue: Annotated[str, typer.Option("--queue", help="Its queue. Default: what the job says.")] = "",
    in_s: Annotated[float, typer.Option("--in", metavar="SECONDS", help="Run it later.")] = 0.0,
    redis: RedisOption = "",
    jobs: JobsOption = "",
    template: TemplateOption = None,
    force: Annotated[  # noqa: FBT002
        bool, typer.Option("--force", help="Do not look whether there is such a job: another service has it.")
    ] = False,
) -> None:
    """Put a job on its queue and print its id.

    sidelamb enqueue jobs.resize 12
    sidelamb enqueue jobs.resize 12 --in 60 --queue low
    sidelamb enqueue Billing::ChargeJob 99 --queue billing --force
    """
    from sidelamb import Client  # noqa: PLC0415

    values, keywords = _values(ctx, args), _keywords(kw)
    url = _redis_url(redis)
    if not force:
        from sidelamb_local.run_job import find_job, load_jobs  # noqa: PLC0415

        project = _project(jobs, template)
        os.environ.setdefault("SIDELAMB_NAMESPACE", project.config.namespace)
        load_jobs(project)
        name = find_job(name).name
    client = Client(url)
    setter = client.job(name, queue=queue) if queue else client.job(name)
    typer.echo(setter.enqueue_in(in_s, *values, **keywords) if in_s else setter.enqueue(*values, **keywords))


@app.command()
def cost(  # noqa: PLR0917 - typer passes them by name
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
    nat: Annotated[bool, typer.Option("--nat", help="With a NAT gateway.")] = False,  # noqa: FBT002
) -> None:
    """Print what a month costs on AWS, beside SQS → Lambda and workers on Fargate.

    sidelamb cost
    sidelamb cost --jobs 5000000 --duration 0.2 --io 0.9 --packing 50 --threads 10
    """
    from sidelamb_handlers.cost import LONGEST_S, Workload, invocation_s  # noqa: PLC0415
    from sidelamb_handlers.prices import PRICES  # noqa: PLC0415
    from sidelamb_local.cost_command import report  # noqa: PLC0415

    work = Workload(jobs, duration, memory, io, packing, threads, in_flight, nat)
    took = invocation_s(packing, threads, work)
    if took > LONGEST_S:
        raise LocalStackError(
            f"an invocation of {packing:,} such jobs, {threads:,} at once, takes {took:,.0f} s, and Lambda ends "
            f"it after {LONGEST_S}; give a smaller --packing, or more --threads if they mostly wait"
        )
    typer.echo(report(work, PRICES))


@app.command()
def doctor(
    redis: RedisOption = "",
    jobs: JobsOption = "",
    template: TemplateOption = None,
    connections: Annotated[
        int | None,
        typer.Option("--connections", metavar="N", min=1, help="What your database has left for the workers."),
    ] = None,
) -> None:
    """Look at settings, jobs and Redis, and say what would hurt on AWS. Exit status 1 if something is wrong.

    sidelamb doctor
    sidelamb doctor --redis rediss://cache:6379 --connections 80
    """
    _need(("yaml",))
    from sidelamb_local.address import remembered  # noqa: PLC0415
    from sidelamb_local.doctor import examine  # noqa: PLC0415
    from sidelamb_local.finding import Sign  # noqa: PLC0415

    here = Path.cwd()
    url = redis or os.environ.get("SIDELAMB_REDIS_URL") or os.environ.get("REDIS_URL") or remembered(here) or ""
    findings = examine(here, template=template, modules=_names(jobs), redis_url=url, allowed=connections)
    for finding in findings:
        typer.echo(f"{finding.sign.value:>7}  {finding.text}")
    if any(finding.sign is Sign.WRONG for finding in findings):
        raise typer.Exit(1)


@app.command()
def logs(  # noqa: PLR0917 - typer passes them by name
    jid: Annotated[str, typer.Option("--jid", metavar="ID", help="Of one job: its whole life.")] = "",
    queue: Annotated[str, typer.Option("--queue", help="Of one queue.")] = "",
    name: Annotated[str, typer.Option("--class", metavar="NAME", help="Of one class of job.")] = "",
    failed: Annotated[bool, typer.Option("--failed", help="Only what failed.")] = False,  # noqa: FBT002
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,  # noqa: FBT002
    stack: Annotated[
        str,
        typer.Option("--stack", metavar="NAME", help="A stack on AWS. Default: what `sidelamb dev` logged here."),
    ] = "",
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="How far back: 90s, 15m, 2h, 7d.")] = "1h",
) -> None:
    """Show what jobs did, and what they logged: on this machine, or on AWS.

    sidelamb logs --failed
    sidelamb logs --stack shop --jid b4a577edbccf1d805744efa9 --since 7d
    sidelamb logs --stack shop --queue mail --follow
    """
    import time  # noqa: PLC0415

    from sidelamb_local.logs_command import Wanted, lines_of, seconds, show  # noqa: PLC0415

    if stack:
        _need(("boto3",))
    wanted = Wanted(jid, queue, name, failed)
    lines = lines_of(Path.cwd(), stack, wanted, since=time.time() - seconds(since), follow=follow)
    if not show(lines, wanted, Console()):
        typer.echo(f"nothing since {since} ago", err=True)


@app.command()
def web(
    redis: RedisOption = "",
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=-1, max=65_535, help="Default: 8321, or the next free one; 0 takes any.")
    ] = -1,
    read_only: Annotated[  # noqa: FBT002
        bool, typer.Option("--read-only", help="Nobody may act.")
    ] = False,
    profile: Annotated[
        str, typer.Option("--profile", metavar="NAME", help="AWS profile for a Redis that checks IAM.")
    ] = "",
) -> None:
    """Show the web page: what waits, runs, failed and died, and what to do about it.

    Open to who is on this machine. On another address it asks for a name and a password, and does not start
    without SIDELAMB_WEB_CREDENTIAL=name:password.

        sidelamb web
        sidelamb web --redis rediss://cache:6379 --read-only
        SIDELAMB_WEB_CREDENTIAL=anna:… sidelamb web --host 0.0.0.0
    """
    _need(("starlette", "jinja2", "uvicorn"))
    from sidelamb import Client  # noqa: PLC0415
    from sidelamb_local.web_command import run_web, use_profile  # noqa: PLC0415

    if profile:
        use_profile(profile)
    client = Client(_redis_url(redis))
    run_web(client, host=host, port=None if port < 0 else port, read_only=read_only, say=typer.echo)


@app.command()
def status(
    redis: RedisOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,  # noqa: FBT002
) -> None:
    """Show what waits, runs, failed and died, and who is there: the dashboard, from Redis.

    sidelamb status
    sidelamb status --redis rediss://cache:6379 --json
    """
    from sidelamb import Client  # noqa: PLC0415
    from sidelamb_handlers.gauges import seen  # noqa: PLC0415
    from sidelamb_local import status_command  # noqa: PLC0415

    look = seen(Client(_redis_url(redis)))
    if as_json:
        typer.echo(json.dumps(status_command.as_json(look), indent=2))
    else:
        Console().print(status_command.as_text(look), highlight=False)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"sidelamb {importlib.metadata.version('sidelamb')} (Python {platform.python_version()})")


def _redis_url(given: str) -> str:
    from sidelamb_local.address import remembered  # noqa: PLC0415

    url = given or os.environ.get("SIDELAMB_REDIS_URL") or os.environ.get("REDIS_URL") or remembered(Path.cwd())
    if not url:
        raise LocalStackError(
            "no Redis is known here; start `sidelamb dev`, or set SIDELAMB_REDIS_URL, or say --redis"
        )
    return url


def _project(jobs: str, template: Path | None) -> Project:
    _need(("yaml",))
    from sidelamb_local.project import load_project  # noqa: PLC0415

    return load_project(Path.cwd(), template=template, modules=_names(jobs), in_flight=1)


def _need(modules: tuple[str, ...]) -> None:
    """Raise ImportError for the first of `modules` that is not installed; `cli` says what to install."""
    import importlib.util  # noqa: PLC0415

    for name in modules:
        if importlib.util.find_spec(name) is None:
            raise ImportError(name=name)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _values(ctx: typer.Context, texts: list[str] | None) -> list[Any]:
    """Return a job's arguments. What looks like an option is one that is misspelt, unless "--" stands before."""
    for text in texts or []:
        if LOOKS_LIKE_AN_OPTION.match(text) and "--" not in sys.argv:
            name = text.partition("=")[0]
            near = difflib.get_close_matches(
                name, [opt for param in ctx.command.params for opt in param.opts], n=1
            )
            advice = f"a keyword argument is --kw {name[2:]}=…, and text is '\"{text}\"'"
            raise LocalStackError(f"there is no option {text!r}; {f'did you mean {near[0]}?' if near else advice}")
    return [_value(text) for text in texts or []]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _keywords(pairs: list[str] | None) -> dict[str, Any]:
    keywords = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise LocalStackError(f"--kw {pair!r} cannot be; write --kw name=value")
        keywords[name] = _value(value)
    return keywords
