"""Verdicts on made-up studies whose answer is known."""

from pathlib import Path

import pytest

from theta0.results import Objective, Result, Seeds
from theta0.sweep.claims import judge


def run(init: str, lr: float, seed: int, acc: float | None, status: str = "done") -> Result:
    return Result(
        status=status,
        run=f"sgd-{init}-{lr}-s{seed}",
        study="s",
        overrides=[f"init={init}", f"optimizer.lr={lr}", f"seed={seed}"],
        choices={"optimizer": "sgd", "init": init},
        config={"optimizer": {"lr": lr}},
        config_hash="0",
        seeds=Seeds(split=0, init=seed, order=seed, noise=seed),
        objective=Objective(metric="val/acc", mode="max", value=acc),
        metrics={} if acc is None else {"val/acc": acc, "test/acc": acc - 0.01},
    )


RUNS = [
    run("he", 0.1, 0, 0.9),
    run("he", 0.1, 1, 0.8),
    run("he", 1.0, 0, 0.95),  # better than either, but its other seed diverges
    run("he", 1.0, 1, None, "diverged"),
    run("xavier", 0.1, 0, 0.5),
    run("xavier", 0.1, 1, 0.5),
    run("xavier", 1.0, 0, 0.6),
    run("xavier", 1.0, 1, 0.7),
]
CLAIM = {"says": "He wins", "value": "test/acc", "of": {"init": "he"}, "over": {"init": "xavier"}}


def verdict(claim: dict, runs=RUNS, study=Path("nowhere")):
    (only,) = judge([claim], runs, study)
    return only


@pytest.mark.parametrize(("margin", "holds"), [(0.19, True), (0.21, False)])
def test_each_side_counts_at_its_best_cell_by_validation(margin, holds):
    """0.85 − 0.65: a cell with a diverged run is the worst, whatever its other seeds do."""
    found = verdict({**CLAIM, "margin": margin})
    assert found.holds is holds
    assert "0.8400 − 0.6400 = 0.2000" in found.evidence
    assert found.line.startswith("claim holds: He wins" if holds else "claim does not hold")


def test_a_value_of_the_configuration_tells_cells_apart_too():
    claim = {
        **CLAIM,
        "of": {"init": "xavier", "optimizer.lr": 1.0},
        "over": {"init": "xavier", "optimizer.lr": 0.1},
    }
    assert verdict({**claim, "margin": 0.14}).holds is True
    assert verdict({**claim, "margin": 0.16}).holds is False


def test_without_finished_runs_a_claim_is_open():
    failed = [r.model_copy(update={"status": "failed"}) if "he" in r.run else r for r in RUNS]
    found = verdict({**CLAIM, "margin": 0.1}, failed)
    assert found.holds is None
    assert found.line == "claim open: He wins (no finished runs with init=he)"


DIAGNOSTIC = {**CLAIM, "value": {"diagnostic": "weight_grad_std", "layer": "hidden.0"}}


@pytest.fixture
def diagnosed(tmp_path):
    """`diagnosed(he, xavier)`: a study whose diagnostics at θ₀ have these values as text."""

    def diagnosed(he, xavier):
        for result in RUNS:
            folder = tmp_path / result.run
            folder.mkdir()
            std = he if "he" in result.run else xavier
            (folder / "diagnostics.csv").write_text(
                f"step,layer,weight_grad_std\n0,hidden.0,{std}\n0,output,1\n10,hidden.0,5\n"
            )
        return tmp_path

    return diagnosed


@pytest.mark.parametrize(
    ("he", "xavier", "ratio", "holds"),
    [
        (4e-3, 1e-6, 3999, True),
        (4e-3, 1e-6, 4001, False),
        (0.5, 0.25, 2, True),  # at least is not more than
        (0.0, 0.0, 1, False),  # 0 / 0 is no ratio
        (0.5, 0.0, 1e9, True),
        (-2.0, -1.0, 2, False),
    ],
)
def test_a_ratio_of_diagnostics_at_the_start(diagnosed, he, xavier, ratio, holds):
    assert verdict({**DIAGNOSTIC, "ratio": ratio}, study=diagnosed(he, xavier)).holds is holds


@pytest.mark.parametrize(
    ("he", "xavier", "margin", "holds"),
    [(0.75, 0.5, 0.25, True), (0.9, 0.8, 0.1, True), (0.75, 0.5, 0.2500001, False)],
)
def test_a_margin_that_is_met_exactly_holds(diagnosed, he, xavier, margin, holds):
    assert verdict({**DIAGNOSTIC, "margin": margin}, study=diagnosed(he, xavier)).holds is holds


@pytest.mark.parametrize(
    ("value", "missing"),
    [
        ({"diagnostic": "weight_grad_sdt", "layer": "hidden.0"}, "did you mean weight_grad_std?"),
        ({"diagnostic": "weight_grad_std", "layer": "hidden.9"}, "did you mean hidden.0?"),
        ({"diagnostic": "weight_grad_std", "layer": "output"}, ""),
        ("test/acx", "did you mean test/acc?"),
    ],
)
@pytest.mark.parametrize("number", ["", "nan", "inf", "0.1"])
def test_what_no_run_measured_is_said_and_is_an_error(diagnosed, value, missing, number):
    found = verdict({**CLAIM, "value": value, "margin": 0.0}, study=diagnosed(number, number))
    there = value == {"diagnostic": "weight_grad_std", "layer": "output"}
    assert (found.holds, found.broken) == ((True, False) if there else (None, True))
    assert missing in found.line


def test_a_number_that_is_not_finite_makes_no_claim_hold(diagnosed):
    for number in ("", "nan", "inf"):
        study = diagnosed(number, "0.1")
        found = verdict({**DIAGNOSTIC, "ratio": 1}, study=study)
        assert (found.holds, found.broken) == (None, True)
        for result in RUNS:
            (study / result.run / "diagnostics.csv").unlink()
            (study / result.run).rmdir()
    found = verdict({**DIAGNOSTIC, "ratio": 1})
    assert found.broken
    assert "no diagnostics.csv" in found.evidence


def test_a_diverged_run_leaves_a_claim_open():
    runs = [run("he", 0.1, 0, None, "diverged"), run("xavier", 0.1, 0, 0.5)]
    found = verdict({**CLAIM, "margin": 0.0}, runs)
    assert (found.holds, found.broken) == (None, False)
    assert "diverged: no test/acc" in found.evidence


def test_an_objective_that_is_not_finite_is_the_worst():
    lucky = run("he", 2.0, 0, 0.99)
    lucky.objective.value = float("nan")
    runs = [lucky, *RUNS]
    assert verdict({**CLAIM, "margin": 0.19}, runs).evidence.startswith("0.8400 − 0.6400")


def test_values_are_compared_as_they_are_typed():
    claim = {**CLAIM, "of": {"optimizer.lr": 1}, "over": {"optimizer.lr": 0.1}, "margin": 0.0}
    assert verdict(claim, [r for r in RUNS if "xavier" in r.run]).holds is True
