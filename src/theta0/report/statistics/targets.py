"""How soon runs reach a target, and how often a method is near the fastest."""

import numpy as np
import pandas as pd

from theta0.report.study import SEEDS, Study

WHEN = ["epoch", "step", "seconds"]


def targets(study: Study, cells: pd.DataFrame, target: float | None = None) -> pd.DataFrame:
    """One row a run that is done or diverged: when validation first reached the target.

    The target is a value of the objective; by default, for each problem, the median over the runs
    of its chosen cells: half of them reach it. Columns: study, run, cell, the study's axes, the
    seeds; chosen, of the cell; target; reached; and of the end of the first epoch that reached it
    epoch (from 0), step, seconds (of fit), NaN where none did.
    """
    runs = study.runs[study.runs["status"].isin(["done", "diverged"])]
    table = runs[["study", "run", "cell", *study.axes, *SEEDS]].merge(cells[["cell", "chosen"]])
    value = runs.set_index(["study", "run"])["objective.value"]
    reached = value.reindex(pd.MultiIndex.from_frame(table[["study", "run"]])).array
    if target is not None:
        table["target"] = target
    else:
        counted = pd.Series(reached, index=table.index).where(table["chosen"])
        problems = [table[factor] for factor in study.problem] or [pd.Series(0, table.index)]
        table["target"] = counted.groupby(problems, dropna=False).transform("median")
    metric = study.objective.metric
    curves = study.curves if metric in study.curves else study.curves.assign(**{metric: np.nan})
    epochs = curves.merge(table[["study", "run", "target"]])
    sign = 1 if study.objective.mode == "max" else -1
    good = sign * epochs[metric] >= sign * epochs["target"]
    there = epochs[good & np.isfinite(epochs[metric])]
    first = there.sort_values("epoch", kind="stable").drop_duplicates(["study", "run"])
    table = table.merge(first[["study", "run", *WHEN]], how="left")
    table.insert(table.columns.get_loc("epoch"), "reached", table["epoch"].notna())
    return table


def times(study: Study, targets: pd.DataFrame) -> pd.DataFrame:
    """Time to target of each combination of factors, by its chosen cell.

    Columns: the factors; target; n runs, reached by how many; the medians of epoch, step and
    seconds, where a run that did not reach it took forever: ∞ unless more than half did.
    """
    chosen = targets[targets["chosen"]]
    filled = chosen.fillna(dict.fromkeys(WHEN, np.inf))
    grouped = filled.groupby(study.factors, dropna=False, sort=True)
    return grouped.agg(
        target=("target", "first"),
        n=("run", "size"),
        reached=("reached", "sum"),
        **{name: (name, "median") for name in WHEN},
    ).reset_index()


def profiles(study: Study, targets: pd.DataFrame) -> pd.DataFrame:
    """Performance profiles (Dolan & Moré 2002): the share of instances on which a method takes at
    most τ times what the fastest one takes.

    An instance is a problem with its seeds, on which every method has a run; with fewer than two of
    them there are no profiles. Columns: the method's factors; measure ("step" or "seconds"); tau,
    from 1, at which the share rises; share, from there to the next τ.
    """
    columns = [*study.method, "measure", "tau", "share"]
    chosen = targets[targets["chosen"]]
    parts = [pd.DataFrame(columns=columns)]
    for measure in ("step", "seconds"):
        spent = chosen.fillna({measure: np.inf})
        wide = spent.pivot(index=[*study.problem, *SEEDS], columns=study.method, values=measure)
        wide = wide.dropna()
        if len(wide) < 2:
            continue
        time = wide.to_numpy(float)
        fastest = time.min(axis=1, keepdims=True)
        ratios = np.divide(time, fastest, out=np.full(time.shape, np.inf), where=time < np.inf)
        for values, ratio in zip(wide.columns, ratios.T, strict=True):
            steps = np.unique([1.0, *ratio[ratio < np.inf]])
            share = (ratio[:, None] <= steps).mean(axis=0)
            part = pd.DataFrame({"measure": measure, "tau": steps, "share": share})
            parts.append(part.assign(**dict(zip(study.method, values, strict=True))))
    return pd.concat(parts, ignore_index=True)[columns]
