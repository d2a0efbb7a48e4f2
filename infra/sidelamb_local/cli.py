"""The `sidelamb` command: its way in, and its way out when something is wrong.

Whatever a person can set right is one line on stderr that says what to do, and exit status 2, or 3 if it is Redis;
never a traceback. The statuses stand in docs/command-line.md.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any, NoReturn

from sidelamb_local.errors import EXIT_INTERRUPTED

EXIT_USAGE = 2
EXIT_REDIS = 3
MOST_SAID = 4_000

EXTRAS = {
    "typer": "cli",
    "rich": "cli",
    "starlette": "web",
    "jinja2": "web",
    "uvicorn": "web",
    "yaml": "local",
    "aiohttp": "aws",
    "boto3": "aws",
    "botocore": "aws",
    "aws_lambda_powertools": "aws",
}
"""Which extra brings a module that is not there."""


def main() -> None:
    """Run from the command line."""
    _ready_streams()
    try:
        _run()
    except ImportError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        end(f"{error.name} is not installed; pip install 'sidelamb[{extra}]'")


def end(line: str, status: int = EXIT_USAGE) -> NoReturn:
    """Say what is wrong, without a word that is secret or a letter that a terminal obeys, and end.

    Raises:
        SystemExit: always.
    """
    from sidelamb_local.plain import plain, without_secrets  # noqa: PLC0415

    print(f"sidelamb: {plain(without_secrets(line), MOST_SAID)}", file=sys.stderr)  # noqa: T201
    raise SystemExit(status)


def _ready_streams() -> None:
    """Have three streams, whatever the shell has closed, and write out what their encoding has no letter for."""
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115, PTH123 - until the end
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run() -> None:
    import typer  # noqa: PLC0415

    from sidelamb import SidelambError  # noqa: PLC0415
    from sidelamb.errors import RedisError  # noqa: PLC0415
    from sidelamb_local.commands import app  # noqa: PLC0415
    from sidelamb_local.errors import LocalStackError  # noqa: PLC0415

    usage_error: Any = (
        typer.BadParameter.__base__
    )  # typer has click within itself, or beside it, and no name for it
    try:
        status = app(sys.argv[1:] or ["--help"], prog_name="sidelamb", standalone_mode=False)
    except usage_error as error:
        end(_not_understood(error))
    except RedisError as error:
        end(" ".join(str(error).split()), EXIT_REDIS)
    except (SidelambError, LocalStackError) as error:
        end(" ".join(str(error).split()))
    except UnicodeEncodeError as error:  # the shell gave bytes that are no UTF-8
        end(f"{error.object!r} is no text")
    except BrokenPipeError:
        from sidelamb_local.out import reader_left  # noqa: PLC0415

        reader_left()
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # rich ends by itself, and with status 1
            raise SystemExit(0) from None
        raise
    except OSError as error:
        from sidelamb_local.out import to_nowhere  # noqa: PLC0415

        to_nowhere()
        end(f"{error.filename or 'the output'}: {error.strerror or error}")
    except (KeyboardInterrupt, typer.Abort):
        raise SystemExit(EXIT_INTERRUPTED) from None
    raise SystemExit(status or 0)


def _not_understood(error: Any) -> str:
    """Return what is wrong with a command line, in one line."""
    text = error.format_message().partition(" (Possible")[0]
    near = getattr(error, "possibilities", None)
    text = f"{text}. Did you mean {near[0]}?" if near else text.rstrip(".")
    see = "" if error.ctx is None else f"ee `{error.ctx.command_path} --help`"
    return f"{text[:1].lower()}{text[1:]}{' S' if text.endswith('?') else '; s'}{see}"


if __name__ == "__main__":
    main()
