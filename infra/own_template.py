"""Writes this repository's own template.yaml and the app that it deploys: `python -m infra.own_template`.

Both are what `sidelamb init` writes, so that a clone can be looked at, tried with `sidelamb dev` and deployed as
it is. A test holds them to that.
"""

from __future__ import annotations

from pathlib import Path

from sidelamb_local.scaffold import SAMCONFIG, TEMPLATE, files

ROOT = Path(__file__).parents[1]
APP = "examples/hello"
URIS = (("CodeUri: .", f"CodeUri: {APP}"), ("ContentUri: .", f"ContentUri: {APP}"))


def own_files() -> dict[str, str]:
    """Return the texts by their path in the repository."""
    written = files("sidelamb-hello")
    template, samconfig = written.pop(TEMPLATE), written.pop(SAMCONFIG)
    for there, here in URIS:
        template = template.replace(f"      {there}\n", f"      {here}\n")
    return {TEMPLATE: template, SAMCONFIG: samconfig} | {f"{APP}/{name}": text for name, text in written.items()}


def main() -> None:
    """Run from the command line."""
    for name, text in own_files().items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
