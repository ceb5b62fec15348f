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
        self.pending: dict[str, Any] = {}
        kept: list[dict[str, Any]] = []
        if continue_from_step is not None and path.exists():
            with path.open(newline="") as file:
                reader = csv.DictReader(file)
                self.columns = list(reader.fieldnames or self.columns)
                kept = [row for row in reader if int(row["step"]) <= continue_from_step]
        self._rewrite(kept)

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if self.pending.get("step") != step:
            self.save()
            self.pending = {"step": step}
        self.pending |= metrics

    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """result.json and config.resolved.yaml hold the configuration."""

    @rank_zero_only
    def save(self) -> None:
        """Append the row that is complete."""
        if not self.pending:
            return
        new = [column for column in self.pending if column not in self.columns]
        if new:
            with self.path.open(newline="") as file:
                rows: list[dict[str, Any]] = list(csv.DictReader(file))
            self.columns += new
            self._rewrite(rows)
        with self.path.open("a", newline="") as file:
            self._writer(file).writerow(self.pending)
        self.pending = {}

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    @rank_zero_only
    def _rewrite(self, rows: list[dict[str, Any]]) -> None:
        temporary = self.path.with_name(f".{self.path.name}")
        with temporary.open("w", newline="") as file:
            writer = self._writer(file)
            writer.writeheader()
            writer.writerows(rows)
        temporary.replace(self.path)

    def _writer(self, file: Any) -> csv.DictWriter:
        return csv.DictWriter(file, self.columns, restval="", lineterminator="\n")
