"""A run's history, as its CSV files hold it."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def history(folder: Path, until: int | None = None) -> dict[int, dict[str, Any]]:
    """What was logged at each step, in rising order: metrics.csv, and diagnostics.csv beside it.

    Args:
        folder: of the run.
        until: the last step that counts; None: all do.
    """
    rows: dict[int, dict[str, Any]] = defaultdict(dict)
    for row in _rows(folder / "metrics.csv"):
        rows[int(row.pop("step"))] |= {name: _value(v) for name, v in row.items() if v}
    for row in _rows(folder / "diagnostics.csv"):
        step, layer = int(row.pop("step")), row.pop("layer")
        rows[step] |= {diagnostic_name(layer, name): _value(v) for name, v in row.items() if v}
    return {step: rows[step] for step in sorted(rows) if until is None or step <= until}


def diagnostic_name(layer: str, quantity: str) -> str:
    """`diagnostics/<layer>/<quantity>`, and without a layer for the whole network's."""
    return "/".join(["diagnostics", *filter(None, [layer]), quantity])


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """Whole lines alone: a kill may have left half of one at the end."""
    if path.exists():
        lines = path.read_text().splitlines(keepends=True)
        yield from csv.DictReader(line for line in lines if line.endswith("\n"))


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
