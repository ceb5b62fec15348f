"""One row a cell, against pandas and numbers known by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from theta0.report.statistics.bootstrap import resamples, tails
from theta0.report.statistics.cells import cells
from theta0.report.study import read


def test_every_number_of_a_cell_follows_from_the_csv(made_up_study):
    rng = np.random.default_rng(0)
    folder = made_up_study(
        lambda cell, seed: (rng.uniform(), rng.uniform()), init=["he", "xavier"], seeds=range(7)
    )
    study = read([folder])
    table = cells(study).set_index("cell")
    csv = study.runs
    for cell, runs in csv.groupby("cell"):
        values, row = runs["test/acc"].to_numpy(), table.loc[cell]
        assert row["n"] == 7
        assert row["mean"] == pytest.approx(values.mean())
        assert row["std"] == pytest.approx(values.std(ddof=1))
        assert row["median"] == np.median(values)
        assert row["iqm"] == pytest.approx(np.sort(values)[1:6].mean())
        assert row["selection"] == pytest.approx(runs["val/acc"].mean())
        assert (row["seconds"], row["fit_seconds"], row["steps"]) == (4.0, 3.0, 30.0)
        drawn = values[resamples(7, 0)]
        trimmed = stats.trim_mean(drawn, 0.25, axis=1)
        middle = {"mean": drawn.mean(axis=1), "median": np.median(drawn, axis=1), "iqm": trimmed}
        for name, resampled in middle.items():
            ends = np.quantile(resampled, tails([7]))
            assert (row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx(tuple(ends))


def test_how_runs_ended_is_counted_and_they_are_in_no_mean(made_up_study):
    ends = [0.5, 0.7, "diverged", "diverged", "failed", "pruned", "running", "interrupted"]
    study = read([made_up_study(lambda cell, seed: ends[seed], seeds=range(8))])
    (row,) = cells(study).to_dict("records")
    assert [row[end] for end in ("n", "diverged", "failed", "pruned", "unfinished")] == [
        2, 2, 1, 1, 2,
    ]  # fmt: skip
    assert row["mean"] == 0.6


def test_a_cell_in_which_no_run_is_done(made_up_study):
    study = read([made_up_study(lambda cell, seed: "failed", seeds=range(2))])
    (row,) = cells(study).to_dict("records")
    assert (row["n"], row["failed"], row["chosen"]) == (0, 2, True)
    assert np.isnan([row["mean"], row["std"], row["iqm_low"], row["selection"]]).all()


def chosen(folder, **options) -> dict[str, float]:
    """The rate that stands for each init."""
    table = cells(read([folder], **options))
    return table[table["chosen"]].set_index("init")["optimizer.lr"].to_dict()


def test_settings_are_chosen_on_validation(made_up_study):
    """Not by the test rows, which say the opposite here."""

    def outcome(cell, seed):
        better = cell["optimizer.lr"] == 0.1
        return (0.9 if better else 0.8) + seed / 1000, 0.5 if better else 0.99

    folder = made_up_study(outcome, optimizer__lr=[0.01, 0.1], init=["he", "xavier"])
    assert chosen(folder) == {"he": 0.1, "xavier": 0.1}


@pytest.mark.parametrize(("lost", "better"), [(1, 1.0), (3, 0.1)])
@pytest.mark.parametrize("end", ["diverged", "pruned"])
def test_what_is_lost_counts_as_the_worst_that_any_run_came_to(made_up_study, end, lost, better):
    """0.2, of Xavier: a rate with which 0.99 is reached four times of five is better than 0.5."""

    def outcome(cell, seed):
        if cell["init"] == "xavier":
            return 0.2
        if cell["optimizer.lr"] == 1.0 and seed < lost:
            return end
        return 0.99 if cell["optimizer.lr"] == 1.0 else 0.6

    folder = made_up_study(outcome, optimizer__lr=[0.1, 1.0], init=["he", "xavier"])
    assert chosen(folder)["he"] == better
    table = cells(read([folder])).set_index(["init", "optimizer.lr"])
    assert table.loc[("he", 1.0), "selection"] == pytest.approx(
        (lost * 0.2 + (5 - lost) * 0.99) / 5
    )
    assert table.loc[("he", 1.0), "mean"] == pytest.approx(0.99)


def test_the_worst_is_that_of_the_same_problem(made_up_study):
    def outcome(cell, seed):
        return "diverged" if seed == 0 else {"easy": 0.8, "hard": 0.3}[cell["data"]]

    table = cells(read([made_up_study(outcome, data=["easy", "hard"])]))
    assert table["selection"].tolist() == pytest.approx([0.8, 0.3])


def test_the_least_divergence_is_chosen_where_all_diverge(made_up_study):
    def outcome(cell, seed):
        return "diverged" if seed < {0.1: 3, 0.3: 1, 1.0: 5}[cell["optimizer.lr"]] else 0.5

    assert chosen(made_up_study(outcome, optimizer__lr=[0.1, 0.3, 1.0])) == {"he": 0.3}


def test_less_is_better_where_the_objective_says_so(made_up_study):
    def regression(content):
        content["objective"].metric, content["objective"].mode = "val/loss", "min"
        content["metrics"]["test/loss"] = content["objective"].value

    def outcome(cell, seed):
        return {0.1: 0.5, 1.0: 0.4}[cell["optimizer.lr"]]

    folder = made_up_study(outcome, change=regression, optimizer__lr=[0.1, 1.0])
    assert chosen(folder) == {"he": 1.0}


def test_cells_stand_in_the_order_of_their_values(made_up_study):
    folder = made_up_study(optimizer__lr=[1.0, 0.03, 0.1], init=["xavier", "he"], seeds=[0])
    table = cells(read([folder]))
    assert table[["init", "optimizer.lr"]].to_numpy().tolist() == [
        [init, lr] for init in ("he", "xavier") for lr in (0.03, 0.1, 1.0)
    ]
    assert isinstance(table, pd.DataFrame)


def test_a_run_whose_objective_is_not_finite_makes_no_setting_the_best(made_up_study):
    """Without it the rate 0.1 would have a mean over its luckiest seeds alone."""

    def outcome(cell, seed):
        return {0.01: 0.8, 0.1: 0.9}[cell["optimizer.lr"]] - 0.3 * (seed == 0)

    def lost(content):
        content["status"] = "done"
        if content["config"]["optimizer"]["lr"] == 0.1 and content["seeds"].init > 1:
            content["objective"].value = None

    study = read([made_up_study(outcome, optimizer__lr=[0.01, 0.1], change=lost)])
    found = cells(study).set_index("optimizer.lr")
    assert found["chosen"].to_dict() == {0.01: True, 0.1: False}
    assert found.loc[0.1, "selection"] == pytest.approx((0.6 + 0.9 + 3 * 0.5) / 5)
