"""Whole searches, with training: `python src/train.py -m search=...`."""

import csv
import math
import re

import optuna
import pytest

SHORT = ("trainer.max_epochs=1", "trainer.limit_train_batches=4", "model.widths=[16]", "study=s")
LR = ("-m", "search=optimizer_lr", "optimizer=adam,sgd", *SHORT)
PLAIN = {"program": "./train.py"}
"""Without the words that a program of these tests has by default."""


def trials(ran):
    storage = optuna.storages.RDBStorage(f"sqlite:///{ran.here}/logs/s/optuna.db")
    return optuna.load_study(study_name=None, storage=storage).get_trials()


def rows(ran, name):
    with (ran.here / "logs" / "s" / "report" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def by_run(ran):
    """(trial, its run) of each trial."""
    runs = {result.run: result for result in ran.results("s")}
    return [(trial, runs[trial.user_attrs["run"]]) for trial in trials(ran)]


@pytest.fixture(scope="module")
def searched(in_process, tmp_path_factory):
    """Four trials, by two commands."""
    here = tmp_path_factory.mktemp("searched")
    first = in_process(here, *LR, "hydra.sweeper.n_trials=2")
    assert first.code == 0, first.err
    return in_process(
        here, *LR, "hydra.sweeper.n_trials=4", "scheduler=cosine", "threads=1", report=True
    )


def test_it_ends_with_the_number_of_trials(searched):
    assert searched.code == 0, searched.err
    assert [trial.state.name for trial in trials(searched)] == ["COMPLETE"] * 4
    assert "2 done, 2 new" in searched.out
    assert "4 trials: 4 done\n" in searched.out
    assert "importance: 4 trials are too few, 20 are needed" in searched.out


def test_a_trial_knows_its_run(searched):
    for trial, result in by_run(searched):
        assert trial.user_attrs["config_hash"] == result.config_hash
        assert trial.values == [result.objective.value]
        optimizer = trial.params["optimizer"]
        assert result.choices["optimizer"] == optimizer
        assert result.config["optimizer"]["lr"] == trial.params[f"optimizer.lr[{optimizer}]"]


def test_the_best_is_a_file_that_gives_the_same_run(in_process, searched, tmp_path):
    best = max((result for _, result in by_run(searched)), key=lambda r: r.objective.value)
    told = f"best: {best.run}, val/acc {best.objective.value:.4f}; once more: python src/train.py"
    assert told in searched.out
    flag = f"--config-dir={searched.here}/logs/s/report"
    again = in_process(tmp_path, flag, "experiment=best", **PLAIN)
    assert again.code == 0, again.err
    result = again.one()
    assert (result.run, result.hashes) == (best.run, best.hashes)
    assert result.metrics == best.metrics
    other = in_process(tmp_path, flag, "experiment=best", "seed=7", "study=seven", **PLAIN)
    assert other.one("seven").seeds.init == 7


def test_its_own_end_comes_before_where_the_report_is(searched):
    lines = searched.out.splitlines()
    best = next(n for n, line in enumerate(lines) if line.startswith("best: "))
    assert re.fullmatch(r"warnings \(\d+\), tables and more are in logs/s/report", lines[best + 1])
    assert lines[best + 2].startswith("everything is in logs/s: ")
    report = searched.here / "logs" / "s" / "report"
    for name in ("tuning.csv", "finding.md", "results.csv"):
        assert (report / name).is_file()
    files = {path.stem for path in (report / "experiment").iterdir()}
    assert files == {"best", "recommended"}


def test_what_tuning_gave(searched):
    found = {row["optimizer"]: row for row in rows(searched, "tuning.csv")}
    for optimizer, untuned in {"adam": 0.001, "sgd": 0.1}.items():
        ours = [r for _, r in by_run(searched) if r.choices["optimizer"] == optimizer]
        best = max(ours, key=lambda result: result.objective.value)
        (default,) = [r for r in ours if r.config["optimizer"]["lr"] == untuned]
        row = found[optimizer]
        assert int(row["trials"]) == len(ours) >= 2
        assert float(row["untuned val/acc"]) == default.objective.value
        assert float(row["untuned test/acc"]) == default.metrics["test/acc"]
        assert float(row["untuned optimizer.lr"]) == untuned
        assert float(row["tuned val/acc"]) == best.objective.value
        assert float(row["tuned test/acc"]) == best.metrics["test/acc"]
        assert float(row["tuned optimizer.lr"]) == best.config["optimizer"]["lr"]
        assert float(row["gain"]) == best.objective.value - default.objective.value >= 0
    assert "without tuning → with it" in searched.out


def test_a_failed_or_diverged_run_does_not_end_it(in_process, tmp_path, broken_model):
    """A grid of two that are well, and one of each."""
    ran = in_process(
        tmp_path, "-m", "hydra/sweeper=optuna", *SHORT, broken_model[0], "optimizer=sgd",
        "++model.raise_at=0,1", "optimizer.lr=0.1,1e9",
        "model.activation=identity", "hydra.sweeper.sampler=grid",
    )  # fmt: skip
    ends = {}
    for trial, result in by_run(ran):
        ends[result.status] = ends.get(result.status, 0) + 1
        expected = {"done": "COMPLETE", "diverged": "COMPLETE", "failed": "FAIL"}
        assert trial.state.name == expected[result.status]
        if result.status == "diverged":
            assert trial.values == [-math.inf]
    assert ends == {"done": 1, "diverged": 1, "failed": 2}
    assert "4 trials: 1 done, 1 diverged, 2 failed" in ran.out
    assert ran.code == 1


@pytest.mark.slow
def test_trials_that_are_the_same_run_are_done_once(in_process, tmp_path):
    ran = in_process(
        tmp_path, "-m", "hydra/sweeper=optuna", *SHORT, "init=he,xavier",
        "hydra.sweeper.sampler=random", "hydra.sweeper.n_trials=6", "hydra.sweeper.batch_size=3",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    pairs = by_run(ran)
    assert len(pairs) == 6
    assert len({result.run for _, result in pairs}) == 2
    assert all(trial.values == [result.objective.value] for trial, result in pairs)
    assert ran.out.count("started") == 2


@pytest.mark.slow
def test_several_objectives(in_process, tmp_path):
    """A wider network costs more; neither is better by all."""
    ran = in_process(
        tmp_path, "-m", "hydra/sweeper=optuna", "trainer.max_epochs=1", "study=s",
        "model.widths=[2],[64]", "hydra.sweeper.sampler=nsga2", "hydra.sweeper.n_trials=4",
        "hydra.sweeper.objectives={val/acc:max,cost.parameters:min}",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    for trial, result in by_run(ran):
        assert trial.values == [result.metrics["val/acc"], result.cost.parameters]
    assert "cost.parameters (min)" in ran.out
    widest = max((result for _, result in by_run(ran)), key=lambda r: r.cost.parameters)
    assert f"best: {widest.run}" in ran.out


# ---------------------------------------------------------------------------------------- pruning

ASHA = (
    "-m", "hydra/sweeper=optuna", "pruning=asha", "pruning.reduction_factor=2", "study=s",
    "trainer.max_epochs=3", "trainer.limit_train_batches=4", "model.widths=[16]",
)  # fmt: skip


@pytest.fixture(scope="module")
def pruned(in_process, tmp_path_factory):
    """A run that learns, and after it one that does not."""
    return in_process(
        tmp_path_factory.mktemp("pruned"), *ASHA, "optimizer.lr=1e-6,1e-2",
        "hydra.sweeper.sampler=grid", "hydra.sweeper.seed=0",
    )  # fmt: skip


def test_a_run_that_promises_little_is_pruned(pruned):
    assert pruned.code == 0, pruned.err
    (first, well), (second, result) = by_run(pruned)
    assert (first.state.name, second.state.name) == ("COMPLETE", "PRUNED")
    assert (well.status, well.cost.epochs) == ("done", 3)
    assert (result.status, result.cost.epochs) == ("pruned", 1)
    assert result.objective.value == result.metrics["val/acc"] is not None
    assert not any(name.startswith("test/") for name in result.metrics)
    assert (pruned.folder(result) / "checkpoints" / "best.ckpt").exists()
    with (pruned.here / "logs" / "s" / "results.csv").open(newline="") as file:
        assert sorted(row["status"] for row in csv.DictReader(file)) == ["done", "pruned"]
    assert "2 trials: 1 done, 1 pruned" in pruned.out
    assert " pruned " in pruned.out


def test_a_trial_is_told_the_objective_of_each_epoch(pruned):
    for trial, result in by_run(pruned):
        with (pruned.folder(result) / "metrics.csv").open(newline="") as file:
            epochs = [row for row in csv.DictReader(file) if row["epoch"]]
        told = {int(row["epoch"]) + 1: float(row["val/acc"]) for row in epochs}
        assert trial.intermediate_values == pytest.approx(told)


def test_pruning_is_no_part_of_what_a_run_is(pruned, compose):
    from theta0.identity import config_hash

    words = ("data=digits", "trainer.max_epochs=3", "trainer.limit_train_batches=4")
    words = (*words, "model.widths=[16]", "optimizer.lr=1e-6")
    (result,) = (r for _, r in by_run(pruned) if r.status == "pruned")
    assert result.config_hash == config_hash(compose(*words))


def test_a_pruned_run_goes_on_where_nothing_prunes_it(in_process, pruned, tmp_path):
    """To what it would have been."""
    (result,) = (r for _, r in by_run(pruned) if r.status == "pruned")
    words = (*ASHA[4:], "optimizer.lr=1e-6")
    whole = in_process(tmp_path, *words).one()
    more = in_process(pruned.here, *words)
    assert "continued" in more.out
    (done,) = (r for r in more.results("s") if r.run == result.run)
    assert (done.status, done.cost.epochs) == ("done", 3)
    assert (done.hashes, done.metrics) == (whole.hashes, whole.metrics)


# ----------------------------------------------------------------------------------------- errors

WRONG = {
    "hydra.sweeper.sampler=tpee": "random, qmc, grid, nsga2; did you mean tpe?",
    "hydra.sweeper.objectives={test/acc:max}": "allowed: val/loss, val/acc, cost.steps",
    "model.dropout=interval(0,2)": "model.dropout=2.0: must be less than 1",
    "rerun=all": "a search keeps what it has been told",
}


@pytest.mark.parametrize(("word", "line"), WRONG.items())
def test_a_mistake_is_told_in_a_line_before_anything_is_on_disk(in_process, tmp_path, word, line):
    ran = in_process(tmp_path, "-m", "hydra/sweeper=optuna", "init=he,xavier", "study=s", word)
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert line in ran.err
    assert not (tmp_path / "logs").exists()


def test_only_a_search_prunes(in_process, tmp_path):
    ran = in_process(tmp_path, "-m", "pruning=asha", "seed=0,1")
    assert ran.code == 2
    assert "pruning: stops runs of a search" in ran.err


def test_a_changed_search_is_refused(in_process, searched):
    before = (searched.here / "logs" / "s" / "commands.yaml").read_text()
    ran = in_process(searched.here, *LR, "seed=1")
    assert ran.code == 2
    assert "study=s: holds another search: config.seed was 0 and is 1" in ran.err
    assert (searched.here / "logs" / "s" / "commands.yaml").read_text() == before


STOPPER = '''
from pathlib import Path

from lightning.pytorch.callbacks import Callback


class Stop(Callback):
    """Stopped once, at the end of the first epoch of a slow learner, before its checkpoint."""

    def __init__(self, marker):
        self.marker = Path(marker)

    def on_train_epoch_end(self, trainer, pl_module):
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        if rate < 1e-3 and not self.marker.exists():
            self.marker.touch()
            raise SystemExit(143)
'''


@pytest.mark.slow
def test_a_run_that_was_told_to_end_and_interrupted_before_it_had_ends(
    in_process, tmp_path, monkeypatch
):
    (tmp_path / "end_stopper.py").write_text(STOPPER)
    monkeypatch.syspath_prepend(tmp_path)
    words = (
        *ASHA, "optimizer.lr=1e-6,1e-2", "hydra.sweeper.sampler=grid", "scheduler=none",
        "+callbacks.stop={_target_: end_stopper.Stop, marker: here}",
    )  # fmt: skip
    stopped = in_process(tmp_path, *words)
    assert stopped.code == 143
    assert [trial.state.name for trial in trials(stopped)] == ["COMPLETE", "RUNNING"]
    ran = in_process(tmp_path, *words)
    assert ran.code == 0, ran.err
    (_, well), (trial, result) = by_run(ran)
    assert (trial.state.name, result.status, result.cost.steps) == ("PRUNED", "pruned", 0)
    assert well.status == "done"


@pytest.mark.slow
def test_a_run_of_several_processes_is_pruned(in_process, tmp_path):
    """The first process asks, and all end together."""
    ran = in_process(
        tmp_path, *ASHA, "trainer=ddp_cpu", "optimizer.lr=1e-6,1e-2", "hydra.sweeper.sampler=grid"
    )
    assert ran.code == 0, ran.err
    assert [trial.state.name for trial in trials(ran)] == ["COMPLETE", "PRUNED"]


@pytest.mark.slow
def test_a_study_that_is_replayed_searches_on(in_process, tmp_path):
    words = ("-m", "search=optimizer_lr", "optimizer=adam,sgd", *SHORT, "logger=none")
    first = in_process(tmp_path, *words, "data=digits", "hydra.sweeper.n_trials=3", **PLAIN)
    assert first.code == 0, first.err
    again = in_process(tmp_path, "-m", "study=s", **PLAIN)
    assert again.code == 0, again.err
    assert "3 trials: 3 done" in again.out
    assert again.returned == []
