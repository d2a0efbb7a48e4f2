"""Which files are watched for changes."""

from __future__ import annotations

import os

from sidelamb_local.reload import changes, snapshot


def test_python_files_of_ones_own_and_the_template_are_watched(tmp_path):
    for name in ("app.py", "package/module.py", ".venv/lib/x.py", "venv/x.py", "__pycache__/x.py", "data.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "template.yaml").touch()
    (tmp_path / "sidelamb.toml").touch()
    watched = snapshot(tmp_path / "template.yaml", [tmp_path])
    assert {os.path.relpath(path, tmp_path) for path in watched} == {
        "template.yaml",
        "sidelamb.toml",
        "app.py",
        "package/module.py",
    }


async def test_what_changed_appeared_or_went_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("sidelamb_local.reload.LOOK_S", 0.01)
    file, kept, gone = (tmp_path / name for name in ("template.yaml", "kept.py", "gone.py"))
    for path in (file, kept, gone):
        path.touch()
    asked = []

    def folders():
        if len(asked) == 1:  # between the first look and the second
            os.utime(kept, (1, 1))
            gone.unlink()
            (tmp_path / "new.py").touch()
        asked.append(1)
        return [tmp_path]

    looks = changes(file, folders)
    assert await anext(looks) == {str(kept), str(gone), str(tmp_path / "new.py")}
    await looks.aclose()
