"""A real study, the README's: two optimizers × three inits × three rates × five seeds, as stacks.

Every number on its page is computed here once more: from results.csv, in a few lines of pandas for
each part of the page, and for the times to target from the runs' metrics.csv.
"""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.api import stats as models
from statsmodels.formula.api import ols
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

pytestmark = pytest.mark.slow

README = (Path(__file__).parents[2] / "README.md").read_text()
TRAIN, REPORT = (
    shlex.split(re.search(rf"^python src/{program} (.*\bstudy=mnist5k\b.*)$", README, re.M)[1])
    for program in (r"train\.py", r"report\.py")
)
METHOD = ["optimizer", "init"]
AXES = [*METHOD, "optimizer.lr"]
SOURCES = {
    "optimizer": "C(optimizer)", "init": "C(init)", "optimizer × init": "C(optimizer):C(init)",
    "seed": "C(seed)", "residual": "Residual",
}  # fmt: skip
STUDENT = stats.t.ppf(0.975, 4) / np.sqrt(5)
"""Half an interval of five seeds, in standard deviations."""


def test_every_number_on_the_page(in_process, tmp_path):
    ran = in_process(tmp_path, *TRAIN, "data=mnist5k", "trainer.max_epochs=4")
    assert ran.code == 0, ran.err
    ran = in_process(tmp_path, *REPORT, program="report.py")
    assert (ran.code, ran.err) == (0, "")
    folder = tmp_path / "logs/mnist5k/report"
    text = (folder / "index.html").read_text()
    (data,) = re.findall(r'<script type="application/json" id="data"[^>]*>(.*?)</script>', text)
    page = json.loads(data)
    runs = pd.read_csv(folder / "results.csv")
    assert (runs["status"] == "done").all()
    assert len(runs) == 90

    cells = runs.groupby(AXES).agg(
        mean=("test/acc", "mean"), std=("test/acc", "std"), median=("test/acc", "median"),
        iqm=("test/acc", lambda values: stats.trim_mean(values, 0.25)),
        seconds=("cost.wall_seconds", "mean"), selection=("objective.value", "mean"),
    )  # fmt: skip
    best = cells.loc[cells.groupby(METHOD)["selection"].idxmax()]
    chosen = runs.set_index(AXES).loc[best.index].reset_index()
    grid, of_arms, of_cells, of_pairs, of_effects, of_times = page["tables"]
    told_of_cells(of_cells, cells, runs)
    told_of_cells(of_arms, best, runs)
    told_in_the_grid(grid, best)
    the_heat_map(page["cells"], cells)
    pairs = told_of_pairs(of_pairs, chosen)
    shares = told_of_effects(of_effects, chosen)
    told_of_times(of_times, chosen, tmp_path / "logs/mnist5k")
    the_sentences(page, best, pairs, shares)
    the_recommendation(page["recommendations"], best, chosen)


def says(text, *values):
    """The numbers in a text are these values, each rounded to the digits that it is told with."""
    told = re.findall(r"([−-]?\d+)(?:\.(\d+))?(?:e([+-]\d+))?", text)
    assert len(told) == len(values), text
    for (whole, decimals, exponent), value in zip(told, values, strict=True):
        unit = 10.0 ** (int(exponent or 0) - len(decimals))
        number = float(f"{whole.replace('−', '-')}.{decimals}e{exponent or 0}")
        assert abs(number - value) <= 0.501 * unit, (text, values)


def says_p(text, p):
    says(text, 0.001 if p < 0.001 else p)
    assert text.startswith("<") == (p < 0.001)


def paired(a, b):
    """Of values by seed: (difference, low, high), (probability, low, high), p."""
    d = a - b
    half = STUDENT * d.std()
    wins = (d > 1e-9).sum() + (abs(d) < 1e-9).sum() / 2
    chance = (wins / 5, *proportion_confint(wins, 5, method="wilson"))
    return (d.mean(), d.mean() - half, d.mean() + half), chance, stats.ttest_rel(a, b).pvalue


def by_seed(chosen):
    """Accuracies in percent, [seed, (optimizer, init)]."""
    return 100 * chosen.pivot(index="seed", columns=METHOD, values="test/acc")


# ------------------------------------------------------------------------------------------- tables


def told_of_cells(table, cells, runs):
    values = runs.set_index(AXES)["test/acc"]
    resamples = np.random.default_rng(1).integers(0, 5, (10_000, 5))
    tail = stats.norm.cdf(-np.sqrt(5 / 4) * stats.t.ppf(0.975, 4))
    assert len(table["rows"]) == len(cells)
    for optimizer, init, rate, mean, std, median, iqm, n, seconds in table["rows"]:
        cell = cells.loc[optimizer, init, float(rate)]
        says(mean, 100 * cell["mean"], 100 * STUDENT * cell["std"])
        says(f"{std} {median}", 100 * cell["std"], 100 * cell["median"])
        says(f"{n} {seconds}", 5, cell["seconds"])
        drawn = np.sort(values.loc[optimizer, init, float(rate)].to_numpy()[resamples])
        half = np.ptp(np.quantile(drawn[:, 1:-1].mean(axis=1), [tail, 1 - tail])) / 2
        middle, told = iqm.split(" ± ")
        says(middle, 100 * cell["iqm"])
        assert float(told) == pytest.approx(100 * half, rel=0.1, abs=0.1)  # from other draws


def told_in_the_grid(table, best):
    for init, *texts in table["rows"]:
        for optimizer, text in zip(table["header"][1:], texts, strict=True):
            (cell,) = best.loc[optimizer, init].to_dict("records")
            says(text, 100 * cell["mean"], 100 * STUDENT * cell["std"])


def the_heat_map(told, cells):
    assert len(told) == len(cells)
    for key, (mean, low, high, n) in told.items():
        optimizer, init, rate = key.split("|")
        cell = cells.loc[optimizer, init, float(rate.removeprefix("optimizer.lr="))]
        assert (mean, n) == (pytest.approx(cell["mean"]), 5)
        assert (high - mean, mean - low) == pytest.approx((STUDENT * cell["std"],) * 2)


def told_of_pairs(table, chosen):
    """Returns the differences with their intervals, and their corrected p."""
    wide, pairs = by_seed(chosen), []
    for factor in METHOD:
        rows = [row for row in table["rows"] if row[0] == factor]
        sides = [
            ((a, init), (b, init)) if factor == "optimizer" else ((optimizer, a), (optimizer, b))
            for _, a, b, optimizer, init, *_ in rows
        ]
        found = [paired(wide[a], wide[b]) for a, b in sides]
        corrected = multipletests([p for *_, p in found], method="holm")[1]
        for row, (difference, chance, _), p in zip(rows, found, corrected, strict=True):
            says(row[5], *difference)
            says(row[6], *chance)
            says(row[7], 5)
            says_p(row[8], p)
            pairs.append((difference, p))
    assert len(pairs) == len(table["rows"]) == 3 + 6
    return pairs


def told_of_effects(table, chosen):
    """Returns the shares of the variance, in percent."""
    frame = chosen.rename(columns={"test/acc": "y"})
    anova = models.anova_lm(ols("y ~ C(optimizer) * C(init) + C(seed)", frame).fit(), typ=2)
    shares = 100 * anova["sum_sq"] / anova["sum_sq"].sum()
    assert [row[0] for row in table["rows"]] == list(SOURCES)
    for source, share, freedom, f, p in table["rows"]:
        line = anova.loc[SOURCES[source]]
        says(f"{share} {freedom}", shares[SOURCES[source]], line["df"])
        if source != "residual":
            says(f, line["F"])
            says_p(p, line["PR(>F)"])
    return shares


def told_of_times(table, chosen, study):
    target = chosen["objective.value"].median()
    first = []
    for run in chosen["run"]:
        epochs = pd.read_csv(study / run / "metrics.csv")
        there = epochs[epochs["val/acc"] >= target]
        first.append(there[["step", "seconds"]].iloc[0] if len(there) else (np.inf, np.inf))
    when = pd.DataFrame(np.array(first), columns=["step", "spent"]).join(chosen[METHOD])
    for optimizer, init, told, reached, *texts in table["rows"]:
        here = when[(when["optimizer"] == optimizer) & (when["init"] == init)]
        says(f"{told} {reached}", 100 * target, np.isfinite(here["step"]).sum(), 5)
        for text, median in zip(texts, here[["step", "spent"]].median(), strict=True):
            says(text, *([] if text == "∞" else [median]))
            assert (text == "∞") == np.isinf(median)


# ---------------------------------------------------------------------------------------- sentences


def the_sentences(page, best, pairs, shares):
    top = best.loc[best["mean"].idxmax()]
    first, inits, optimizers, of_variance = page["findings"]
    says(first, *(100 * (top["mean"] + end * STUDENT * top["std"]) for end in (0, -1, 1)), 5)
    told = re.findall(r"by ([^,]* \[[^]]*\]), n = 5 seeds", inits + optimizers)
    assert len(told) == (inits + optimizers).count("n = ") > 4
    for text in told:  # from the better side, whichever it is
        numbers = np.array(re.findall(r"-?[\d.]+", text.replace("−", "-")), float)
        sides = [s for (m, low, high), _ in pairs for s in ((m, low, high), (-m, -high, -low))]
        assert np.abs(np.array(sides) - numbers).max(axis=1).min() <= 0.0501, text
    without_p = re.sub(r" \(p [^)]*\)", "", of_variance)
    says(without_p, *(shares[SOURCES[s]] for s in ("init", "optimizer", "optimizer × init")))
    few = next(caveat["text"] for caveat in page["caveats"] if caveat["kind"] == "few")
    found = TTestPower().solve_power(nobs=5, power=0.8, alpha=0.05 / 6)  # six pairs of inits
    says(few, sum(p >= 0.05 for _, p in pairs), len(pairs), 5, found)


def the_recommendation(recommendations, best, chosen):
    (told,) = recommendations
    ranked = best.sort_values("selection", ascending=False, kind="stable")
    (use, cell), (second, next_cell), *_ = ranked.iterrows()
    assert told["choice"] == f"{use[0]} + {use[1]} (optimizer.lr={use[2]:g})"
    on_validation, on_test, against = told["evidence"]
    says(on_validation, 100 * cell["selection"])
    tied = np.isclose(cell["selection"], next_cell["selection"], rtol=1e-9)
    assert (f"best on validation with {second[0]} + {second[1]}" in on_validation) == tied
    says(on_test, *(100 * (cell["mean"] + end * STUDENT * cell["std"]) for end in (0, -1, 1)), 5)
    wide = by_seed(chosen)
    (mean, low, high), chance, _ = paired(wide[use[:2]], wide[second[:2]])
    says(against, *((mean, low, high) if mean >= 0 else (-mean, -high, -low)), 5, *chance)
