"""A real study, the README's: two optimizers × three inits × three rates × five seeds, as stacks.

Every number on its page is computed here once more: from results.csv, in a few lines of pandas for
each part of the page, and for the times to target from the runs' metrics.csv.
"""

import itertools
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import brentq
from statsmodels.api import stats as models
from statsmodels.formula.api import ols
from statsmodels.stats.multitest import multipletests
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

TESTS = 15 + 3
"""Pairs of the six combinations, and sources of variance: all that the report corrects for."""

ALPHA = 0.05 / TESTS
SIMULTANEOUS = stats.t.isf(ALPHA / 2, 4) / np.sqrt(5)
"""The same where all intervals of differences are to hold at once."""


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
    corrected = family(chosen)
    pairs = told_of_pairs(of_pairs, chosen, corrected)
    shares = told_of_effects(of_effects, chosen, corrected)
    told_of_times(of_times, chosen, tmp_path / "logs/mnist5k")
    the_sentences(page, best, pairs, shares, corrected)
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
    half = SIMULTANEOUS * d.std()
    wins = (d > 1e-9).sum() + (abs(d) < 1e-9).sum() / 2
    chance = (wins / 5, *proportion_confint(wins, 5, alpha=ALPHA, method="wilson"))
    return (d.mean(), d.mean() - half, d.mean() + half), chance, stats.ttest_rel(a, b).pvalue


def analysis_of_variance(chosen):
    frame = chosen.rename(columns={"test/acc": "y"})
    return models.anova_lm(ols("y ~ C(optimizer) * C(init) + C(seed)", frame).fit(), typ=2)


def family(chosen):
    """Corrected p of each pair of combinations, by its sides in any order, and of each source."""
    wide, anova = by_seed(chosen), analysis_of_variance(chosen)
    p = {frozenset(pair): paired(*(wide[side] for side in pair))[2]
         for pair in itertools.combinations(wide.columns, 2)}  # fmt: skip
    p |= {s: anova.loc[SOURCES[s], "PR(>F)"] for s in list(SOURCES)[:3]}
    assert len(p) == TESTS
    return dict(zip(p, multipletests(list(p.values()), method="holm")[1], strict=True))


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


def told_of_pairs(table, chosen, family):
    """Returns the differences with their intervals, and their corrected p."""
    wide, pairs = by_seed(chosen), []
    for factor in METHOD:
        rows = [row for row in table["rows"] if row[0] == factor]
        sides = [
            ((a, init), (b, init)) if factor == "optimizer" else ((optimizer, a), (optimizer, b))
            for _, a, b, optimizer, init, *_ in rows
        ]
        found = [paired(wide[a], wide[b]) for a, b in sides]
        corrected = [family[frozenset(pair)] for pair in sides]
        for row, (difference, chance, _), p in zip(rows, found, corrected, strict=True):
            says(row[5], *difference)
            says(row[6], *chance)
            says(row[7], 5)
            says_p(row[8], p)
            pairs.append((difference, p))
    assert len(pairs) == len(table["rows"]) == 3 + 6
    return pairs


def told_of_effects(table, chosen, family):
    """Returns the shares of the variance, in percent."""
    anova = analysis_of_variance(chosen)
    shares = 100 * anova["sum_sq"] / anova["sum_sq"].sum()
    assert [row[0] for row in table["rows"]] == list(SOURCES)
    for source, share, freedom, f, p in table["rows"]:
        line = anova.loc[SOURCES[source]]
        says(f"{share} {freedom}", shares[SOURCES[source]], line["df"])
        if source != "residual":
            says(f, line["F"])
        if source in family:
            says_p(p, family[source])
        else:
            assert p == "–"
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


def of_mean(cell):
    """The mean, the ends of its own interval, and n."""
    return *(100 * (cell["mean"] + end * STUDENT * cell["std"]) for end in (0, -1, 1)), 5


def the_sentences(page, best, pairs, shares, family):
    top = best.loc[best["mean"].idxmax()]
    first, inits, optimizers, of_variance = page["findings"]
    says(first.replace("95 %", ""), *of_mean(top))
    told = re.findall(
        r"([\d.]+) points(?: in favour of \w+(?: over \w+)?,)? \(?simultaneous 95 % CI"
        r" ([−\d.]+)(?:–| to )([−\d.]+), n = 5 seeds, corrected p (?:= |< )([\d.]+)",
        inits + optimizers,
    )
    assert len(told) == (inits + optimizers).count("n = ") > 4
    for text in told:  # from the better side, whichever it is
        numbers = np.array([number.replace("−", "-") for number in text], float)
        sides = [
            (*side, max(p, 0.001))
            for (m, low, high), p in pairs
            for side in ((m, low, high), (-m, -high, -low))
        ]
        assert np.abs(np.array(sides) - numbers).max(axis=1).min() <= 0.0501, text
    for source, words in {"init": "init", "optimizer": "optimizer"}.items():
        share = re.search(rf"the {words}(?: accounts)?(?: for)? (\d+) %", of_variance)[1]
        says(share, shares[SOURCES[source]])
        assert (family[source] < 0.05) == (source not in of_variance.partition("not signif")[2])
    few = next(caveat["text"] for caveat in page["caveats"] if caveat["kind"] == "few")
    spread = np.sqrt(stats.chi2.ppf((np.arange(20_000) + 0.5) / 20_000, 4) / 4)
    beyond = SIMULTANEOUS * np.sqrt(5) * spread
    found = brentq(lambda d: stats.norm.sf(beyond - d * np.sqrt(5)).mean() - 0.8, 0, 20)
    says(few, sum(p >= 0.05 for _, p in pairs), len(pairs), 5, TESTS, found, 80)


def the_recommendation(recommendations, best, chosen):
    (told,) = recommendations
    ranked = best.sort_values("selection", ascending=False, kind="stable")
    (use, cell), (second, next_cell), *_ = ranked.iterrows()
    assert told["choice"] == f"{use[0]} + {use[1]} (optimizer.lr={use[2]:g})"
    on_validation, on_test, against, ahead = told["evidence"]
    says(on_validation, 100 * cell["selection"])
    tied = np.isclose(cell["selection"], next_cell["selection"], rtol=1e-9)
    assert (f"best on validation with {second[0]} + {second[1]}" in on_validation) == tied
    says(on_test.replace("95 %", ""), *of_mean(cell))
    wide = by_seed(chosen)
    (mean, low, high), chance, _ = paired(wide[use[:2]], wide[second[:2]])
    numbers = (mean, low, high) if mean >= 0 else (-mean, -high, -low)
    p = family(chosen)[frozenset([use[:2], second[:2]])]
    says(against.replace("95 %", ""), *numbers, 5, max(p, 0.001))
    says(ahead.replace("95 %", ""), 5 * chance[0], 5, *chance)
