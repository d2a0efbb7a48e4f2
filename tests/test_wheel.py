"""What is tested is what would be published."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import sidelamb
import sidelamb_handlers
import sidelamb_local

WHEEL = os.environ.get("SIDELAMB_TEST_WHEEL")

needs_wheel = pytest.mark.skipif(not WHEEL, reason="runs against the wheel only (make test)")


@needs_wheel
def test_the_packages_under_test_come_from_the_wheel():
    for package in (sidelamb, sidelamb_handlers, sidelamb_local):
        assert Path(package.__file__ or "").is_relative_to(WHEEL or "")


@needs_wheel
def test_the_wheel_holds_scripts_types_and_nothing_of_the_tests():
    wheel = next(Path(WHEEL or "").parent.glob("dist/*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    for needed in ("sidelamb/lua/reserve.lua", "sidelamb/py.typed", "sidelamb_handlers/py.typed"):
        assert needed in names
    tops = {name.split("/")[0] for name in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"sidelamb", "sidelamb_handlers", "sidelamb_local"}


@needs_wheel
def test_the_base_install_asks_for_redis_and_orjson_only():
    metadata = next(Path(WHEEL or "").glob("*.dist-info/METADATA")).read_text()
    needed = [
        line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line
    ]
    assert sorted(line.split()[1].split(">")[0] for line in needed) == ["orjson", "redis"]


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("sidelamb", ["boto3", "botocore", "aiohttp", "aws_lambda_powertools", "typer", "rich"]),
        ("sidelamb_handlers.worker", ["boto3", "botocore", "aiohttp", "typer", "rich"]),
        ("sidelamb_handlers.scheduler", ["boto3", "botocore", "aiohttp", "typer", "rich"]),
    ],
)
def test_a_package_loads_nothing_that_it_must_not(module, unwanted):
    environ = {**os.environ, "SIDELAMB_JOBS": "json", "SIDELAMB_REDIS_URL": "redis://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & set(unwanted)
