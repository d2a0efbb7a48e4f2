"""Samples as tables: medians, and how many times better Sidelamb is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.peers import OURS

if TYPE_CHECKING:
    from bench.sample import Results
    from bench.workloads.workload import Column, Workload

__all__ = ["as_text", "cells"]

Values = dict[str, "float | None"]
TIMES = "\N{MULTIPLICATION SIGN}"


def cells(results: Results, w: Workload, case: str) -> list[list[str]]:
    """Return a case's table: a row of titles, then one for each peer. Columns without a figure are left out."""
    peers = results.peers(w.name, case)
    columns = [c for c in w.columns if any(results.median(w.name, case, p, c.figure) is not None for p in peers)]
    titles = [""]
    for column in columns:
        titles += [column.title, "Sidelamb is"] if _is_compared(column, peers) else [column.title]
    medians = [{p: results.median(w.name, case, p, c.figure) for p in peers} for c in columns]
    pairs = list(zip(medians, columns, strict=True))
    rows = [[peer, *(cell for values, c in pairs for cell in _cells(values, c, peer))] for peer in peers]
    return [titles, *rows]


def _cells(values: Values, column: Column, peer: str) -> list[str]:
    """Return a peer's cell, and the comparison beside it, if there is one."""
    value, ours = values.get(peer), values.get(OURS)
    text = "" if value is None else format(value, column.form)
    if not _is_compared(column, list(values)):
        return [text]
    return [text, "" if peer == OURS or not value or not ours else _times(ours, value, column)]


def _is_compared(column: Column, peers: list[str]) -> bool:
    return bool(column.better) and OURS in peers and len(peers) > 1


def _times(ours: float, theirs: float, column: Column) -> str:
    """Return how many times better ours is."""
    return f"{ours / theirs if column.better == 'high' else theirs / ours:,.2f} {TIMES}"


def as_text(rows: list[list[str]]) -> list[str]:
    """Return rows as lines for a terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
