"""What an experiment claims about its study, and whether the study bears it out."""

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from theta0.errors import choices
from theta0.files import read_plain
from theta0.results import Result
from theta0.sweep.plain import plain
from theta0.sweep.table import cells, shown_value

ROUNDING = 1e-9
"""A relative shortfall no larger than this is one of floating point: 0.9 − 0.8 is at least 0.1."""


@dataclass(frozen=True)
class Verdict:
    """One claim against the runs.

    Attributes:
        says: the claim in words.
        holds: True or False; None where it cannot be judged.
        evidence: the numbers behind it, or what is missing.
        broken: whether the finished runs lack what the claim names, which more runs do not mend.
    """

    says: str
    holds: bool | None
    evidence: str
    broken: bool = False

    @property
    def line(self) -> str:
        word = {True: "holds", False: "does not hold", None: "open"}[self.holds]
        return f"claim {word}: {self.says} ({self.evidence})"


class Unmeasured(ValueError):
    """A finished run does not have the number that a claim compares."""


class Diverged(Unmeasured):
    """It has none because it diverged."""


def judge(
    claims: Sequence[dict[str, Any]], results: Sequence[Result], study: Path
) -> list[Verdict]:
    """A verdict a claim. `study` is the folder of the runs, whose diagnostics a claim may name."""
    return [_judge(claim, results, study) for claim in claims]


def _judge(claim: dict[str, Any], results: Sequence[Result], study: Path) -> Verdict:
    says = claim["says"]
    sides = [_best(claim[side], results) for side in ("of", "over")]
    missing = [claim[key] for key, side in zip(("of", "over"), sides, strict=True) if not side]
    if missing:
        where = " and ".join(
            " ".join(f"{key}={plain(value)}" for key, value in cell.items()) for cell in missing
        )
        return Verdict(says, None, f"no finished runs with {where}")
    try:
        higher, lower = (
            statistics.fmean(_value(claim["value"], run, study) for run in side) for side in sides
        )
    except Unmeasured as error:
        return Verdict(says, None, str(error), broken=not isinstance(error, Diverged))
    if "ratio" in claim:
        ratio = _ratio(higher, lower)
        evidence = f"{higher:.3g} / {lower:.3g} = {ratio:.3g}, at least {claim['ratio']:g} claimed"
        return Verdict(says, _at_least(ratio, claim["ratio"]), evidence)
    difference = higher - lower
    evidence = (
        f"{higher:.4f} − {lower:.4f} = {difference:.4f}, at least {claim['margin']:g} claimed"
    )
    return Verdict(says, _at_least(difference, claim["margin"]), evidence)


def _at_least(value: float, least: float) -> bool:
    """False for NaN."""
    return value >= least or math.isclose(value, least, rel_tol=ROUNDING)


def _ratio(higher: float, lower: float) -> float:
    """How many times `lower` is `higher`: NaN where that means nothing, as of 0 / 0 and of
    negative numbers."""
    if lower > 0:
        return higher / lower
    return math.inf if lower == 0 and higher > 0 else math.nan


def _best(where: dict[str, Any], results: Sequence[Result]) -> list[Result]:
    """The finished runs of the best cell among those in which every key of `where` agrees; [] where
    none is finished.

    Cells are compared by the objective, on validation; so a learning rate is chosen for each side.
    """
    candidates = [
        finished
        for cell in cells(results).values()
        if all(shown_value(cell[0], key) == plain(wanted) for key, wanted in where.items())
        and (finished := [run for run in cell if run.status in ("done", "diverged")])
    ]

    def objective(cell: list[Result]) -> float:
        sign = 1 if cell[0].objective.mode == "max" else -1
        return statistics.fmean(sign * run.objective.counted for run in cell)

    return max(candidates, key=objective, default=[])


def _value(value: str | dict[str, Any], run: Result, study: Path) -> float:
    """A metric of the chosen checkpoint, or a number of diagnostics.csv at θ₀.

    Raises Unmeasured where the run does not have it, or it is not finite.
    """
    if isinstance(value, str):
        number = run.metrics.get(value)
        if number is not None and math.isfinite(number):
            return number
        if run.status == "diverged":
            raise Diverged(f"{run.run} diverged: no {value}")
        raise Unmeasured(f"{run.run}: no finite {value}; {choices(value, run.metrics)}")
    layer, quantity = value["layer"], value["diagnostic"]
    path = study / run.run / "diagnostics.csv"
    if not path.is_file():
        raise Unmeasured(f"{run.run}: no diagnostics.csv: needs diagnostics")
    lines = io.StringIO(read_plain(path), newline="")
    rows = [row for row in csv.DictReader(lines) if row["step"] == "0"]
    layers = {row["layer"]: row for row in rows}
    if layer not in layers:
        raise Unmeasured(f"{path}: layer={layer}: no such layer; {choices(layer, layers)}")
    row = layers[layer]
    if quantity not in row:
        names = [name for name in row if name not in ("step", "layer")]
        raise Unmeasured(
            f"{path}: diagnostic={quantity}: no such column; {choices(quantity, names)}"
        )
    try:
        number = float(row[quantity] or "nan")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Unmeasured(f"{path}: {quantity} of {layer} was not measured at step 0")
    return number
