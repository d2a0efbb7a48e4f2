"""The repository's own template.yaml: the whole system, as `sidelamb init` writes it, for an app in examples/."""

from __future__ import annotations

from infra.own_template import APP, ROOT, own_files
from sidelamb_local.project import load_project


def test_it_is_what_init_writes():
    stale = [name for name, text in own_files().items() if (ROOT / name).read_text() != text]
    assert stale == [], "python -m infra.own_template writes them anew"


def test_sidelamb_dev_takes_it():
    project = load_project(ROOT, in_flight=1).probed()
    assert project.jobs.names == ("jobs.greet",)
    assert project.worker.code_dir == ROOT / APP
