"""The data module: what its YAML says is true, and a trainer gets the batches that it should."""

import os
from pathlib import Path
from types import SimpleNamespace

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from theta0.data import BatchLoader, DataModule, Digits, LinearRegression, epoch_order
from theta0.data import source as source_module

CONFIGS = Path(__file__).parents[2] / "configs" / "data"
NAMES = sorted(file.stem for file in CONFIGS.glob("*.yaml"))


def data(name: str = "mnist5k", split: int = 0, order: int = 0, **changes) -> DataModule:
    """What `data=name` instantiates; a change's name has `__` where the key has a dot."""
    node = OmegaConf.load(CONFIGS / f"{name}.yaml")
    node.pop("defaults", None)
    for key, value in changes.items():
        OmegaConf.update(node, key.replace("__", "."), value)
    root = {
        "data": node,
        "seeds": {"split": split, "order": order},
        "paths": {"data_dir": os.environ.get("THETA0_DATA", "nowhere")},
    }
    return instantiate(OmegaConf.create(root).data)


def test_every_data_set_has_a_configuration():
    assert set(NAMES) == {
        *("mnist5k", "digits", "mnist", "fashion_mnist", "kmnist", "mnist_openml"),
        *("cifar10", "cifar100", "svhn", "linear", "saturating"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_configuration_makes_a_data_module(name):
    module = data(name)
    assert module.num_features == int(np.prod(module.shape))
    assert set(module.samples) == {"train", "val", "test"}


def test_mnist5k_splits_are_stratified_and_disjoint():
    module = data()
    assert module.sizes == {"train": 3500, "val": 500, "test": 1000}
    for split, count in (("train", 350), ("val", 50), ("test", 100)):
        assert module.splits[split][1].bincount().tolist() == [count] * 10
    rows = {n: {row.numpy().tobytes() for row in x} for n, (x, _) in module.splits.items()}
    assert len(rows["train"] | rows["val"] | rows["test"]) == 5000


def test_split_seed_moves_validation_rows_but_never_test_rows():
    one, other = (data(split=seed, mean=0, std=1) for seed in (0, 1))
    one.setup()
    other.setup()
    assert torch.equal(one.splits["test"][0], other.splits["test"][0])
    assert torch.equal(one.splits["test"][1], other.splits["test"][1])
    assert not torch.equal(one.splits["val"][0], other.splits["val"][0])
    assert one.digest == other.digest
    again = data(split=0, order=5, mean=0, std=1)
    again.setup()
    assert torch.equal(one.splits["val"][0], again.splits["val"][0])


@pytest.mark.parametrize("name", ["mnist5k", "digits"])
def test_training_rows_are_normalised_by_their_own_statistics(name):
    module, raw = data(name), data(name, mean=0, std=1)
    module.setup()
    raw.setup()
    x, y = module.splits["train"]
    assert x.dtype == torch.float32 and y.dtype == torch.int64 and x.is_contiguous()
    assert x.double().mean().item() == pytest.approx(0, abs=1e-6)
    assert x.double().std(correction=0).item() == pytest.approx(1, abs=1e-6)
    pixels = raw.splits["train"][0].double()
    assert pixels.min() == 0 and pixels.max() == 1
    assert module.mean == pytest.approx([pixels.mean().item()], rel=1e-7)
    assert module.std == pytest.approx([pixels.std(correction=0).item()], rel=1e-7)
    expected = (raw.splits["test"][0] - module.mean[0]) / module.std[0]
    torch.testing.assert_close(module.splits["test"][0], expected)


def linear(**changes) -> DataModule:
    kwargs = {
        "source": LinearRegression([1.0, 2.0], 0.0, 0.1, 90, 10, seed=0),
        "shape": [2],
        "num_features": 2,
        "num_outputs": 1,
        "num_classes": None,
        "samples": {"train": 70, "val": 20, "test": 10},
        "batch_size": 16,
        "eval_batch_size": 100,
        "split_seed": 0,
        "order_seed": 0,
    }
    return DataModule(**{**kwargs, **changes})


def test_channels_are_normalised_each_and_a_constant_one_is_left():
    module = linear()
    arrays = module.source.load()
    constant = arrays.train_x.copy()
    constant[:, 1] = 0.1
    changed = type(arrays)(constant, arrays.train_y, arrays.test_x, arrays.test_y)
    module.source = type("Fixed", (), {"files": lambda _: (), "load": lambda _: changed})()
    module.setup()
    assert module.std[1] == 1.0 and module.mean[1] == pytest.approx(0.1)
    x, y = module.splits["train"]
    assert x[:, 0].std(correction=0).item() == pytest.approx(1, abs=1e-5)
    assert x[:, 1].abs().max() < 1e-6
    assert y.shape == (70, 1) and y.dtype == torch.float32


def test_normalising_does_not_touch_the_shared_arrays():
    first, second = linear(), linear()
    first.setup()
    second.setup()
    assert torch.equal(first.splits["test"][0], second.splits["test"][0])


def test_the_line_as_configured():
    module = data("linear")
    assert module.sizes == {"train": 800, "val": 100, "test": 100}
    assert module.mean == [0.0] and module.std == [1.0]
    x, y = (rows.double() for rows in module.splits["train"])
    design = torch.cat([x, torch.ones_like(x)], dim=1)
    assert torch.linalg.lstsq(design, y).solution.flatten().tolist() == pytest.approx(
        [3.0, 2.0], abs=0.02
    )


@pytest.mark.skipif("THETA0_DATA" not in os.environ, reason="THETA0_DATA names no folder of MNIST")
def test_mnist_as_configured():
    module = data("mnist")
    module.prepare_data()
    assert module.sizes == {"train": 55_000, "val": 5_000, "test": 10_000}
    assert module.mean == pytest.approx([0.1307], abs=5e-4)
    assert module.std == pytest.approx([0.3081], abs=5e-4)
    assert module.splits["test"][1].bincount()[[0, 1, 9]].tolist() == [980, 1135, 1009]
    train, val = (module.splits[split][1].bincount() for split in ("train", "val"))
    assert (val - (train + val) / 12).abs().max() < 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": [1, 8, 8]}, "data.shape=[1, 8, 8], but the data has [1, 28, 28]"),
        ({"num_features": 783}, "data.num_features=783, but the data has 784"),
        ({"num_classes": 9}, "data.num_classes=9, but the data has 10"),
        (
            {"samples__train": 3400},
            "data.samples.train=3400 and data.samples.val=500, but the data has 4000 rows for both",
        ),
        ({"source__test_samples": 900}, "data.samples.test=1000, but the data has 900"),
        ({"mean": [0.1, 0.2]}, "data.mean has 2 numbers, but data.shape has 1 channels"),
    ],
)
def test_a_configuration_that_the_data_contradicts_is_told_in_one_line(changes, message):
    with pytest.raises(Exception) as error:
        data(**changes).setup()
    assert message in str(error.value)


def test_labels_must_be_0_to_c_minus_1():
    module = data("digits")
    arrays = module.source.load()
    y = arrays.train_y + 1
    shifted = type(arrays)(arrays.train_x, y, arrays.test_x, arrays.test_y + 1)
    module.source = type("Fixed", (), {"files": lambda _: (), "load": lambda _: shifted})()
    with pytest.raises(ValueError, match=r"data\.num_classes=10, .* labels are 1\.\.10"):
        module.setup()


def test_a_checkpoints_statistics_win_before_and_after_setup():
    trained = data()
    trained.setup()
    state = trained.state_dict()
    assert state == {"mean": trained.mean, "std": trained.std, "place": None}
    assert all(type(number) is float for key in ("mean", "std") for number in state[key])
    other = {"mean": [0.5], "std": [0.25]}
    before, after = data(), data()
    before.load_state_dict(other)
    before.setup()
    after.setup()
    after.load_state_dict(other)
    for module in (before, after):
        assert module.state_dict() == other | {"place": None}
        expected = (trained.splits["val"][0] * trained.std[0] + trained.mean[0] - 0.5) / 0.25
        torch.testing.assert_close(module.splits["val"][0], expected, rtol=1e-4, atol=1e-5)


def test_loaders():
    module = data(batch_size=64, order=3)
    train, val, test = module.train_dataloader(), module.val_dataloader(), module.test_dataloader()
    assert [len(train), len(val), len(test)] == [55, 1, 1]
    batch = next(iter(train))
    assert batch.x.shape == (64, 1, 28, 28) and batch.weight == 1.0
    order = epoch_order(3500, 3, 0)
    assert torch.equal(batch.x, module.splits["train"][0][order[:64]])
    assert torch.equal(next(iter(val)).y, module.splits["val"][1])
    assert torch.equal(next(iter(test)).y, module.splits["test"][1])
    assert len(data(drop_last=True).train_dataloader()) == 54
    assert module.transfer_batch_to_device(batch, torch.device("meta"), 0) is batch


class Recorder(pl.LightningModule):
    """Notes the targets of every batch by epoch, and takes steps that they decide."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2))
        self.seen: list[tuple[int, float]] = []

    def training_step(self, batch, batch_idx):
        self.seen.append((self.current_epoch, batch.y.sum().item()))
        return ((batch.x @ self.weight - batch.y[:, 0]) ** 2).mean()

    def validation_step(self, batch, batch_idx):
        self.log("val/rows", float(len(batch.y)), batch_size=len(batch.y))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def trainer(path: Path, epochs: int, **kwargs) -> pl.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    options = {"accelerator": "cpu", "default_root_dir": path, "max_epochs": epochs, **quiet}
    return pl.Trainer(**{**options, **kwargs})


def fit(path: Path, epochs: int, ckpt: str | None = None, callbacks=(), **kwargs) -> Recorder:
    module = Recorder()
    trainer(path, epochs, callbacks=list(callbacks), **kwargs).fit(
        module, datamodule=linear(), ckpt_path=ckpt
    )
    return module


def expected(epochs: range, order_seed: int = 0) -> list[tuple[int, float]]:
    module = linear(order_seed=order_seed)
    module.setup()
    y = module.splits["train"][1]
    return [
        (epoch, y[rows].sum().item())
        for epoch in epochs
        for rows in epoch_order(len(y), order_seed, epoch).split(16)
    ]


@pytest.mark.parametrize("options", [{}, {"val_check_interval": 0.5}])
def test_a_trainer_gets_each_epochs_own_order(tmp_path, options):
    seen = fit(tmp_path, 3, **options).seen
    assert seen == expected(range(3)) and len({total for _, total in seen}) == 15


@pytest.mark.parametrize("at_train_end", [True, False])
def test_two_and_two_epochs_are_four(tmp_path, at_train_end):
    save = pl.callbacks.ModelCheckpoint(
        tmp_path, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=at_train_end
    )
    whole = fit(tmp_path / "whole", 4, enable_checkpointing=False)
    fit(tmp_path, 2, callbacks=[save])
    rest = fit(tmp_path, 4, ckpt=str(tmp_path / "epoch=1.ckpt"), enable_checkpointing=False)
    assert rest.seen == expected(range(2, 4))
    assert torch.equal(rest.weight, whole.weight)


def test_a_run_goes_on_in_the_middle_of_an_epoch(tmp_path):
    save = pl.callbacks.ModelCheckpoint(
        tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=1
    )
    whole = fit(tmp_path / "whole", 3, enable_checkpointing=False)
    fit(tmp_path, 2, callbacks=[save])
    for step in (1, 7, 8, 9):  # five steps an epoch
        rest = fit(
            tmp_path, 3, ckpt=str(tmp_path / f"step={step}.ckpt"), enable_checkpointing=False
        )
        assert rest.seen == expected(range(3))[step:]
        assert torch.equal(rest.weight, whole.weight)


def test_overfitting_repeats_the_same_batches(tmp_path):
    seen = fit(tmp_path, 3, overfit_batches=2, enable_checkpointing=False).seen
    totals = [total for _, total in seen]
    assert len(totals) == 6 and totals[:2] == totals[2:4] == totals[4:]


def test_a_checkpoint_carries_the_statistics_to_other_data(tmp_path):
    run = trainer(tmp_path, 1)
    run.fit(Recorder(), datamodule=linear())
    path = run.checkpoint_callback.best_model_path
    state = torch.load(path, weights_only=True)["DataModule"]
    trained = linear()
    trained.setup()
    assert state.pop("place") == {"epoch": 0, "batch": len(trained.train_dataloader())}
    assert state | {"place": None} == trained.state_dict()
    other = linear(source=LinearRegression([1.0, 2.0], 0.0, 0.1, 90, 10, seed=1))
    trainer(tmp_path, 1).validate(Recorder(), datamodule=other, ckpt_path=path, verbose=False)
    assert state.items() <= other.state_dict().items() and other.digest != trained.digest


def test_rank_and_world_come_from_the_trainer():
    module = linear()
    module.setup()

    module.trainer = SimpleNamespace(
        global_rank=1,
        world_size=3,
        overfit_batches=0.0,
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )
    loader = module.train_dataloader()
    assert isinstance(loader, BatchLoader) and (loader.rank, loader.world) == (1, 3)


def test_a_digest_neither_splits_nor_reads_twice(monkeypatch):
    """What a finished run is recognised by: it is skipped as fast as its data can be told."""
    loads = []
    monkeypatch.setattr("theta0.data.source._arrays", type(source_module._arrays)(2))
    monkeypatch.setattr("theta0.data.source._digests", type(source_module._digests)(128))
    for source in (LinearRegression, Digits):
        load = source.load
        monkeypatch.setattr(source, "load", lambda own, f=load: (loads.append(own), f(own))[1])
    monkeypatch.setattr(DataModule, "_split", lambda *_: pytest.fail("was split"))
    made = [
        ("digits", {}),
        ("linear", {}),
        *(("linear", {"source__seed": s}) for s in range(50, 53)),
    ]
    digests = [[data(n, split=k, **c).digest for n, c in made] for k in range(3)]
    assert digests[0] == digests[1] == digests[2]
    assert len(set(digests[0])) == len(loads) == len(made)
