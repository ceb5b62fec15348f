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


def test_a_ratio_of_diagnostics_at_the_start(tmp_path):
    for result in RUNS:
        folder = tmp_path / result.run
        folder.mkdir()
        std = 4e-3 if "he" in result.run else 1e-6
        (folder / "diagnostics.csv").write_text(
            f"step,layer,weight_grad_std\n0,hidden.0,{std}\n0,output,1\n10,hidden.0,5\n"
        )
    claim = {**CLAIM, "value": {"diagnostic": "weight_grad_std", "layer": "hidden.0"}}
    assert verdict({**claim, "ratio": 3999}, study=tmp_path).holds is True
    assert verdict({**claim, "ratio": 4001}, study=tmp_path).holds is False
