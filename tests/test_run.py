"""One run, told by what it leaves: result.json, metrics.csv, checkpoints; and its seeds."""

import csv
import importlib.metadata
import json
import math
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
import torch
import yaml

from theta0.build import build
from theta0.module import Module
from theta0.results import Result

OPTIMIZERS = sorted(
    path.stem for path in (Path(__file__).parents[1] / "configs" / "optimizer").glob("*.yaml")
)
ALONE = ("trainer=cpu", "data=digits", "logger=none")
SHORT = ("trainer.max_epochs=2", "model.widths=[16]")


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def untimed(folder: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows(folder)]


def epochs(folder: Path) -> list[dict[str, str]]:
    return [row for row in rows(folder) if row["epoch"]]


def hashes(result: Result) -> tuple[str | None, str | None]:
    return result.hashes.init, result.hashes.final


# ----------------------------------------------------------------------------- what one run leaves


@pytest.fixture(scope="module")
def finished(in_process, tmp_path_factory):
    """A run of six epochs whose validation accuracy falls at times, and repeats its best."""
    here = tmp_path_factory.mktemp("finished")
    return in_process(
        here,
        "study=s",
        "trainer.max_epochs=6",
        "scheduler=none",
        "optimizer=adam",
        "optimizer.lr=0.02",
        "model.dropout=0.1",
        "seeds.noise=5",
        "trainer.log_every_n_steps=7",
    )


@pytest.fixture
def run(finished):
    return finished.one()


def test_the_files_of_a_run(finished, run):
    folder = finished.folder(run)
    assert finished.code == 0, finished.err
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert found - {"changes.patch"} == {  # what no commit has, while someone works on theta0
        ".lock",
        ".processes.lock",
        ".hydra/config.yaml",
        ".hydra/overrides.yaml",
        ".hydra/hydra.yaml",
        "config.resolved.yaml",
        "result.json",
        "metrics.csv",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "run.log",
    }
    assert run.run in finished.out
    assert f"everything is in logs/s/{run.run}\n" in finished.out


def test_result_json_holds_the_contract(finished, run):
    told = json.loads((finished.folder(run) / "result.json").read_text())
    assert set(told) == {
        "schema", "status", "run", "study", "overrides", "choices", "config", "config_hash",
        "seeds", "objective", "metrics", "best", "last_metrics", "cost", "hashes", "environment",
        "error", "warnings", "start",
    }  # fmt: skip
    assert (told["schema"], told["status"], told["error"]) == (1, "done", None)
    assert (told["study"], told["run"]) == ("s", finished.folder(run).name)
    assert told["run"] == f"adam-he-s0-{told['config_hash'][:10]}"
    assert len(told["config_hash"]) == 64
    assert "optimizer.lr=0.02" in told["overrides"]
    assert told["choices"]["optimizer"] == "adam"
    assert told["choices"]["data"] == "digits"
    assert not any(group.startswith("hydra") for group in told["choices"])
    assert told["seeds"] == {"split": 0, "init": 0, "order": 0, "noise": 5}
    assert told["config"]["optimizer"]["lr"] == 0.02
    assert told["config"]["model"]["in_features"] == 64
    assert (told["objective"]["metric"], told["objective"]["mode"]) == ("val/acc", "max")
    assert told["objective"]["value"] == told["metrics"]["val/acc"]
    assert finished.returned == [told["objective"]["value"]]


def test_the_chosen_epoch_is_the_earliest_of_the_best(finished, run):
    table = epochs(finished.folder(run))
    assert [row["epoch"] for row in table] == [str(i) for i in range(6)]
    accuracies = [float(row["val/acc"]) for row in table]
    best = accuracies.index(max(accuracies))
    assert best < 5  # else this test would not tell the best from the last
    assert run.best is not None
    assert (run.best.epoch, run.best.step) == (best, int(table[best]["step"]))
    assert run.best.step == 20 * (best + 1)
    names = ("train/loss", "train/acc", "val/loss", "val/acc")
    assert {n: run.metrics[n] for n in names} == {n: float(table[best][n]) for n in names}
    assert set(run.metrics) == {*names, "test/loss", "test/acc"}
    assert {n: run.last_metrics[n] for n in names} == {n: float(table[-1][n]) for n in names}
    assert set(run.last_metrics) == set(names)  # the test rows are read once, at the best


def test_the_chosen_checkpoint_is_tested(finished, run):
    data = build(run.config["data"])
    data.setup()
    x, y = data.splits["test"]
    module = Module.from_config(run.config).eval()
    losses = {}
    for name in ("best", "last"):
        path = finished.folder(run) / "checkpoints" / f"{name}.ckpt"
        module.load_state_dict(torch.load(path, weights_only=True)["state_dict"])
        with torch.no_grad():
            losses[name] = torch.nn.functional.cross_entropy(module.network(x), y).item()
    assert run.metrics["test/loss"] == pytest.approx(losses["best"], rel=1e-5)
    assert run.metrics["test/loss"] != pytest.approx(losses["last"], rel=1e-3)


def test_cost_and_hashes(finished, run):
    assert run.cost is not None
    assert (run.cost.steps, run.cost.epochs) == (6 * 20, 6)
    assert run.cost.parameters == 64 * 256 + 256 + 256 * 256 + 256 + 256 * 10 + 10
    assert 0 < run.cost.fit_seconds < run.cost.wall_seconds
    assert run.cost.step_seconds == pytest.approx(run.cost.fit_seconds / 120)
    last = epochs(finished.folder(run))[-1]["seconds"]
    assert run.cost.fit_seconds == pytest.approx(float(last))
    assert all(len(digest) == 64 for digest in (run.hashes.init, run.hashes.final, run.hashes.data))
    assert len({run.hashes.init, run.hashes.final, run.hashes.data}) == 3
    # `final` is of the last weights, which last.ckpt holds, and not of the chosen ones
    module = Module.from_config(run.config)
    for name, same in (("last", True), ("best", False)):
        path = finished.folder(run) / "checkpoints" / f"{name}.ckpt"
        module.load_state_dict(torch.load(path, weights_only=True)["state_dict"])
        assert (module.digest() == run.hashes.final) == same
    module.initialise(0)
    assert module.digest() == run.hashes.init


def test_the_environment(run):
    found = run.environment
    assert set(found) >= {"python", "packages", "git", "cpu", "gpu", "threads", "deterministic"}
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["packages"]["torch"] == importlib.metadata.version("torch")
    assert found["threads"] == 1
    assert found["deterministic"] is True
    assert found["cudnn_benchmark"] is False
    assert found["git"] is None or len(found["git"]["sha"]) == 40


def test_the_resolved_configuration_reads_without_omegaconf(finished, run):
    text = (finished.folder(run) / "config.resolved.yaml").read_text()
    assert "${" not in text
    assert yaml.safe_load(text) == run.config
    assert "hydra" not in run.config


def test_the_loss_of_every_seventh_step(finished, run):
    steps = [int(row["step"]) for row in rows(finished.folder(run)) if row["train/loss_step"]]
    assert steps == list(range(0, 120, 7))


def test_run_log_holds_the_table_of_theta0(finished, run):
    log = (finished.folder(run) / "run.log").read_text()
    assert "normal fan-in" in log
    assert "normal fan-in" not in finished.out


def test_a_finished_run_is_not_done_again(in_process, finished, run):
    folder = finished.folder(run)
    before = (folder / "result.json").read_bytes(), (folder / "metrics.csv").read_bytes()
    arguments = [a for a in run.overrides if a not in ("trainer=cpu", "logger=none")]
    again = in_process(finished.here, *reversed(arguments))
    assert again.code == 0
    assert again.returned == finished.returned
    assert f"{run.run}  done already" in again.out
    assert ((folder / "result.json").read_bytes(), (folder / "metrics.csv").read_bytes()) == before
    assert len(again.results()) == 1


def test_a_run_without_checkpoints_has_the_last_epoch_s_metrics(in_process, tmp_path):
    ran = in_process(tmp_path, *SHORT, "callbacks=none")
    result = ran.one()
    assert result.status == "done"
    assert result.best is None
    assert not (ran.folder(result) / "checkpoints").exists()
    table = epochs(ran.folder(result))
    assert result.metrics["val/acc"] == float(table[-1]["val/acc"])
    assert {"test/loss", "test/acc"} <= set(result.metrics)


def test_a_regression_is_judged_by_its_loss(in_process, tmp_path):
    ran = in_process(
        tmp_path, "data=linear", "init=zeros", "optimizer=sgd", "optimizer.lr=0.1",
        "trainer.max_epochs=10",
    )  # fmt: skip
    result = ran.one()
    assert (result.objective.metric, result.objective.mode) == ("val/loss", "min")
    losses = [float(row["val/loss"]) for row in epochs(ran.folder(result))]
    assert result.objective.value == min(losses)
    assert result.best.epoch == losses.index(min(losses))
    assert losses[0] > 3 * min(losses)
    state = torch.load(ran.folder(result) / "checkpoints" / "last.ckpt", weights_only=True)
    weight, bias = (v.item() for k, v in state["state_dict"].items() if "network." in k)
    assert (weight, bias) == pytest.approx((3.0, 2.0), abs=0.05)


@pytest.mark.parametrize("test", ["test=true", "test=false"])
def test_without_training_theta0_is_evaluated(in_process, tmp_path, test):
    ran = in_process(tmp_path, *SHORT, "train=false", test)
    result = ran.one()
    assert result.status == "done"
    assert result.hashes.init == result.hashes.final
    assert result.metrics["val/acc"] == result.objective.value < 0.5
    assert ("test/acc" in result.metrics) == (test == "test=true")
    assert "train/loss" not in result.metrics


# --------------------------------------------------------------------------- what ends another way


def test_a_run_that_raises_is_failed(in_process, tmp_path, broken_model):
    ran = in_process(tmp_path, *SHORT, broken_model[0], "+model.raise_at=25")
    result = ran.one()
    assert ran.code == 1
    assert ran.returned == [-math.inf]
    assert result.status == "failed"
    assert result.error.type == "ArithmeticError"
    assert result.error.message == "pass 25 went wrong\nand more about it"
    assert "users_own.py" in result.error.traceback
    assert result.error.traceback.startswith("Traceback (most recent call last)")
    assert result.objective.value is None
    assert "test/acc" not in result.metrics
    assert result.cost.steps > 20
    log = (ran.folder(result) / "run.log").read_text()
    assert "Traceback (most recent call last)" in log
    assert "users_own.py" in log
    assert "failed" in ran.out
    assert "pass 25 went wrong" in ran.out
    assert "Traceback" not in ran.out + ran.err


def test_a_model_that_cannot_be_built_is_failed(in_process, tmp_path, broken_model):
    ran = in_process(tmp_path, *SHORT, broken_model[0], "+model.nonsense=1")
    result = ran.one()
    assert (ran.code, result.status, result.error.type) == (1, "failed", "TypeError")
    assert "nonsense" in result.error.message
    assert ran.returned == [-math.inf]


def test_a_run_that_diverges_at_once_is_a_result(in_process, tmp_path):
    ran = in_process(
        tmp_path, *SHORT, "optimizer=sgd", "optimizer.lr=1e9", "model.activation=identity"
    )
    result = ran.one()
    assert ran.code == 0, ran.err
    assert ran.returned == [-math.inf]
    assert result.status == "diverged"
    assert result.objective.value is None
    assert result.error.type == "Diverged"
    assert "not finite at step " in result.error.message
    assert result.cost.steps < 5
    assert not any(name.startswith("test/") for name in result.metrics)
    (first,) = rows(ran.folder(result))
    assert (first["step"], math.isfinite(float(first["train/loss_step"]))) == ("0", True)
    again = in_process(tmp_path, *result.overrides, f"study={result.study}")
    assert f"{result.run}  diverged already" in again.out


def test_a_run_that_diverges_later_keeps_its_metrics_up_to_there(in_process, tmp_path):
    """A step schedule that multiplies the learning rate by 1e9 in the middle."""
    ran = in_process(
        tmp_path, "model.widths=[16]", "trainer.max_epochs=4", "optimizer=sgd",
        "scheduler=step", "scheduler.milestones=[0.6]", "scheduler.gamma=1e9",
        "model.activation=identity",
    )  # fmt: skip
    result = ran.one()
    assert (ran.code, result.status) == (0, "diverged")
    table = epochs(ran.folder(result))
    assert [row["epoch"] for row in table] == ["0", "1"]
    assert 40 < result.cost.steps < 60
    assert result.objective.value is None
    assert result.last_metrics["val/acc"] == float(table[-1]["val/acc"])
    assert not any(name.startswith("test/") for name in result.metrics)


# -------------------------------------------------------------------------------------------- seeds


ADAM = (*SHORT, "model.dropout=0.2", "optimizer=adam")


@pytest.fixture(scope="module")
def alone(in_process, tmp_path_factory):
    """The result of a run with dropout, alone."""
    return in_process(tmp_path_factory.mktemp("alone"), *ADAM).one()


@pytest.mark.slow
def test_every_optimizer_starts_from_the_same_theta0(in_process, tmp_path):
    ran = in_process(
        tmp_path, "-m", "trainer.max_epochs=1", "trainer.limit_train_batches=3", "study=s",
        "model.widths=[16,16]", f"optimizer={','.join(OPTIMIZERS)}",
    )  # fmt: skip
    results = ran.results("s")
    assert sorted(result.choices["optimizer"] for result in results) == OPTIMIZERS
    assert {result.status for result in results} == {"done"}
    assert len({result.hashes.init for result in results}) == 1
    assert len({result.hashes.data for result in results}) == 1
    # amsgrad is adam until a second moment falls
    assert len({result.hashes.final for result in results}) >= len(OPTIMIZERS) - 1


def test_the_same_run_again_ends_in_the_same_weights(in_process, alone, tmp_path):
    """In another folder, after other runs, with random numbers drawn in between."""
    torch.rand(3)
    again = in_process(tmp_path, *ADAM).one()
    assert hashes(again) == hashes(alone)
    assert again.config_hash == alone.config_hash
    assert again.metrics == alone.metrics
    assert again.study != alone.study


def test_nothing_leaks_from_the_jobs_before(in_process, alone, tmp_path):
    """The third job of a sweep, behind one that raises, one in float64 and others."""
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(False)
    try:
        before = (
            "precision=64-true",
            "optimizer=lbfgs",
            "threads=2",
            "trainer.deterministic=false",
        )
        in_process(tmp_path / "a", *SHORT, *before)
        in_process(tmp_path / "b", *SHORT, "precision=bf16-mixed", "trainer.benchmark=true")
        ran = in_process(
            tmp_path, "-m", *SHORT, "model.dropout=0.2", "optimizer=rmsprop,sgd,adam", "study=s"
        )
    finally:
        torch.set_default_dtype(torch.float32)
    third = next(result for result in ran.results("s") if result.choices["optimizer"] == "adam")
    assert hashes(third) == hashes(alone)
    assert third.metrics == alone.metrics
    assert third.environment["threads"] == 1
    assert third.environment["deterministic"] is True
    assert third.environment["cudnn_benchmark"] is False


@pytest.fixture
def batches(monkeypatch):
    """The targets of every training batch of the runs to come, in their order."""
    seen = []
    original = Module.training_step

    def training_step(self, batch, batch_idx):
        seen.append(batch.y.tolist())
        return original(self, batch, batch_idx)

    monkeypatch.setattr(Module, "training_step", training_step)
    return seen


def test_what_each_seed_moves(in_process, tmp_path, batches):
    """init: θ₀ alone; order: batches alone; noise: dropout alone; split: the training rows."""

    def ran(name, *arguments):
        batches.clear()
        setting = ("model.dropout=0.2", "trainer.limit_train_batches=4", f"study={name}")
        result = in_process(tmp_path, *SHORT, *setting, *arguments).one(name)
        assert result.status == "done"
        return result, [list(batch) for batch in batches]

    base, order = ran("base")
    assert len(order) == 8
    assert order[:4] != order[4:]  # another order every epoch
    for name, arguments, same_init, same_order in (
        ("init", ["seeds.init=1"], False, True),
        ("scheme", ["init=xavier"], False, True),
        ("order", ["seeds.order=1"], True, False),
        ("noise", ["seeds.noise=1"], True, True),
        ("split", ["seeds.split=1"], True, False),
        ("seed", ["seed=1"], False, False),
        ("model", ["model.widths=[8]"], False, True),
        ("dropout", ["model.dropout=0.3"], True, True),
    ):
        other, its_order = ran(name, *arguments)
        assert (other.hashes.init == base.hashes.init) == same_init, name
        assert (its_order == order) == same_order, name
        assert other.hashes.final != base.hashes.final, name
        assert other.hashes.data == base.hashes.data, name


def test_noise_without_dropout_moves_nothing(in_process, tmp_path):
    first = in_process(tmp_path / "0", *SHORT, "seeds.noise=0").one()
    second = in_process(tmp_path / "1", *SHORT, "seeds.noise=1").one()
    assert hashes(first) == hashes(second)
    assert first.config_hash != second.config_hash


@pytest.mark.slow
def test_two_processes_side_by_side(start, wait, alone, tmp_path):
    """The same weights as in this process; and, started together, two folders."""
    arguments = (*ALONE, *ADAM)
    ended = [wait(tmp_path, p) for p in [start(tmp_path, *arguments) for _ in range(2)]]
    assert [ran.code for ran in ended] == [0, 0], ended[0].err
    results = ended[0].results()
    assert len(results) == 2
    assert len({result.study for result in results}) == 2
    for result in results:
        assert hashes(result) == hashes(alone)
        assert result.metrics == alone.metrics


# ------------------------------------------------------------------------------------- continuing


@pytest.mark.parametrize(
    "arguments",
    [
        ("optimizer=adamw", "precision=64-true"),
        ("optimizer=adamw", "scheduler=plateau", "scheduler.patience=0", "scheduler.threshold=0.1"),
        ("optimizer=sam", "scheduler=step", "scheduler.milestones=[]"),
        ("optimizer=lbfgs",),
        ("optimizer=adamw_lh", "model.norm=batch", "accumulate=3"),
        ("optimizer=rmsprop", "callbacks=early_stopping"),
    ],
    ids=lambda arguments: "-".join(arguments[:2]),
)
def test_two_and_two_epochs_equal_four(in_process, tmp_path, arguments):
    # A cosine over two epochs is not the first half of one over four.
    small = ("model.widths=[16]", "trainer.limit_train_batches=5")
    constant = ("scheduler=none", "model.dropout=0.2", *small)
    setting = (*constant, *arguments)
    whole = in_process(tmp_path, *setting, "trainer.max_epochs=4", "study=whole")
    half = in_process(tmp_path, *setting, "trainer.max_epochs=2", "study=half")
    last = half.folder(half.one("half")) / "checkpoints" / "last.ckpt"
    rest = in_process(tmp_path, *setting, "trainer.max_epochs=4", f"ckpt_path={last}", "study=rest")
    four, two, more = whole.one("whole"), half.one("half"), rest.one("rest")
    assert (four.status, two.status, more.status) == ("done", "done", "done"), more.error
    assert hashes(more) == hashes(four)
    assert two.hashes.final != four.hashes.final
    assert more.last_metrics == four.last_metrics
    assert more.cost.steps == four.cost.steps
    assert len(epochs(whole.folder(four))) == 4
    names = ("step", "epoch", "train/loss", "train/acc", "val/loss", "val/acc")
    went_on = [[row[n] for n in names] for row in epochs(rest.folder(more))]
    assert went_on == [[row[n] for n in names] for row in epochs(whole.folder(four))][2:]


def test_a_killed_run_goes_on_and_ends_the_same(forked, in_process, tmp_path):
    """What came after its last checkpoint is done again."""
    command = (
        "trainer.max_epochs=4", "model.widths=[16]", "model.dropout=0.2", "optimizer=adam",
        "scheduler=cosine", "study=s", "trainer.log_every_n_steps=3",
        "trainer.limit_train_batches=5",
    )  # fmt: skip
    step = Module.training_step

    def deadly(module, batch, number):
        if module.trainer.global_step == 12:  # two steps after a checkpoint
            os.kill(os.getpid(), signal.SIGKILL)
        return step(module, batch, number)

    def before():
        Module.training_step = deadly

    here = tmp_path / "here"
    assert forked(here, *command, before=before) == -signal.SIGKILL
    (folder,) = (path.parent for path in here.glob("logs/s/*/result.json"))
    assert Result.read(folder).status == "running"
    assert len(epochs(folder)) == 2

    went_on = in_process(here, *command)
    whole = in_process(tmp_path / "other", *command)
    assert (went_on.code, whole.code) == (0, 0), went_on.out
    assert hashes(went_on.one()) == hashes(whole.one())
    assert went_on.one().metrics == whole.one().metrics
    assert went_on.one().best == whole.one().best
    assert went_on.one().cost.steps == whole.one().cost.steps == 20
    assert untimed(went_on.folder(went_on.one())) == untimed(whole.folder(whole.one()))


def test_a_run_killed_after_its_last_epoch_only_ends(in_process, tmp_path, batches):
    command = (*SHORT, "optimizer=adam", "study=s")
    first = in_process(tmp_path, *command)
    result = first.one()
    table = untimed(first.folder(result))
    stale = result.model_copy(deep=True)
    stale.status, stale.metrics, stale.best, stale.cost = "running", {}, None, None
    stale.write(first.folder(result))
    batches.clear()
    again = in_process(tmp_path, *command).one()
    assert batches == []
    assert again.status == "done"
    assert hashes(again) == hashes(result)
    assert (again.metrics, again.last_metrics) == (result.metrics, result.last_metrics)
    assert (again.best, again.objective) == (result.best, result.objective)
    assert (again.cost.steps, again.cost.epochs) == (40, 2)
    assert untimed(first.folder(result)) == table


def test_the_folder_can_move_before_it_goes_on(in_process, tmp_path):
    """No checkpoint knows where it lies."""
    command = (*SHORT, "optimizer=adam", "study=s")
    first = in_process(tmp_path / "a", *command)
    folder = first.folder(first.one())
    content = (folder / "checkpoints" / "last.ckpt").read_bytes()
    assert str(tmp_path).encode() not in content
    broken = first.one()
    broken.status = "running"
    broken.write(folder)
    shutil.move(tmp_path / "a", tmp_path / "b")
    again = in_process(tmp_path / "b", *command)
    assert hashes(again.one()) == hashes(broken)


# ------------------------------------------------------------------------------------ checkpoints


@pytest.mark.parametrize("name", ["best", "last"])
def test_a_checkpoint_holds_nothing_pickled(finished, run, name):
    path = finished.folder(run) / "checkpoints" / f"{name}.ckpt"
    checkpoint = torch.load(path, weights_only=True)

    def plain(value):
        if isinstance(value, dict):
            assert type(value).__name__ in ("dict", "OrderedDict", "defaultdict")
            return all(plain(k) and plain(v) for k, v in value.items())
        if isinstance(value, list | tuple):
            assert type(value) in (list, tuple)
            return all(map(plain, value))
        return value is None or type(value) in (int, float, str, bool, torch.Tensor)

    assert plain(checkpoint)
    epoch = run.best.epoch if name == "best" else 5
    assert checkpoint["epoch"] == epoch
    assert checkpoint["global_step"] == 20 * (epoch + 1)
    assert checkpoint["metrics"]["val/acc"] == float(epochs(finished.folder(run))[epoch]["val/acc"])
    assert checkpoint["hyper_parameters"] == run.config
