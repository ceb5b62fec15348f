"""diagnostics.csv: one row a step and layer."""

import csv
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from theta0.diagnostics.statistics import QUANTITIES, Statistics

COLUMNS = ("step", "layer", *QUANTITIES)


class Record:
    """The file, tidy and in the order of steps; a quantity that was not measured is left blank.

    Args:
        path: the file.
        continue_from_step: rows of an earlier start up to this step stay, those after it are
            dropped, since they will be written again, as is half a row that a kill has left; None
            drops all.
    """

    def __init__(self, path: Path, continue_from_step: int | None = None) -> None:
        self.path = path
        kept: list[dict[str, str]] = []
        if continue_from_step is not None and path.exists():
            lines = path.read_text().splitlines(keepends=True)
            rows = csv.DictReader(line for line in lines if line.endswith("\n"))
            kept = [row for row in rows if int(row["step"]) <= continue_from_step]
        self.last_step = int(kept[-1]["step"]) if kept else None
        temporary = path.with_name(f".{path.name}")
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(kept)
        temporary.replace(path)

    def add(self, step: int, rows: Iterable[Statistics]) -> None:
        """Append a measurement; it is on disk when this returns."""
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writerows({"step": step, **asdict(row)} for row in rows)
        self.last_step = step
