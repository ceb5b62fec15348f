"""eval.py: a finished run's test metrics once more, and on other data; the run is only read."""

import hashlib
import shutil

import pytest
import torch

from theta0.data import DataModule
from theta0.data.digits import Digits
from theta0.results import Result


def digest(folder):
    sha = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        sha.update(str(path.relative_to(folder)).encode())
        sha.update(path.read_bytes() if path.is_file() else b"")
    return sha.hexdigest()


@pytest.fixture(scope="module")
def trained(in_process, tmp_path_factory):
    """The folder of a run whose best epoch is not its last."""
    here = tmp_path_factory.mktemp("trained")
    ran = in_process(
        here, "study=s", "trainer.max_epochs=5", "optimizer=adam", "optimizer.lr=0.02",
        "model.dropout=0.1", "seeds.noise=5", "seeds.split=3",
    )  # fmt: skip
    result = ran.one()
    assert result.best.epoch < 4
    return ran.folder(result)


@pytest.fixture
def evaluate(in_process, tmp_path, trained):
    """`evaluate("data=...")`: the program's end; whatever happens, the run is as it was."""

    def evaluate(*arguments, run=trained):
        before = digest(trained)
        ran = in_process(tmp_path, f"run={run}", *arguments, program="eval.py")
        assert digest(trained) == before
        assert list(tmp_path.iterdir()) == []
        return ran

    return evaluate


def told(ran):
    return {name: float(value) for name, value in map(str.split, ran.out.splitlines())}


def test_the_same_numbers_to_the_last_digit(evaluate, trained):
    ran = evaluate()
    assert (ran.code, ran.err) == (0, "")
    metrics = Result.read(trained).metrics
    assert told(ran) == {"test/loss": metrics["test/loss"], "test/acc": metrics["test/acc"]}


def test_the_last_checkpoint_is_another_one(evaluate, trained):
    last, best = told(evaluate("checkpoint=last")), told(evaluate())
    assert last.keys() == best.keys()
    assert last["test/loss"] != best["test/loss"]
    path = trained / "checkpoints" / "last.ckpt"
    assert told(evaluate(f"checkpoint={path}")) == last


def test_other_data_is_normalised_as_the_run_s_was(evaluate, trained, monkeypatch):
    """The same digits, split otherwise: their own statistics differ, the test rows do not."""
    normalised = []
    original = DataModule.load_state_dict

    def load_state_dict(self, state):
        self.setup()
        normalised.append((self.mean, self.std))
        original(self, state)
        normalised.append((self.mean, self.std))

    monkeypatch.setattr(DataModule, "load_state_dict", load_state_dict)
    ran = evaluate("data=digits", "seeds.split=8")
    own, used = normalised
    state = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)["DataModule"]
    assert used == (state["mean"], state["std"]) != own
    metrics = Result.read(trained).metrics
    assert told(ran) == {"test/loss": metrics["test/loss"], "test/acc": metrics["test/acc"]}


def test_fewer_rows_give_other_numbers(evaluate, trained):
    arguments = ("data=digits", "data.samples.test=180", "data.samples.train=1437")
    found = told(evaluate(*arguments))
    assert found["test/acc"] != Result.read(trained).metrics["test/acc"]
    assert found["test/acc"] * 180 == pytest.approx(round(found["test/acc"] * 180), abs=1e-3)


def test_a_folder_without_a_run(evaluate, tmp_path_factory):
    nowhere = tmp_path_factory.mktemp("nowhere")
    ran = evaluate(run=nowhere)
    line = f"theta0: run: {nowhere}: no run here (result.json is missing)\n"
    assert (ran.code, ran.out, ran.err) == (2, "", line)


def test_data_of_another_shape(evaluate):
    ran = evaluate("data=mnist5k")
    line = "theta0: data.shape=[1, 28, 28]: the run has [1, 8, 8]\n"
    assert (ran.code, ran.out, ran.err) == (2, "", line)


def test_data_files_that_are_missing(evaluate, monkeypatch):
    def load(self):
        raise FileNotFoundError("data/digits: no such file")

    monkeypatch.setattr(Digits, "load", load)
    ran = evaluate("data=digits", "data.source.test_seed=7")  # a source that no cache holds
    assert (ran.code, ran.out, ran.err) == (1, "", "theta0: data/digits: no such file\n")


def test_a_checkpoint_that_is_missing(evaluate):
    ran = evaluate("checkpoint=none.ckpt")
    line = "theta0: checkpoint=none.ckpt: there is no none.ckpt\n"
    assert (ran.code, ran.out, ran.err) == (2, "", line)


class Pickled:
    """Anything but a tensor or a container."""

    ran = False

    def __reduce__(self):
        return (_touch, ())


def _touch():
    Pickled.ran = True
    return 0


@pytest.mark.parametrize("kind", ["pickled", "truncated", "empty", "text", "pops nothing"])
def test_a_checkpoint_that_is_not_plain_is_refused(evaluate, trained, tmp_path_factory, kind):
    run = tmp_path_factory.mktemp("copy") / "run"
    shutil.copytree(trained, run)
    path = run / "checkpoints" / "best.ckpt"
    whole = torch.load(path, weights_only=True)
    if kind == "pickled":
        torch.save(whole | {"mine": Pickled()}, path)
    else:
        content = {
            "truncated": path.read_bytes()[:5000],
            "empty": b"",
            "text": b"no checkpoint",
            "pops nothing": b"root:x:0:0:root:/root:/bin/bash",  # an IndexError, read as a pickle
        }
        path.unlink()
        path.write_bytes(content[kind])
    ran = evaluate(run=run)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("theta0: checkpoint=best: ")
    assert ran.err.count("\n") == 1
    assert not Pickled.ran


def test_a_run_is_asked_for(evaluate, in_process, tmp_path):
    ran = in_process(tmp_path, program="eval.py")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("theta0: run: a value is required: run=...")
