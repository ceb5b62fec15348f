"""What the runs of a study say: see each module for how."""

from dataclasses import dataclass

import pandas as pd

from theta0.report.statistics.budget import budget
from theta0.report.statistics.cells import cells, ranked
from theta0.report.statistics.comparisons import compare, comparisons, leading, pairs
from theta0.report.statistics.family import correct, family_size
from theta0.report.statistics.limits import limits, of_differences
from theta0.report.statistics.overall import overall
from theta0.report.statistics.targets import profiles, targets, times
from theta0.report.statistics.variance import effects
from theta0.report.study import Study


@dataclass(frozen=True)
class Statistics:
    """Tables, each with the columns that the function of the same name tells.

    Attributes:
        cells: one row a cell.
        arms: one row a combination of factors, by its chosen cell, the best first within each
            problem; `leading` says whether it is the best of its problem or not significantly
            worse.
        overall: one row a method, over several problems.
        pairs: every two arms, `first` and `second` being rows of `arms` from 0, with corrected p
            and simultaneous intervals.
        comparisons: those that are two levels of a factor.
        effects: the analysis of variance.
        budget: expected best validation against trials.
        targets: when each run reached the target.
        times: the same, one row an arm.
        profiles: performance profiles.
    """

    cells: pd.DataFrame
    arms: pd.DataFrame
    overall: pd.DataFrame
    pairs: pd.DataFrame
    comparisons: pd.DataFrame
    effects: pd.DataFrame
    budget: pd.DataFrame
    targets: pd.DataFrame
    times: pd.DataFrame
    profiles: pd.DataFrame

    @property
    def tests(self) -> int:
        """How many hypotheses the corrected p and the simultaneous intervals are corrected for."""
        return family_size(self.pairs, self.effects)


def analyse(study: Study, target: float | None = None, seed: int = 0) -> Statistics:
    """All statistics of a study.

    Args:
        study: the study.
        target: of time to target, in units of the objective; by default half of the runs reach it.
        seed: of the bootstrap.
    """
    every = cells(study, seed)
    arms = ranked(every[every["chosen"]], "standing", study.mode)
    arms = arms.sort_values(study.problem, kind="stable") if study.problem else arms
    arms = arms.reset_index(drop=True)
    reach = of_differences(limits(study.metric, study.runs[study.metric]))
    every_pair = compare(study, arms, pairs(study, arms))
    compared, explained = correct(every_pair, effects(study, arms), reach)
    arms["leading"] = leading(study, arms, compared)
    reached = targets(study, every, target)
    return Statistics(
        cells=every,
        arms=arms,
        overall=overall(study, arms, seed),
        pairs=compared,
        comparisons=comparisons(study, arms, compared),
        effects=explained,
        budget=budget(study),
        targets=reached,
        times=times(study, reached),
        profiles=profiles(study, reached),
    )
