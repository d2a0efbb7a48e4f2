"""What `import sidelamb` costs and what it leaves alone."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import sidelamb

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ["boto3", "botocore", "aiohttp", "aws_lambda_powertools", "sidelamb.alink", "difflib", "hypothesis"]


def run(code: str, **environ: str) -> str:
    environment = {**os.environ, **environ}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def test_an_import_brings_in_nothing_heavy() -> None:
    loaded = run(f"import sys, sidelamb; print([name for name in {HEAVY} if name in sys.modules])")
    assert loaded.strip() == "[]"


def test_an_import_brings_in_no_other_distribution() -> None:
    code = (
        "import redis, orjson, sys; before = set(sys.modules); import sidelamb; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - set(sys.stdlib_module_names) - {'sidelamb'}))"
    )
    assert run(code).strip() == "[]"


def test_declaring_jobs_needs_no_redis_client() -> None:
    """An app that only declares jobs, or a command that enqueues none, does not wait for redis-py."""
    code = (
        "import sys, sidelamb; sidelamb.job(name='a')(lambda: None); "
        "print([name for name in ('redis', 'sidelamb.client') if name in sys.modules]); "
        "print(sidelamb.Client.__name__)"
    )
    assert run(code).split() == ["[]", "Client"]


def test_what_the_package_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'sidelamb' has no attribute 'Klient'"):
        sidelamb.Klient  # type: ignore[attr-defined]  # noqa: B018


def test_an_import_costs_little_more_than_that_of_redis_and_orjson(tmp_path: Path) -> None:
    compiled = {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}

    def seconds(code: str) -> float:
        """Processor seconds, which do not count what else the machine does."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(code, **compiled)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    run("import sidelamb", **compiled)
    pairs = [(seconds("import redis, orjson"), seconds("import sidelamb")) for _ in range(11)]
    bare, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"import sidelamb: {ours * 1000:.0f} ms, redis and orjson alone {bare * 1000:.0f} ms: {ours / bare:.3f}")
    assert ours / bare < 1.3


def test_all_works_without_hiredis(redis_url: str) -> None:
    """What runs jobs has it, an app need not."""
    code = (
        "import sys; sys.modules['hiredis'] = None\n"
        "import asyncio\n"
        "from sidelamb import Client\n"
        "from sidelamb.api import Queue\n"
        "from sidelamb.errors import RedisRefused\n"
        "client = Client(sys.argv[1])\n"
        "client.enqueue('a', 1)\n"
        "asyncio.run(client.aenqueue('a', 2))\n"
        "client.enqueue_many('a', ((n,) for n in range(3)))\n"
        "print([record.args for record in Queue('default', client=client)])\n"
        "client.link.command('SET', 'queue:taken', 'x')\n"
        "try: client.enqueue('a', queue='taken')\n"
        "except RedisRefused as error: print('WRONGTYPE' in str(error))\n"
    )
    command = [sys.executable, "-c", code, redis_url]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()
    assert said == ["[[2], [1], [0], [2], [1]]", "True"]
