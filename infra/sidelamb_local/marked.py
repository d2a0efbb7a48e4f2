"""Sections of a template that belong to its user, and stay when the template around them is renewed.

    # --- yours: environment of the worker
    …
    # --- end of yours

A section is known by its title. Pure: texts in, texts out.
"""

from __future__ import annotations

from sidelamb_local.errors import LocalStackError

__all__ = ["renewed", "sections"]

BEGIN = "# --- yours"
END = "# --- end of yours"


def sections(text: str, where: str) -> dict[str, list[str]]:
    """Return the lines of each section, by title, the marks left out.

    Args:
        text: a template.
        where: its name, for the error.

    Raises:
        LocalStackError: a section is not closed, or two have one title.
    """
    found: dict[str, list[str]] = {}
    title: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        opened = _title(line)
        if _ends(line):
            if title is None:
                raise LocalStackError(f"{where}, line {number}: {END!r} without a beginning; delete it")
            title = None
        elif opened is not None:
            if title is not None or opened in found:
                what = f"{title!r} is not closed" if title is not None else f"{opened!r} stands twice"
                raise LocalStackError(f"{where}, line {number}: the section {what}; put {END!r} at its end")
            title, found[opened] = opened, []
        elif title is not None:
            found[title].append(line)
    if title is not None:
        raise LocalStackError(f"{where}: the section {title!r} is not closed; put {END!r} at its end")
    return found


def renewed(old: str, new: str, where: str) -> str:
    """Return `new` with the sections of `old` in place of its own.

    Raises:
        LocalStackError: `old` cannot be read, or has something in a section that `new` does not have.
    """
    kept = sections(old, where)
    places = sections(new, "the new template")
    lost = [title for title, lines in kept.items() if title not in places and _says_something(lines)]
    if lost:
        names = ", ".join(repr(title) for title in lost)
        raise LocalStackError(
            f"{where} has sections that the new template has no place for: {names}; move their lines into "
            f"{', '.join(repr(title) for title in places) or 'a file of your own'}, or delete them"
        )
    lines: list[str] = []
    title: str | None = None
    for line in new.splitlines():
        if _ends(line):
            lines += kept.get(title or "", places[title or ""])
            title = None
        if title is None:
            lines.append(line)
        title = title if title is not None else _title(line)
    return "\n".join(lines) + "\n"


def _title(line: str) -> str | None:
    said = line.strip()
    return said[len(BEGIN) :].strip(" :-") if said.startswith(BEGIN) else None


def _ends(line: str) -> bool:
    return line.strip().startswith(END)


def _says_something(lines: list[str]) -> bool:
    return any(line.strip() and not line.strip().startswith("#") for line in lines)
