"""metrics.csv: one row a logged step, columns as they come."""

import csv
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only


class CsvLogger(Logger):
    """Rows by step: what is logged for the same step shares a row.

    Lightning's own CSVLogger deletes the rows of an earlier start of the run; this one keeps those
    up to the step from which the run continues, and drops the rest: they will be written again.
    """

    def __init__(self, path: Path, continue_from_step: int | None = None) -> None:
        super().__init__()
        self.path = path
        self.columns = ["step"]
        self.row: dict[str, Any] = {}  # the last one, which later metrics of its step join
        self.start = 0  # where in the file it starts
        kept: list[dict[str, Any]] = []
        if continue_from_step is not None and path.exists():
            with path.open(newline="") as file:
                reader = csv.DictReader(file)
                self.columns = list(reader.fieldnames or self.columns)
                kept = [row for row in reader if int(row["step"]) <= continue_from_step]
        last = kept.pop() if kept and int(kept[-1]["step"]) == continue_from_step else None
        self._rewrite(kept)
        if last is not None:  # the next step's loss has the same number, and joins it
            self.log_metrics(
                {k: v for k, v in last.items() if v and k != "step"}, continue_from_step
            )

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if self.row.get("step") != step:
            self.row, self.start = {"step": step}, self.path.stat().st_size
        self.row |= metrics
        new = [column for column in self.row if column not in self.columns]
        with self.path.open("r+", newline="") as file:
            file.truncate(self.start)
        if new:
            with self.path.open(newline="") as file:
                rows: list[dict[str, Any]] = list(csv.DictReader(file))
            self.columns += new
            self._rewrite(rows)
        with self.path.open("a", newline="") as file:
            self._writer(file).writerow(self.row)

    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """result.json and config.resolved.yaml hold the configuration."""

    @rank_zero_only
    def _rewrite(self, rows: list[dict[str, Any]]) -> None:
        temporary = self.path.with_name(f".{self.path.name}")
        with temporary.open("w", newline="") as file:
            writer = self._writer(file)
            writer.writeheader()
            writer.writerows(rows)
        temporary.replace(self.path)
        self.start = self.path.stat().st_size

    def _writer(self, file: Any) -> csv.DictWriter:
        return csv.DictWriter(file, self.columns, restval="", lineterminator="\n")
