"""`python -m sidelamb.outbox`: the relay for a database that SQLAlchemy opens; its URL is in DATABASE_URL."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from sqlalchemy import create_engine

from sidelamb.outbox.command import relay


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m sidelamb.outbox", description=__doc__)
    parser.add_argument("--once", action="store_true", help="push what is there now, and end")
    options = parser.parse_args()
    url = os.environ.get("DATABASE_URL")
    if not url:
        sys.exit(
            "DATABASE_URL is not set; set it to a URL of SQLAlchemy's, like postgresql+psycopg://localhost/shop"
        )
    logging.basicConfig(format="%(asctime)s %(name)s %(message)s")
    relay(create_engine(url, pool_pre_ping=True, pool_size=1, max_overflow=0), once=options.once)


if __name__ == "__main__":
    main()
