"""`make smoke-aws`: deploys a stack into your account, tries it, takes it down, and says what it cost.

Nobody has run this on real AWS yet: if you do, tell us. It makes one stack with a name of its own, touches nothing
else, and takes it down at the end also if a step failed, unless --keep is given. It costs some cents.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from infra.smoke_aws.account import Account, Failed
from infra.smoke_aws.app import write
from infra.smoke_aws.steps import NOT_IN_AN_EMULATOR, STEPS, cost, gone

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


def main(argv: list[str] | None = None) -> int:
    """Return the exit code: 0 if every step passed, or was left out with its reason."""
    options = _options(argv)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="smoke-aws-"))
    write(folder, options.stack)
    account = Account(
        folder,
        options.stack,
        sam=options.sam,
        region=options.region,
        endpoint_url=options.endpoint_url,
        parameters=options.parameter,
    )
    began, passed = time.time(), True
    try:
        passed = _tried(account, options.wheels or _wheel(folder / "dist"))
    finally:
        reports = [line for what in ("worker", "scheduler") for line in _log(account, what, began)]
        if options.keep:
            say(f"kept: sam delete --stack-name {options.stack} takes it down, and ends its costs")
        else:
            passed = _step("nothing of it is left", lambda: gone(account)) and passed
        say(cost((time.time() - began) / 3600, reports))
    return 0 if passed else 1


def say(line: str) -> None:
    """Tell the person."""
    print(line, flush=True)  # noqa: T201


def _tried(account: Account, wheels: Path) -> bool:
    """Carry out the steps up to the first that fails."""
    for step in STEPS:
        name = step.__name__.replace("_", " ")
        if account.is_emulator and step in NOT_IN_AN_EMULATOR:
            say(f"── left out: {name}: {NOT_IN_AN_EMULATOR[step]}")
        elif not _step(name, partial(step, account, wheels)):
            return False
    return True


def _step(name: str, run: Callable[[], str]) -> bool:
    began = time.monotonic()
    try:
        found = run()
    except Failed as error:
        say(f"── FAILED: {name}: {error}")
        return False
    say(f"── ok: {name} ({time.monotonic() - began:.0f} s): {found}")
    return True


def _log(account: Account, what: str, since: float) -> list[str]:
    try:
        return account.log(what, since)
    except Exception as error:
        say(f"the log of {what} cannot be read: {error}")
        return []


def _wheel(folder: Path) -> Path:
    """Build the wheel of this checkout: until a release is on the index, `sam build` finds it there."""
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), "."]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    return folder


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="smoke-aws", description=__doc__)
    parser.add_argument("--region", required=True, help="where to deploy")
    parser.add_argument("--stack", default=f"sidelamb-smoke-{uuid.uuid4().hex[:6]}", help="its name")
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="of the template; may stand twice"
    )
    parser.add_argument("--keep", action="store_true", help="do not take it down")
    parser.add_argument("--sam", default=shutil.which("sam") or "sam", help="SAM's command")
    parser.add_argument("--folder", type=Path, help="an empty folder for the app (default: a new one)")
    parser.add_argument("--wheels", type=Path, help="a folder with a wheel of sidelamb (default: one is built)")
    parser.add_argument("--endpoint-url", default="", help="an emulator on loopback, in place of AWS")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
