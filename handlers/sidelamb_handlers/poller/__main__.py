"""`python -m sidelamb_handlers.poller`: run a poller until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from sidelamb import settings
from sidelamb.errors import SidelambError
from sidelamb_handlers.config import Config, load_config
from sidelamb_handlers.poller.jsonlines import JsonLines

__all__ = ["main", "run", "serve"]


async def serve(config: Config) -> None:
    """Run a poller against AWS, or whatever endpoint the environment names."""
    from sidelamb_handlers.poller.invoker import HttpInvoker  # noqa: PLC0415 - botocore is slow to import
    from sidelamb_handlers.poller.poller import Poller  # noqa: PLC0415

    invoker = await HttpInvoker.open()
    try:
        await Poller(config, invoker).run()
    finally:
        await invoker.close()


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; returns the exit code: 0 stopped, 2 a setting is wrong."""
    parser = argparse.ArgumentParser(
        prog="sidelamb poller", description="Take jobs from Redis and have Lambda run them."
    )
    parser.add_argument("--config", type=Path, help="settings file (default: sidelamb.toml, if there is one)")
    options = parser.parse_args(argv)
    try:
        run(options.config)
    except SidelambError as error:
        print(f"sidelamb: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


def run(config: Path | None) -> None:
    """Run by a settings file (default: sidelamb.toml, if there is one) until it is told to stop.

    Raises:
        SidelambError: a setting is wrong.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if os.environ.get("SIDELAMB_STACK"):  # CloudWatch reads along
        logging.getLogger().handlers[0].setFormatter(JsonLines())
    logging.getLogger("botocore").setLevel(logging.WARNING)
    settings.timestamps()  # says now if it is wrong
    asyncio.run(serve(load_config(config)))


if __name__ == "__main__":
    sys.exit(main())
