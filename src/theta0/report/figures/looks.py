"""Who is drawn, and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from theta0.report.figures.style import COLOURS, DASHES, MARKERS
from theta0.report.study import Study
from theta0.report.words import name


@dataclass(frozen=True)
class Look:
    """How a method is drawn."""

    colour: str
    dash: str
    marker: str


class Looks:
    """One look a method, the same in all figures of a study.

    An optimizer is told by its panel and its marker, everything else (init, scheduler, ...) by
    colour and dash. Where nothing but the optimizer varies, it has the colours.

    Args:
        study: the whole of it.
    """

    def __init__(self, study: Study) -> None:
        runs = study.runs
        varied = [factor for factor in study.method if runs[factor].nunique(dropna=False) > 1]
        self.method = varied or ["optimizer", "init"]
        self.panel = "optimizer" if "optimizer" in varied and len(varied) > 1 else None
        self.lines = [factor for factor in self.method if factor != self.panel]
        levels = runs[self.lines].drop_duplicates().sort_values(self.lines)
        self._lines = [tuple(level) for level in levels.astype(str).to_numpy()]
        self._optimizers = sorted(runs["optimizer"].unique())

    def of(self, row: Mapping[str, Any]) -> Look:
        line = self._lines.index(tuple(str(row[factor]) for factor in self.lines))
        dash = line // len(COLOURS) % len(DASHES)
        marker = self._optimizers.index(row["optimizer"]) % len(MARKERS)
        return Look(COLOURS[line % len(COLOURS)], DASHES[dash], MARKERS[marker])

    def label(self, row: Mapping[str, Any]) -> str:
        """What a line is called within its panel."""
        return name(row, self.lines)

    def panels(self, table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
        """The rows of each panel under its title; "" where one holds all."""
        if self.panel is None:
            return [("", table)]
        return [(str(key), part) for key, part in table.groupby(self.panel, sort=True)]
