"""What an experiment claims about its study, and whether the study bears it out."""

import csv
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from theta0.results import Result
from theta0.sweep.table import cell_value, cells


@dataclass(frozen=True)
class Verdict:
    """One claim against the runs.

    Attributes:
        says: the claim in words.
        holds: True or False; None where runs that it speaks of are missing or did not end.
        evidence: the numbers behind it, or what is missing.
    """

    says: str
    holds: bool | None
    evidence: str

    @property
    def line(self) -> str:
        word = {True: "holds", False: "does not hold", None: "open"}[self.holds]
        return f"claim {word}: {self.says} ({self.evidence})"


def judge(
    claims: Sequence[dict[str, Any]], results: Sequence[Result], study: Path
) -> list[Verdict]:
    """A verdict a claim. `study` is the folder of the runs, whose diagnostics a claim may name."""
    return [_judge(claim, results, study) for claim in claims]


def _judge(claim: dict[str, Any], results: Sequence[Result], study: Path) -> Verdict:
    sides = [_best(claim["value"], claim[side], results, study) for side in ("of", "over")]
    missing = [claim[key] for key, side in zip(("of", "over"), sides, strict=True) if side is None]
    if missing:
        where = " and ".join(" ".join(f"{k}={v}" for k, v in cell.items()) for cell in missing)
        return Verdict(claim["says"], None, f"no finished runs with {where}")
    higher, lower = (side for side in sides if side is not None)
    if "ratio" in claim:
        ratio = higher / lower if lower else float("inf")
        evidence = f"{higher:.3g} / {lower:.3g} = {ratio:.3g}, at least {claim['ratio']:g} claimed"
        return Verdict(claim["says"], ratio >= claim["ratio"], evidence)
    difference = higher - lower
    evidence = (
        f"{higher:.4f} − {lower:.4f} = {difference:.4f}, at least {claim['margin']:g} claimed"
    )
    return Verdict(claim["says"], difference >= claim["margin"], evidence)


def _best(
    value: str | dict[str, Any], where: dict[str, Any], results: Sequence[Result], study: Path
) -> float | None:
    """The best cell's mean over seeds, among the cells in which every key of `where` agrees.

    Cells are compared by the objective, on validation; so a learning rate is chosen for each side.
    None where there is no finished run.
    """
    candidates = [
        finished
        for cell in cells(results).values()
        if all(cell_value(cell[0], key) == str(wanted) for key, wanted in where.items())
        and (finished := [run for run in cell if run.status in ("done", "diverged")])
    ]
    if not candidates:
        return None

    def objective(cell: list[Result]) -> float:
        sign = 1 if cell[0].objective.mode == "max" else -1
        return statistics.fmean(sign * run.objective.counted for run in cell)

    best = max(candidates, key=objective)
    values = [_value(value, run, study) for run in best]
    known = [v for v in values if v is not None]
    return statistics.fmean(known) if len(known) == len(values) else None


def _value(value: str | dict[str, Any], run: Result, study: Path) -> float | None:
    """A metric of the chosen checkpoint, or a number of diagnostics.csv at θ₀."""
    if isinstance(value, str):
        return run.metrics.get(value)
    path = study / run.run / "diagnostics.csv"
    if not path.exists():
        return None
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["layer"] == value["layer"] and row["step"] == "0":
                return float(row[value["diagnostic"]])
    return None
