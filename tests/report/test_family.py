"""How often a page asserts what is not, and whether it finds what is."""

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from theta0.report.caveats import caveats
from theta0.report.finding import findings
from theta0.report.recommendation import recommend
from theta0.report.statistics import analyse, bootstrap
from theta0.report.statistics.comparisons import compare
from theta0.report.statistics.family import ALPHA, correct
from theta0.report.statistics.variance import two_way
from theta0.report.study import SEEDS, Study
from theta0.report.tables import tables
from theta0.results import Objective, Result, Seeds

KEYS, NUMBERS = ["study", "run"], ["epoch", "step", "seconds", "val/acc"]
"""Columns of curves, which these studies do not have."""


def study_of(values: np.ndarray) -> Study:
    """Accuracies [optimizers, inits, seeds] as a study in memory, one run each."""
    shape = values.shape
    cells = list(itertools.product(range(shape[0]), range(shape[1])))
    keys = [(f"o{o}", f"i{i}", s) for (o, i), s in itertools.product(cells, range(shape[2]))]
    runs = pd.DataFrame(keys, columns=["optimizer", "init", "seed"])
    runs["study"], runs["status"], runs["error"] = "null", "done", ""
    runs["run"] = runs["cell"] = runs["optimizer"].str.cat(runs["init"], sep="|")
    runs["run"] += "|" + runs["seed"].astype(str)
    for seed in SEEDS:
        runs[seed] = runs["seed"]
    runs["val/acc"] = runs["test/acc"] = runs["objective.value"] = values.ravel()
    runs["hashes.data"] = runs["environment.git.sha"] = runs["environment.gpu"] = "0"
    runs["environment.packages.torch"] = "2"
    for cost in ("wall_seconds", "fit_seconds", "steps"):
        runs[f"cost.{cost}"] = 1.0
    result = Result(
        run="r", study="null", overrides=[], choices={}, config={"paths": {"data_dir": "d"}},
        config_hash="0", seeds=Seeds(split=0, init=0, order=0, noise=0),
        objective=Objective(metric="val/acc", mode="max"),
    )  # fmt: skip
    return Study(
        name="null", folders=(), results=[result] * len(runs), paths=[], runs=runs,
        curves=pd.DataFrame(columns=[*KEYS, *NUMBERS]).astype(dict.fromkeys(NUMBERS, float)),
        factors=["optimizer", "init"], settings=[], objective=result.objective, metric="test/acc",
        mode="max", where=None, total=len(runs), broken=[], notes=[],
    )  # fmt: skip


def null(rng: np.random.Generator, pages: int, levels: int, n: int) -> np.ndarray:
    """Values [pages, optimizers, inits, seeds]. What seeds bring is shared; some arms vary twice as
    much as others; none is better."""
    spread = rng.uniform(0.005, 0.01, size=(pages, levels, levels, 1))
    shared = rng.normal(scale=0.02, size=(pages, 1, 1, n))
    return 0.9 + shared + spread * rng.normal(size=(pages, levels, levels, n))


def share_of_pages(values: np.ndarray, asserts) -> float:
    """Of so many studies [pages, optimizers, inits, seeds], those of which `asserts(compared,
    effects)` is true; every pair of all of them is compared at once, corrected page by page."""
    pages, arms = len(values), values.shape[1] * values.shape[2]
    together = study_of(values.reshape(pages, arms, -1))
    keys = together.runs["cell"].drop_duplicates().to_frame()
    pairs = list(itertools.combinations(range(arms), 2))
    every = [(arms * page + a, arms * page + b) for page in range(pages) for a, b in pairs]
    compared = compare(together, keys, every)
    where = study_of(values[0]).runs
    found = 0
    for page in range(pages):
        seeds = where["seed"]
        shares = two_way(values[page].ravel(), where["optimizer"], where["init"], seeds)
        here = compared.iloc[len(pairs) * page : len(pairs) * (page + 1)].reset_index(drop=True)
        found += asserts(*correct(here, shares, (-1.0, 1.0)))
    return found / pages


def any_difference(compared: pd.DataFrame, effects: pd.DataFrame) -> bool:
    return bool(compared["differs"].any() or (effects["p_corrected"] < ALPHA).any())


@pytest.mark.slow
@pytest.mark.parametrize(("levels", "n"), [(2, 5), (2, 10), (5, 10)])
def test_at_most_one_page_in_twenty_asserts_a_difference_that_is_not(levels, n):
    """Bold and sentences follow from these tables; see the next test. Two standard errors more."""
    pages = 300
    share = share_of_pages(null(np.random.default_rng(0), pages, levels, n), any_difference)
    assert share <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / pages)


@pytest.mark.slow
@pytest.mark.parametrize(("levels", "effect"), [(2, 2.0), (5, 3.0)])
def test_a_difference_of_a_sensible_size_is_found(levels, effect):
    """One arm is better by so many standard deviations of a paired difference, on ten seeds."""
    values = null(np.random.default_rng(1), 100, levels, 10)
    values[:, 0, 0] += effect * 0.0075 * np.sqrt(2)

    def found(compared, effects):
        others = compared[(compared["first"] % levels**2 == 0)]
        return others["differs"].mean() > 0.5 and (others["difference"] > 0).all()

    assert share_of_pages(values, found) >= 0.8


PAGES = null(np.random.default_rng(0), 40, 2, 10)
LUCKY = PAGES[stats.ttest_rel(PAGES[:, 0, 0], PAGES[:, 1, 1], axis=1).pvalue < 0.05][:3]
"""Pages on which nothing differs and a pair seems to."""


@pytest.fixture
def analysed(monkeypatch) -> Iterator:
    """`analysed(values)`, without the resamples of single means, which assert no difference."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 2)
    bootstrap.resamples.cache_clear()
    yield lambda values: (study := study_of(values), analyse(study))
    bootstrap.resamples.cache_clear()


ASSERTING = ("outperform", " accounts for ", "better than", "worse than", "beats", ": high")
DENIALS = (
    "does not differ significantly", "no factor accounts for", "not significantly better than",
    "may look worse than",
)  # fmt: skip


@pytest.mark.parametrize("effect", [0.0, 0.1])
def test_nothing_on_the_page_asserts_more_than_the_tables(analysed, tmp_path, effect):
    """Of a page that finds nothing, though a single uncorrected p is below 5 %, no sentence says
    otherwise and all arms are bold; one that finds something has both."""

    def nothing(words):
        raise ValueError("no file is written")

    for page in LUCKY + effect * np.eye(1, 4).reshape(2, 2, 1):
        study, statistics = analysed(page)
        assert (statistics.pairs["p"] < ALPHA).any()
        recommended = recommend(study, statistics, tmp_path, nothing)
        lines = [*findings(study, statistics), *(line for r in recommended for line in r.lines)]
        lines += [caveat.text for caveat in caveats(study, statistics)]
        for denial in DENIALS:
            lines = [line.replace(denial, "") for line in lines]
        said = any(word in line for line in lines for word in ASSERTING)
        shown = tables(study, statistics)
        marked = any(shown[key].bold for key in ("comparisons", "effects"))
        found = any_difference(statistics.pairs, statistics.effects)
        assert said == marked == found == bool(effect)
        leading = statistics.arms["leading"].sum()
        assert len(shown["arms"].bold) == len(shown["grid"].bold) == (1 if effect else leading)
        assert (leading < 4) == bool(effect)
