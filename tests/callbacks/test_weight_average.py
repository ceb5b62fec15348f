"""Averages of weights in Lightning's own loop, on a regression of eight rows."""

from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from theta0.callbacks import EMA, SWA, Checkpoint, WeightAverage

STEPS = 4  # an epoch's batches


class Regression(lightning.LightningModule):
    """Notes the weights after every batch, and those that validation and checkpoints see."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))
        self.after_batch: list[dict[str, torch.Tensor]] = []
        self.validated: list[dict[str, torch.Tensor]] = []

    def weights(self) -> dict[str, torch.Tensor]:
        return {name: t.clone() for name, t in self.network.state_dict().items()}

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        x, y = batch
        return (self.network(x) - y).square().mean()

    def on_train_batch_end(self, *unused: Any) -> None:
        self.after_batch.append(self.weights())

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self.validated.append(self.weights())
        x, y = batch
        self.log("val/loss", (self.network(x) - y).square().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.05)


def loader() -> torch.utils.data.DataLoader[Any]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2 * STEPS, 3, generator=generator)
    rows = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True).sin())
    return torch.utils.data.DataLoader(rows, batch_size=2)


class Stop(Callback):
    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == self.epoch:
            raise InterruptedError


def fit(
    folder: Path,
    *callbacks: Callback,
    epochs: int = 4,
    start: Path | None = None,
    **settings: Any,
) -> Regression:
    module = Regression()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[*callbacks, Checkpoint("val/loss", "min", folder)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        **settings,
    )
    trainer.fit(module, loader(), loader(), ckpt_path=start, weights_only=True)
    return module


def saved(folder: Path, name: str = "last") -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


def network_of(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {name.removeprefix("network."): t for name, t in checkpoint["state_dict"].items()}


def assert_close(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name in found:
        if found[name].is_floating_point():  # a counter is not averaged
            torch.testing.assert_close(found[name], expected[name], rtol=1e-6, atol=1e-7)


def ema_of(start: dict[str, torch.Tensor], path: list[Any], decay: float) -> Any:
    """The formula, in double precision, after each of the path's weights."""
    average = {name: t.double() for name, t in start.items()}
    for t, weights in enumerate(path):
        d = min(decay, (1 + t) / (10 + t))
        average = {name: d * a + (1 - d) * weights[name].double() for name, a in average.items()}
    return {name: a.to(path[0][name].dtype) for name, a in average.items()}


def mean_of(path: list[Any]) -> dict[str, torch.Tensor]:
    return {
        name: torch.stack([w[name].double() for w in path]).mean(0).to(path[0][name].dtype)
        for name in path[0]
    }


AVERAGES = {"EMA": lambda: EMA(decay=0.5), "SWA": lambda: SWA(start=0.25)}


def expected_averages(name: str, path: list[Any]) -> list[Any]:
    """What each of four epochs' validation is to see: running statistics are averaged too."""
    epochs = [path[: STEPS * (i + 1)] for i in range(4)]
    if name == "EMA":
        return [ema_of(Regression().weights(), weights, 0.5) for weights in epochs]
    # The first epoch ends a quarter of the way, and after it is what counts.
    return [path[STEPS - 1], *(mean_of(e[2 * STEPS - 1 :: STEPS]) for e in epochs[1:])]


@pytest.mark.parametrize("name", AVERAGES)
def test_the_average_is_validated_and_kept_while_the_weights_train_on(tmp_path, name):
    plain = fit(tmp_path / "plain")
    module = fit(tmp_path / "averaged", AVERAGES[name]())
    for ours, theirs in zip(module.after_batch, plain.after_batch, strict=True):
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), "training is untouched"
    averages = expected_averages(name, plain.after_batch)
    for validated, expected in zip(module.validated, averages, strict=True):
        assert_close(validated, expected)
    last = saved(tmp_path / "averaged")
    assert_close(network_of(last), averages[-1])
    assert_close(module.weights(), averages[-1])
    weights = last["weight_average"]["weights"]
    assert all(torch.equal(weights[key], plain.after_batch[-1][key]) for key in weights)
    assert not torch.equal(weights["0.weight"], network_of(last)["0.weight"])


@pytest.mark.parametrize("name", AVERAGES)
def test_best_holds_what_was_validated_best(tmp_path, name):
    module = fit(tmp_path, AVERAGES[name]())
    best = saved(tmp_path, "best")
    assert_close(network_of(best), module.validated[best["epoch"]])


@pytest.mark.parametrize("name", AVERAGES)
@pytest.mark.parametrize(
    "settings", [{}, {"accumulate_grad_batches": 3}, {"precision": "bf16-true"}]
)
def test_two_epochs_and_two_are_four_bit_for_bit(tmp_path, name, settings):
    fit(tmp_path / "whole", AVERAGES[name](), **settings)
    with pytest.raises(InterruptedError):
        fit(tmp_path / "parts", AVERAGES[name](), Stop(2), **settings)
    halfway = tmp_path / "parts" / "checkpoints" / "last.ckpt"
    assert saved(tmp_path / "parts")["epoch"] == 1
    fit(tmp_path / "parts", AVERAGES[name](), start=halfway, **settings)
    whole, parts = saved(tmp_path / "whole"), saved(tmp_path / "parts")
    assert whole["epoch"] == parts["epoch"] == 3
    assert whole["weight_average"]["count"] == parts["weight_average"]["count"]
    for ours, theirs in (
        (whole["state_dict"], parts["state_dict"]),
        (whole["weight_average"]["weights"], parts["weight_average"]["weights"]),
    ):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize(("accumulate", "count"), [(1, 16), (2, 8), (3, 8)])
def test_an_average_counts_optimizer_steps(tmp_path, accumulate, count):
    """Of 4 epochs of 4 batches; an epoch's last batch always steps."""
    average = EMA(decay=0.5)
    fit(tmp_path, average, accumulate_grad_batches=accumulate)
    assert average.count == count


@pytest.mark.parametrize(("start", "count"), [(0.0, 4), (0.25, 3), (0.5, 2), (0.99, 1)])
def test_swa_counts_the_epochs_after_its_start(tmp_path, start, count):
    average = SWA(start=start)
    fit(tmp_path, average)
    assert average.count == count


def test_small_shares_of_16_bit_weights_are_not_rounded_away(tmp_path):
    class Slow(WeightAverage):
        def share(self, trainer: lightning.Trainer, batch_idx: int) -> float:
            return 1e-3

    average = Slow()
    start = {name: t.bfloat16() for name, t in Regression().weights().items()}
    module = fit(tmp_path, average, precision="bf16-true")
    expected = {name: t.double() for name, t in start.items()}
    for weights in module.after_batch:
        expected = {name: a + 1e-3 * (weights[name].double() - a) for name, a in expected.items()}
    found = network_of(saved(tmp_path))
    for name, tensor in found.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)
            assert not torch.equal(tensor.bfloat16().float(), tensor)


def test_before_the_first_average_everything_sees_the_weights(tmp_path):
    module = fit(tmp_path, SWA(start=0.5), Stop(1), epochs=1)
    assert_close(module.validated[0], module.after_batch[-1])
    with pytest.raises(InterruptedError):
        fit(tmp_path / "stopped", SWA(start=0.5), Stop(1))
    stopped = saved(tmp_path / "stopped")
    assert stopped["weight_average"]["count"] == 0
    assert_close(network_of(stopped), module.after_batch[STEPS - 1])


def test_a_run_without_an_average_can_go_on_with_one(tmp_path):
    with pytest.raises(InterruptedError):
        fit(tmp_path, Stop(2))
    start = saved(tmp_path)
    average = EMA(decay=0.5)
    module = fit(tmp_path, average, start=tmp_path / "checkpoints" / "last.ckpt")
    assert average.count == 2 * STEPS
    assert_close(module.weights(), ema_of(network_of(start), module.after_batch, 0.5))


def test_one_average_a_run(tmp_path):
    with pytest.raises(ValueError, match="callbacks: EMA and SWA: a run has one average"):
        fit(tmp_path, EMA(decay=0.5), SWA(start=0.5))


def test_swa_needs_to_know_how_long_training_is(tmp_path):
    with pytest.raises(ValueError, match=r"SWA needs trainer\.max_epochs or trainer\.max_steps"):
        fit(tmp_path, SWA(start=0.5), epochs=-1, max_time="00:00:00:05")


def test_the_share_is_a_subclass_matter(tmp_path):
    class Newest(WeightAverage):
        def share(self, trainer: lightning.Trainer, batch_idx: int) -> float:
            return 1.0

    module = fit(tmp_path, Newest())
    for epoch, validated in enumerate(module.validated):
        weights = module.after_batch[STEPS * (epoch + 1) - 1]
        assert all(torch.equal(validated[key], weights[key]) for key in weights)
