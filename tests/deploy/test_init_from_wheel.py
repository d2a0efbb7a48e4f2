"""From an empty folder to a built bundle, with nothing but the wheel, pip and SAM's own command line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sidelamb_local.scaffold import template
from tests.deploy.deployed import sam_installed
from tests.tools import uv

ROOT = Path(__file__).parents[2]
RUNTIME = "3.13"
UNCHECKED_HASH = 0b01
"""How a .pyc says that it belongs to its source whatever that is (PEP 552)."""

pytestmark = pytest.mark.timeout(900)


def run(*argv, cwd, env):
    null = subprocess.DEVNULL
    ended = subprocess.run(
        argv, cwd=cwd, env=env, stdin=null, capture_output=True, text=True, timeout=600, check=False
    )
    assert ended.returncode == 0, f"{argv}: {ended.stdout[-2000:]}{ended.stderr[-2000:]}"
    return ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def sam():
    """SAM's command line."""
    return str(sam_installed())


@pytest.fixture
def dist(tmp_path):
    """The folder with the wheel: the one under test, or a fresh one."""
    if os.environ.get("SIDELAMB_TEST_WHEEL"):
        return Path(os.environ["SIDELAMB_TEST_WHEEL"]).parent / "dist"
    folder = tmp_path / "dist"
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), ".", cwd=ROOT, env=os.environ)
    return folder


def clean(**more):
    """This environment, without what says that we are a test."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SIDELAMB_", "PYTHON"))}
    return env | more


def test_from_an_empty_folder_to_a_job_that_runs_and_a_bundle_that_is_built(tmp_path, dist, sam):
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", str(venv), cwd=tmp_path, env=clean())
    wheel = next(dist.glob("*.whl"))
    uv("pip", "install", "--quiet", "--python", str(venv / "bin" / "python"), f"{wheel}[local]")
    sidelamb = str(venv / "bin" / "sidelamb")
    app = tmp_path / "shop"
    app.mkdir()
    run(sidelamb, "init", cwd=app, env=clean())
    the_job_runs(app, sidelamb)
    shutil.rmtree(app / ".sidelamb")
    env = clean(AWS_DEFAULT_REGION="us-east-1", SAM_CLI_TELEMETRY="0")
    assert "is a valid SAM Template" in run(sam, "validate", "--lint", cwd=app, env=env)
    it_builds(app, sam, dist, env)


def the_job_runs(app, sidelamb):
    said = app.parent / "dev.log"
    with said.open("w") as log:
        dev = subprocess.Popen([sidelamb, "dev"], cwd=app, env=clean(), stdout=log, stderr=log)
    try:
        until = time.monotonic() + 120
        while True:
            enqueued = subprocess.run(
                [sidelamb, "enqueue", "jobs.greet", "world"],
                cwd=app,
                env=clean(),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            if enqueued.returncode == 0:
                break
            assert time.monotonic() < until, enqueued.stderr + said.read_text()
            time.sleep(0.2)
        while not ("Hello, world!" in said.read_text() and enqueued.stdout.strip() in said.read_text()):
            assert time.monotonic() < until, said.read_text()
            time.sleep(0.1)
    finally:
        dev.send_signal(signal.SIGINT)
        assert dev.wait(60) in {0, 130}


def python_of_the_runtime():
    """The folder of the runtime's own python, which `sam build` needs; not one of a version manager's wrappers."""
    name = f"python{RUNTIME}"
    wrappers = [Path(found) for found in [shutil.which(name)] if found]
    homes = sorted(Path.home().glob(f".pyenv/versions/{RUNTIME}*/bin"))
    for home in [*homes, *(path.parent for path in wrappers)]:
        said = subprocess.run([home / name, "-m", "pip", "--version"], capture_output=True, check=False)
        if said.returncode == 0:
            return home
    pytest.skip(f"sam build needs {name} with pip on this machine")


def it_builds(app, sam, dist, env):
    path = f"{python_of_the_runtime()}:{os.environ['PATH']}"
    # Until a release is on the index that requirements.txt is read from, the wheel is found beside it.
    assert "Build Succeeded" in run(sam, "build", cwd=app, env=env | {"PIP_FIND_LINKS": str(dist), "PATH": path})
    built = app / ".aws-sam" / "build"
    worker = {path.name for path in (built / "WorkerFunction").iterdir()}
    assert {"jobs.py", "sidelamb", "sidelamb_handlers", "redis", "orjson", "aws_lambda_powertools"} <= worker
    assert not worker & {"boto3", "botocore", "aiohttp", "typer", "rich"}
    libraries = list((built / "WorkerFunction").rglob("*.so"))
    assert libraries
    assert all("aarch64" in library.name for library in libraries)
    it_is_compiled(built / "WorkerFunction")
    assert not (built / "WorkerFunction" / "poller").exists()


def it_is_compiled(bundle):
    """As Lambda has it: no sandbox could keep what it compiled. And with no look at the source."""
    left = []
    for source in bundle.rglob("*.py"):
        code = source.parent / "__pycache__" / f"{source.stem}.cpython-{RUNTIME.replace('.', '')}.pyc"
        flags = int.from_bytes(code.read_bytes()[4:8], "little") if code.exists() else None
        if flags != UNCHECKED_HASH:
            left.append(source)
    assert not left
    assert b"/var/task/jobs.py" in (bundle / "__pycache__" / "jobs.cpython-313.pyc").read_bytes()


def test_the_resources_of_the_deploy_page_fit_into_the_template(sam, tmp_path):
    page = (ROOT / "docs" / "deploy.md").read_text()
    video, layer, models, of_the_web = [text.split("```")[0] for text in page.split("```yaml\n")[1:]]
    assert "VideoFunction:" in video
    command = "      ImageConfig:\n        Command: [sidelamb_handlers.worker.handler]\n"
    assert models.count(command) == 1
    web = models.replace(command, of_the_web).replace("ModelFunction", "AppFunction").replace("-models", "-app")
    text = template()
    for title, yours in (
        ("  # --- yours: resources\n", video + layer + models + web),
        ("      # --- yours: properties of the worker\n", "      Layers: [!Ref BigLayer]\n"),
    ):
        assert title in text
        text = text.replace(title, title + yours)
    (tmp_path / "template.yaml").write_text(text)
    env = clean(AWS_DEFAULT_REGION="us-east-1", SAM_CLI_TELEMETRY="0")
    assert "is a valid SAM Template" in run(sam, "validate", "--lint", cwd=tmp_path, env=env)
