"""Methods over several problems."""

import numpy as np
import pandas as pd

from theta0.report.statistics.bootstrap import intervals, iqm
from theta0.report.statistics.limits import limits
from theta0.report.study import Study


def overall(study: Study, arms: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The interquartile mean of the reported metric over all problems and seeds, best first, after
    those that have it on more problems.

    Its interval is that of the stratified bootstrap: the runs of each problem are resampled by
    themselves (Agarwal et al. 2021). Columns: the method's factors; problems, the number of those
    on which it has runs that are done; n runs, and how many diverged; iqm, iqm_low, iqm_high. Only
    of several problems.

    Values are taken as they are, not normalised: accuracies of problems of much the same difficulty
    can be put together so, losses rarely.
    """
    columns = [*study.method, "problems", "n", "diverged", "iqm", "iqm_low", "iqm_high"]
    chosen = study.runs[study.runs["cell"].isin(arms["cell"])]
    done = chosen[chosen["status"] == "done"].dropna(subset=study.metric)
    diverged = chosen[chosen["status"] == "diverged"].groupby(study.method, dropna=False).size()
    ends = limits(study.metric, study.runs[study.metric])
    rows = []
    if study.problem and len(arms[study.problem].drop_duplicates()) > 1:
        for values, method in done.groupby(study.method, dropna=False):
            strata = [
                problem[study.metric].to_numpy(float)
                for _, problem in method.groupby(study.problem, dropna=False)
            ]
            low, high = np.clip(intervals(strata, seed)["iqm"], *ends)
            rows.append(
                [
                    *values,
                    len(strata),
                    sum(map(len, strata)),
                    int(diverged.get(values, 0)),
                    float(iqm(np.sort(np.concatenate(strata)))),
                    low,
                    high,
                ]
            )
    table = pd.DataFrame(rows, columns=columns)
    order = [False, study.mode == "min"]
    return table.sort_values(["problems", "iqm"], ascending=order, ignore_index=True)
