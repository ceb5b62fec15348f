"""What a given number of trials may be expected to find."""

import numpy as np
import pandas as pd

from theta0.report.statistics.bootstrap import Values
from theta0.report.statistics.cells import with_lost
from theta0.report.study import Study


def budget(study: Study) -> pd.DataFrame:
    """Expected best validation against the number of trials, of each combination of factors.

    A trial is a run: settings and seeds drawn from those that were tried (Dodge et al. 2019, Show
    your work, eq. 5). One that diverged or was pruned counts as the worst of its problem. Columns:
    the factors; budget, from 1 to the number of trials; expected and std, the best's mean and
    deviation. Only of combinations with several settings: else there is nothing to spend a budget
    on.
    """
    columns = [*study.factors, "budget", "expected", "std"]
    sign = 1 if study.objective.mode == "max" else -1
    trial = sign * with_lost(study, "objective.value", study.objective.mode)
    trials = study.runs.assign(trial=trial).dropna(subset="trial")
    parts = [pd.DataFrame(columns=columns)]
    for values, arm in trials.groupby(study.factors, dropna=False):
        if arm["cell"].nunique() == 1:
            continue
        expected, std = best_of(arm["trial"].to_numpy(float))
        spent = 1 + np.arange(len(arm))
        part = pd.DataFrame({"budget": spent, "expected": sign * expected, "std": std})
        parts.append(part.assign(**dict(zip(study.factors, values, strict=True))))
    return pd.concat(parts, ignore_index=True)[columns]


def best_of(values: Values) -> tuple[Values, Values]:
    """Mean and standard deviation of the largest of n draws with replacement, n = 1, ..., N.

    P(max ≤ v₍ᵢ₎) = (i/N)ⁿ, where v₍ᵢ₎ is the i-th smallest of the N values. The powers are
    multiplied up from one n to the next: O(N) memory.
    """
    ordered, count = np.sort(values), len(values)
    fraction = np.arange(count + 1) / count
    cumulated = np.ones(count + 1)
    mean, std = np.empty((2, count))
    for n in range(count):
        cumulated *= fraction
        weights = np.diff(cumulated)
        mean[n] = weights @ ordered
        std[n] = np.sqrt(max(weights @ ordered**2 - mean[n] ** 2, 0))
    return mean, std
