"""A sweep of which some runs fail or diverge, and what the study's folder and the screen tell."""

import csv
import math

import pytest

SHORT = ("trainer.max_epochs=2", "model.widths=[16]", "model.activation=identity", "optimizer=sgd")


@pytest.fixture(scope="module")
def mixed(in_process, tmp_path_factory, broken_model):
    """Two jobs that raise, one that diverges, and behind them one that is well."""
    return in_process(
        tmp_path_factory.mktemp("mixed"), "-m", *SHORT, "study=mixed", broken_model[0],
        "++model.raise_at=1,0", "optimizer.lr=1e9,0.1",
    )  # fmt: skip


@pytest.fixture
def by_cell(mixed):
    cells = {
        (r.config["model"]["raise_at"], r.config["optimizer"]["lr"]): r for r in mixed.results()
    }
    assert len(cells) == 4
    return cells


def test_the_others_finish(mixed, by_cell):
    assert {cell: result.status for cell, result in by_cell.items()} == {
        (1, 1e9): "failed",
        (1, 0.1): "failed",
        (0, 1e9): "diverged",
        (0, 0.1): "done",
    }
    assert mixed.code == 1
    assert mixed.returned[:3] == [-math.inf] * 3
    assert mixed.returned[3] == by_cell[0, 0.1].metrics["val/acc"] > 0.5


def test_what_failed_tells_why(mixed, by_cell):
    for lr in (1e9, 0.1):
        error = by_cell[1, lr].error
        assert (error.type, error.line) == ("ArithmeticError", "pass 1 went wrong")
        assert "users_own.py" in error.traceback
        assert "users_own.py" in (mixed.folder(by_cell[1, lr]) / "run.log").read_text()


def test_what_diverged_is_a_result(mixed, by_cell):
    result = by_cell[0, 1e9]
    assert result.error.type == "Diverged"
    assert result.objective.value is None
    assert not any(name.startswith("test/") for name in result.metrics)
    assert result.cost.steps > 0
    assert (mixed.folder(result) / "metrics.csv").read_text().startswith("step,train/loss_step")


def test_the_last_job_equals_the_same_run_alone(in_process, tmp_path, by_cell, broken_model):
    alone = in_process(
        tmp_path, *SHORT, broken_model[0], "++model.raise_at=0", "optimizer.lr=0.1"
    ).one()
    last = by_cell[0, 0.1]
    assert alone.run == last.run
    assert (alone.hashes, alone.metrics) == (last.hashes, last.metrics)


def test_results_csv_lists_every_run(mixed, by_cell):
    with (mixed.here / "logs" / "mixed" / "results.csv").open(newline="") as file:
        table = {row["run"]: row for row in csv.DictReader(file)}
    assert {name: row["status"] for name, row in table.items()} == {
        result.run: result.status for result in by_cell.values()
    }
    well = by_cell[0, 0.1]
    assert float(table[well.run]["val/acc"]) == well.metrics["val/acc"]
    assert table[well.run]["hashes.final"] == well.hashes.final
    broken = by_cell[1, 0.1]
    assert table[broken.run]["error"] == "pass 1 went wrong"
    assert table[broken.run]["val/acc"] == ""
    assert float(table[broken.run]["optimizer.lr"]) == 0.1


def test_the_table_lists_what_failed(mixed, by_cell):
    for lr in (1e9, 0.1):
        assert f"failed: {by_cell[1, lr].run}: pass 1 went wrong\n" in mixed.out
    assert f"{by_cell[0, 1e9].run}  diverged" in mixed.out
    assert f"{by_cell[0, 0.1].metrics['val/acc']:.4f}" in mixed.out
    assert "everything is in logs/mixed: a folder a run, and results.csv\n" in mixed.out
    assert "Traceback" not in mixed.out + mixed.err


def test_a_sweep_that_only_diverges_ends_well(in_process, tmp_path):
    ran = in_process(tmp_path, "-m", *SHORT, "optimizer.lr=1e9", "seed=0,1")
    assert ran.code == 0
    assert [result.status for result in ran.results()] == ["diverged", "diverged"]
    assert ran.returned == [-math.inf] * 2


def test_a_study_is_continued(in_process, tmp_path):
    """New cells are added, finished ones are skipped, and the table has all."""
    one_epoch = ("trainer.max_epochs=1", "model.widths=[16]", "study=s")
    first = in_process(tmp_path, "-m", *one_epoch, "optimizer=adam,sgd")
    assert first.code == 0, first.err
    before = {r.run: (r.cost, r.hashes) for r in first.results()}
    again = in_process(tmp_path, "-m", "init=xavier,he", "optimizer=sgd,adam", *one_epoch)
    assert again.code == 0
    assert len(again.results()) == 4
    assert again.out.count("done already") == 2
    after = {r.run: (r.cost, r.hashes) for r in again.results()}
    assert {run: after[run] for run in before} == before
    lines = (tmp_path / "logs" / "s" / "results.csv").read_text().splitlines()
    assert len(lines) == 1 + 4
    assert sorted(again.returned) == sorted(r.objective.value for r in again.results())


def test_a_result_that_cannot_be_read_is_said(in_process, tmp_path):
    command = ("-m", "trainer.max_epochs=1", "trainer.limit_train_batches=2", "study=s", "seed=0,1")
    first = in_process(tmp_path, *command)
    broken = first.folder(first.results()[0]) / "result.json"
    other = tmp_path / "logs" / "s" / "other"
    other.mkdir()
    (other / "result.json").write_text(broken.read_text()[:100])
    again = in_process(tmp_path, *command)
    assert again.code == 1
    assert "other/result.json: cannot be read" in again.out


def test_two_sweeps_never_share_a_folder(in_process, tmp_path):
    command = ("-m", "trainer.max_epochs=1", "trainer.limit_train_batches=2", "seed=0,1")
    first = {r.study for r in in_process(tmp_path, *command).results()}
    both = in_process(tmp_path, *command).results()
    assert len(first) == 1
    assert len(both) == 4
    assert len({r.study for r in both}) == 2
    assert len({r.run for r in both}) == 2


def test_an_axis_may_be_a_key_of_a_user_s_own_model(in_process, tmp_path, broken_model):
    ran = in_process(
        tmp_path, "-m", "trainer.max_epochs=1", "trainer.limit_train_batches=1", broken_model[0],
        "+model.raise_at=9,8",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert sorted(r.config["model"]["raise_at"] for r in ran.results()) == [8, 9]
