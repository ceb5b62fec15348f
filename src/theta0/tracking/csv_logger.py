"""metrics.csv: one row a logged step, columns as they come."""

import csv
import io
import os
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from theta0.results import write_atomically


class CsvLogger(Logger):
    """Rows by step: what is logged for the same step shares a row.

    A row that is there stays, whatever happens while another one, or its own longer form, is
    written; half a row, which a crash may leave at the end, is no row. Lightning's own CSVLogger
    deletes the rows of an earlier start of the run; this one keeps those up to the step from which
    the run continues, and drops the rest: they will be written again.
    """

    def __init__(self, path: Path, continue_from_step: int | None = None) -> None:
        super().__init__()
        self.path = path
        self.columns = ["step"]
        self.row: dict[str, Any] = {}  # the last one, which later metrics of its step join
        self.start = 0  # where in the file it starts
        kept: list[dict[str, Any]] = []
        if continue_from_step is not None and path.exists():
            lines = path.read_text().splitlines(keepends=True)
            reader = csv.DictReader(line for line in lines if line.endswith("\n"))
            kept = [row for row in reader if int(row["step"]) <= continue_from_step]
            self.columns = list(reader.fieldnames or self.columns)
        if kept and int(kept[-1]["step"]) == continue_from_step:
            # the next step's loss has the same number, and joins it
            self.row = {k: v for k, v in kept.pop().items() if v} | {"step": continue_from_step}
        self._rewrite(kept, *filter(None, [self.row]))

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.log_rows([(step, metrics)])

    @rank_zero_only
    def log_rows(self, rows: Iterable[tuple[int | None, dict[str, Any]]]) -> None:
        """Several calls of `log_metrics`, (step, metrics) each, in one write."""
        pending = [self.row] if self.row else []
        for step, metrics in rows:
            if not pending or pending[-1]["step"] != step:
                pending.append({"step": step})
            pending[-1] = pending[-1] | metrics
        if new := dict.fromkeys(c for row in pending for c in row if c not in self.columns):
            before = self.path.read_bytes()[: self.start].decode()
            self.columns += new
            self._rewrite(list(csv.DictReader(io.StringIO(before))), *pending)
        else:
            self._put(self._text(pending).encode())
        if pending:
            *whole, self.row = pending
            self.start += len(self._text(whole).encode())

    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """result.json and config.resolved.yaml hold the configuration."""

    @rank_zero_only
    def _rewrite(self, rows: list[dict[str, Any]], *last: dict[str, Any]) -> None:
        header = self._text([dict(zip(self.columns, self.columns, strict=True))])
        before = header + self._text(rows)
        write_atomically(self.path, before + self._text(last))
        self.start = len(before.encode())

    def _put(self, row: bytes) -> None:
        """In place of what stands from `start` on, which is put back where there is no room."""
        with self.path.open("r+b", buffering=0) as file:
            file.seek(self.start)
            before = file.read()
            try:
                _write(file, self.start, row)
            except OSError:
                _write(file, self.start, before)
                raise

    def _text(self, rows: Iterable[dict[str, Any]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self.columns, restval="", lineterminator="\n").writerows(rows)
        return text.getvalue()


def _write(file: io.FileIO, start: int, content: bytes) -> None:
    """Write `content` at `start`, to the last byte, and end the file there."""
    written = 0
    while written < len(content):
        written += os.pwrite(file.fileno(), content[written:], start + written)
    file.truncate(start + len(content))
