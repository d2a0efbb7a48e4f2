"""The `sidelamb` command: its way in, and its way out when something is wrong.

Whatever a person can set right is one line on stderr that says what to do, and exit status 2; never a traceback.
"""

from __future__ import annotations

import sys
from typing import NoReturn

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

EXTRAS = {
    "typer": "cli",
    "rich": "cli",
    "yaml": "local",
    "aiohttp": "aws",
    "boto3": "aws",
    "botocore": "aws",
    "aws_lambda_powertools": "aws",
}
"""Which extra brings a module that is not there."""


def main() -> None:
    """Run from the command line."""
    try:
        _run()
    except ImportError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        end(f"{error.name} is not installed; pip install 'sidelamb[{extra}]'")


def end(line: str) -> NoReturn:
    """Say what is wrong and end.

    Raises:
        SystemExit: always.
    """
    print(f"sidelamb: {line}", file=sys.stderr)  # noqa: T201 - a command speaks
    raise SystemExit(EXIT_USAGE)


def _run() -> None:
    from sidelamb import SidelambError  # noqa: PLC0415
    from sidelamb_local.commands import app  # noqa: PLC0415 - it needs the extras, whose absence is said above
    from sidelamb_local.errors import LocalStackError  # noqa: PLC0415

    try:
        app(prog_name="sidelamb")
    except (SidelambError, LocalStackError) as error:
        end(" ".join(str(error).split()))
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None


if __name__ == "__main__":
    main()
