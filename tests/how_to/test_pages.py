"""Every page of docs/how-to does what it says: its files, in an empty folder, with a real Redis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.how_to.page import Page, read_page
from tests.how_to.runner import write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "how-to").glob("*.md"))
NOT_AN_APP = {name for name in os.environ if name.startswith(("SIDELAMB_", "AWS_", "POWERTOOLS_"))}

Run = "Callable[[Path, dict[str, str]], dict[str, Any]]"


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[[Path, dict[str, str]], dict[str, Any]]]:
    """Runs `app.py` of a folder."""
    command = [sys.executable, "-W", "error", "-m", "tests.how_to.runner"]
    environ = {name: value for name, value in os.environ.items() if name not in NOT_AN_APP}
    path = os.pathsep.join([str(ROOT), *filter(None, [environ.get("PYTHONPATH")])])
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**environ, "PYTHONPATH": path},
    ) as runner:
        assert runner.stdin is not None
        assert runner.stdout is not None
        assert runner.stdout.readline() == "ready\n"

        def ask(folder: Path, environ: dict[str, str]) -> dict[str, Any]:
            runner.stdin.write(json.dumps({"folder": str(folder), "environ": environ}) + "\n")
            runner.stdin.flush()
            answer: dict[str, Any] = json.loads(runner.stdout.readline())
            return answer

        yield ask
        runner.stdin.close()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_does_what_it_says(path: Path, tmp_path: Path, redis_url: str, run: Any) -> None:
    page = read_page(path)
    for number, text in enumerate(page.loose, 1):
        compile(text, f"{path.name}, block {number} without a name", "exec")
    assert "app.py" in page.files, f"{path.name} has no block that begins with `# app.py`"
    write(tmp_path, page.files)
    environ = {"SIDELAMB_REDIS_URL": redis_url}
    if "jobs.py" in page.files:
        environ["SIDELAMB_JOBS"] = "jobs"
    ended = run(tmp_path, environ)
    assert ended["code"] == 0, ended["output"]
    if page.output is not None:
        assert ended["output"] == page.output


def _page(tmp_path: Path, text: str) -> Page:
    path = tmp_path / "page.md"
    path.write_text(text)
    return read_page(path)


def test_blocks_of_one_name_are_one_file(tmp_path: Path) -> None:
    text = "```python\n# jobs.py\na = 1\n```\nand\n```python\n# jobs.py\nb = 2\n```\n```python\nc = 3\n```\n"
    page = _page(tmp_path, text)
    assert page.files == {"jobs.py": "# jobs.py\na = 1\n# jobs.py\nb = 2\n"}
    assert page.loose == ["c = 3\n"]


def test_the_text_behind_the_last_app_is_its_output(tmp_path: Path) -> None:
    app = "```python\n# app.py\nprint(1)\n```\n"
    assert _page(tmp_path, f"{app}\n```text\n1\n```\n").output == "1\n"
    assert _page(tmp_path, f"{app}\n```text\n1\n```\n{app}").output is None
    assert _page(tmp_path, f"{app}Elsewhere:\n```text\n1\n```\n").output is None


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("raise ValueError('no')", "ValueError: no"),
        ("import warnings; warnings.warn('old')", "UserWarning: old"),
        ("import sys; sys.exit('sorry')", ""),
        ("import jobs", "No module named 'jobs'"),
    ],
)
def test_a_page_that_goes_wrong_is_found(tmp_path: Path, run: Any, app: str, said: str) -> None:
    write(tmp_path, {"app.py": app})
    ended = run(tmp_path, {})
    assert ended["code"] != 0
    assert said in ended["output"]
