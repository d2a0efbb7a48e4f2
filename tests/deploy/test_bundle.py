"""The rules by which `sam build` makes a bundle, run by make as SAM runs them: what of the app comes into it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import pytest

from sidelamb_local.scaffold import MAKE, MAKEFILE, RULES, rules
from tests.deploy.bare_root import python_of_the_runtime

LIBRARY = """\
[project]
name = "common"
version = "1"

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""
OF_A_WHEEL = {
    "big/__init__.py": "",
    "big-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: big\nVersion: 1\n",
    "big-1.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "big-1.dist-info/RECORD": "big/__init__.py,,\n",
}


@pytest.fixture
def app(tmp_path):
    """An app in a monorepo, with a space in its path: a library beside it, one within, and a wheel of its own."""
    folder = tmp_path / "my apps" / "shop"
    for path, text in {
        MAKEFILE: f"all:\n\techo mine\n\n{MAKE}",
        RULES: rules(),
        "requirements.txt": "--find-links wheels\nbig==1\n./libs/common\n../../libs/other\n",
        "jobs.py": "",
        "a file.txt": "",
        "libs/common/pyproject.toml": LIBRARY,
        "libs/common/common/__init__.py": "",
        "../../libs/other/pyproject.toml": LIBRARY.replace("common", "other"),
        "../../libs/other/other/__init__.py": "",
        "tests/test_jobs.py": "",
        "shop/poller/__init__.py": "",
        "poller/requirements.txt": "--find-links wheels\nbig==1\n",
        **dict.fromkeys([".env", "venv/x", "template.yaml", "__pycache__/x.pyc"], ""),
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / "wheels").mkdir()
    with zipfile.ZipFile(folder / "wheels" / "big-1-py3-none-any.whl", "w") as wheel:
        for path, text in OF_A_WHEEL.items():
            wheel.writestr(path, text)
    return folder


def made(app, *words, what="WorkerFunction", **env):
    out = app.parent / "the bundle"
    out.mkdir()
    return out, subprocess.run(
        ["make", f"build-{what}", f"ARTIFACTS_DIR={out}", *words],
        cwd=app,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_libraries_of_the_monorepo_and_wheels_beside_the_app_come_into_it_and_what_is_left_out_does_not(app):
    out, ended = made(app, PYTHON=str(python_of_the_runtime()), LEFT_OUT="tests wheels libs")
    assert ended.returncode == 0, ended.stderr
    there = {path.name for path in out.iterdir() if not path.name.endswith(".dist-info")}
    assert there == {"jobs.py", "a file.txt", "requirements.txt", "big", "common", "other", "shop", "__pycache__"}
    assert (out / "shop" / "poller" / "__init__.py").exists(), "only the poller's own folder is left out"
    assert (out / "common" / "__pycache__" / "__init__.cpython-313.pyc").exists()


def test_the_pollers_bundle_has_what_it_needs_and_nothing_of_the_app(app):
    out, ended = made(app, what="PollerBundle", PYTHON=str(python_of_the_runtime()))
    assert ended.returncode == 0, ended.stderr
    assert [path.name for path in out.iterdir()] == ["python"]
    assert {path.name for path in (out / "python").iterdir()} == {"big", "big-1.dist-info"}
    code = out / "python" / "big" / "__pycache__" / "__init__.cpython-313.pyc"
    assert b"/opt/sidelamb/python/big/__init__.py" in code.read_bytes()


@pytest.mark.parametrize(("what", "processor"), [("WorkerFunction", "x86_64"), ("PollerBundle", "aarch64")])
def test_functions_may_be_on_another_processor_and_the_pollers_task_is_not(app, what, processor):
    said = subprocess.run(
        ["make", "--dry-run", f"build-{what}", "ARTIFACTS_DIR=out"],
        cwd=app,
        env=os.environ | {"PROCESSOR": "x86_64"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"--platform manylinux2014_{processor}" in said


def test_a_python_that_is_not_the_functions_is_refused_with_a_sentence(app):
    if sys.version_info[:2] == (3, 13):
        pytest.skip("this is the functions' own")
    out, ended = made(app, f"PYTHON={sys.executable}")
    assert "and the functions are on 3.13: PYTHON=… sam build" in ended.stderr
    assert (ended.returncode, list(out.iterdir())) == (2, [])


def test_a_python_without_pip_is_refused_with_a_sentence(app, tmp_path):
    subprocess.run([python_of_the_runtime(), "-m", "venv", "--without-pip", tmp_path / "uv"], check=True)
    _, ended = made(app, f"PYTHON={tmp_path}/uv/bin/python")
    assert "this Python has no pip, name another one: PYTHON=… sam build" in ended.stderr
