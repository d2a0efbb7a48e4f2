"""The registry: which jobs there are."""

from __future__ import annotations

import sys
import textwrap
import types
from typing import TYPE_CHECKING, Any

import pytest
from jobs_of_tests import User, send

from sidelamb import ConfigError, NameTaken, job, registry

if TYPE_CHECKING:
    from pathlib import Path


def declared(code: str, module: str = "tests_made_up") -> types.ModuleType:
    """Run `code` as a module of that name, as an import or a reload does."""
    made = types.ModuleType(module)
    exec(compile(textwrap.dedent(code), f"/app/{module}.py", "exec"), made.__dict__)
    return made


def test_finds_jobs_by_name() -> None:
    assert registry["jobs_of_tests.send"] is send
    assert registry.find("jobs_of_tests.send") is send
    assert "jobs_of_tests.send" in registry
    assert send in list(registry)
    assert len(registry) == len(registry.names())


def test_finds_jobs_by_former_names() -> None:
    made = job(name="tests.new", aliases=["tests.old", "tests.older"])(lambda: None)
    assert registry["tests.old"] is registry["tests.older"] is registry["tests.new"] is made
    assert "tests.old" in registry
    assert "tests.old" not in registry.names()


def test_finds_jobs_by_their_plain_function() -> None:
    assert registry.find_function(send.function) is send
    assert registry.find_function(print) is None


def test_names_the_nearest_for_one_it_does_not_know() -> None:
    assert registry.find("nobody") is None
    assert registry.nearest("jobs_of_tests.sent") == "jobs_of_tests.send"
    assert registry.nearest("User.outer_clas") is not None
    assert registry.nearest("x.y.z.outer_class") == "jobs_of_tests.User.outer_class"
    assert registry.nearest("%%%%") is None
    with pytest.raises(
        KeyError, match=r"no job is named 'jobs_of_tests\.sent'\. Did you mean 'jobs_of_tests\.send'"
    ):
        registry["jobs_of_tests.sent"]


def test_a_reloaded_module_takes_the_place_of_its_old_jobs() -> None:
    code = "from sidelamb import job\n@job(aliases=['tests.before'])\ndef run(): return {}"
    old, new = declared(code.format(1)), declared(code.format(2))
    found: Any = registry["tests_made_up.run"]
    assert found is new.run
    assert registry["tests.before"] is new.run
    assert registry.find_function(old.run.function) is None
    assert found() == 2


def test_a_reloaded_job_that_lost_an_alias_no_longer_has_it() -> None:
    declared("from sidelamb import job\n@job(aliases=['tests.before'])\ndef run(): ...")
    declared("from sidelamb import job\n@job\ndef run(): ...")
    assert registry.find("tests.before") is None


def test_a_job_may_be_renamed_with_its_old_name_as_alias() -> None:
    declared("from sidelamb import job\n@job\ndef run(): ...")
    declared("from sidelamb import job\n@job(name='tests.better', aliases=['tests_made_up.run'])\ndef run(): ...")
    assert registry["tests_made_up.run"].name == "tests.better"


def test_a_module_that_is_started_and_imported_is_one() -> None:
    code = "from sidelamb import job\n@job(name='tests.named')\ndef run(): ..."
    first = declared(code)
    code_file = first.run.function.__code__.co_filename
    made = types.ModuleType("__main__")
    exec(compile(code, code_file, "exec"), made.__dict__)
    assert registry["tests.named"] is made.__dict__["run"]


@pytest.mark.parametrize(
    "options",
    [
        "name='jobs_of_tests.send'",
        "name='tests.x', aliases=['jobs_of_tests.send']",
        "name='tests.alias'",
        "aliases=['tests.alias']",
    ],
)
def test_a_name_or_alias_of_another_function_is_refused(options: str) -> None:
    job(name="tests.owner", aliases=["tests.alias"])(lambda: None)
    names = registry.names()
    with pytest.raises(NameTaken, match="give one of them a name of its own"):
        declared(f"from sidelamb import job\n@job({options})\ndef run(): ...")
    assert registry.names() == names


def test_loads_modules_that_declare_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tests_loaded.py").write_text("from sidelamb import job\n@job\ndef run(): ...")
    monkeypatch.syspath_prepend(tmp_path)
    registry.load(["tests_loaded"])
    assert "tests_loaded.run" in registry
    assert registry.modules()[-1] == "tests_loaded"
    del sys.modules["tests_loaded"]


def test_loads_what_the_environment_writes_in_one_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tests_one", "tests_two"):
        (tmp_path / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    registry.load("tests_one, tests_two")
    assert registry.modules()[-2:] == ["tests_one", "tests_two"]


@pytest.mark.parametrize("name", ["tests_missing", "tests_missing.jobs", "jobs_of_tests.missing"])
def test_names_a_module_that_is_not_there(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"SIDELAMB_JOBS names '{name}', and there is no module"):
        registry.load([name])


def test_lets_the_error_of_a_module_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tests_broken.py").write_text("import tests_not_installed")
    (tmp_path / "tests_raising.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="tests_not_installed"):
        registry.load(["tests_broken"])
    with pytest.raises(ZeroDivisionError):
        registry.load(["tests_raising"])


def test_a_job_found_there_runs_with_its_class() -> None:
    found: Any = registry["jobs_of_tests.User.inner_class"]
    assert found(3) == (User, 3)
