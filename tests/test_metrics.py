"""An epoch's metrics over uneven batches against NumPy over the whole set at once."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torchmetrics
from omegaconf import OmegaConf
from torch.nn import functional

from theta0.build import build
from theta0.classwise import shortest
from theta0.metrics import EpochMetrics

CONFIGS = Path(__file__).parents[1] / "configs" / "metrics"
UNEVEN = [7, 1, 32, 5, 32, 3]


def metrics(name: str, split: str = "val") -> EpochMetrics:
    root = OmegaConf.merge({"data": {"num_classes": 5}}, OmegaConf.load(CONFIGS / f"{name}.yaml"))
    nodes = OmegaConf.to_container(root, resolve=True)["metrics"]
    return EpochMetrics(split, {key: build(node) for key, node in nodes.items()})


def classification(sizes, seed=0):
    """Batches (loss, output, target), and val/acc and val/loss of all of them at once."""
    rng = torch.Generator().manual_seed(seed)
    n = sum(sizes)
    z = 2 * torch.randn(n, 5, generator=rng)
    y = torch.randint(5, (n,), generator=rng)
    z[:20, 0] += 3  # the first batches are unlike the last: an average over batches would show
    batches = [
        (functional.cross_entropy(a, b), a, b)
        for a, b in zip(z.split(sizes), y.split(sizes), strict=True)
    ]
    z = z.double().numpy()
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    loss = -log_p[np.arange(n), y.numpy()].mean()
    return batches, {"val/acc": (z.argmax(1) == y.numpy()).mean(), "val/loss": loss}


def feed(into: EpochMetrics, batches) -> EpochMetrics:
    for batch in batches:
        into.add(*batch)
    return into


def test_every_yaml_is_tested_here():
    assert {file.stem for file in CONFIGS.glob("*.yaml")} == {"classification", "regression"}


@pytest.mark.parametrize(
    "sizes", [UNEVEN, [1], [64] * 64, UNEVEN * 11, [3] * 63 + [1], [5] * 129 + [2]], ids=len
)
def test_uneven_batches_weigh_by_their_samples(sizes):
    batches, expected = classification(sizes)
    got = feed(metrics("classification"), batches).compute()
    assert got == pytest.approx(expected, rel=2e-6)
    assert got["val/acc"] == pytest.approx(round(expected["val/acc"] * sum(sizes)) / sum(sizes))


def test_the_mean_over_batches_would_be_another_number():
    """So that the test above can fail."""
    batches, expected = classification(UNEVEN)
    over_batches = np.mean([loss.item() for loss, _, _ in batches])
    assert abs(over_batches - expected["val/loss"]) > 0.01


def test_the_names_carry_the_split():
    batches, _ = classification(UNEVEN)
    assert feed(metrics("classification", "test"), batches).compute().keys() == {
        "test/loss",
        "test/acc",
    }


class Counting(torchmetrics.MeanMetric):
    """How often torchmetrics is called, with how many rows, and of which type."""

    calls: list[int] = []  # noqa: RUF012  deepcopy leaves a class's list shared
    dtypes: set[torch.dtype] = set()  # noqa: RUF012

    def update(self, output, target):
        self.calls.append(len(output))
        self.dtypes.add(output.dtype)
        super().update(target.float())


def test_batches_are_handed_on_64_at_a_time():
    Counting.calls.clear()
    epoch = EpochMetrics("val", {"mean": Counting()})
    batches, _ = classification([2] * 130)
    seen = []
    for batch in batches:
        epoch.add(*batch)
        seen.append(len(Counting.calls))
    assert seen == [0] * 63 + [1] * 64 + [2] * 3
    got = epoch.compute()
    assert Counting.calls == [128, 128, 4]
    everything = torch.cat([target for _, _, target in batches]).double()
    assert got["val/mean"] == pytest.approx(everything.mean().item(), rel=1e-6)
    epoch.flush()  # nothing is left to hand on
    assert Counting.calls == [128, 128, 4]


def test_a_network_of_16_bits_has_metrics_of_32():
    """Under precision=bf16-true the module is converted, and a step's tensors are bfloat16."""
    batches, _ = classification(UNEVEN * 20)
    halves = [(loss.bfloat16(), output.bfloat16(), target) for loss, output, target in batches]
    converted = metrics("classification").to(torch.bfloat16)
    torch.set_default_dtype(torch.bfloat16)  # as Lightning does around a step
    try:
        feed(converted, halves)
    finally:
        torch.set_default_dtype(torch.float32)
    wide = [(loss.float(), output.float(), target) for loss, output, target in halves]
    expected = feed(metrics("classification"), wide).compute()
    assert converted.compute() == expected
    assert expected == feed(metrics("classification").to(torch.float64), wide).compute()


def test_compute_starts_afresh():
    epoch = metrics("classification")
    feed(epoch, classification(UNEVEN, seed=0)[0]).compute()
    batches, expected = classification(UNEVEN, seed=1)
    assert feed(epoch, batches).compute() == pytest.approx(expected, rel=1e-6)
    assert expected != pytest.approx(classification(UNEVEN, seed=0)[1], rel=1e-2)


def test_splits_do_not_share_state():
    shared = {"acc": torchmetrics.classification.MulticlassAccuracy(5, average="micro")}
    train, val = EpochMetrics("train", shared), EpochMetrics("val", shared)
    batches, expected = classification(UNEVEN)
    feed(train, classification(UNEVEN, seed=1)[0])
    train.flush()
    assert feed(val, batches).compute() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("cut", [1, 40, 64, 100])
def test_half_an_epoch_is_kept_in_a_checkpoint(tmp_path, cut):
    batches, expected = classification(UNEVEN * 20)
    first = feed(metrics("classification"), batches[:cut])
    torch.save(first.half_way(), tmp_path / "half.ckpt")
    second = metrics("classification")
    second.go_on(torch.load(tmp_path / "half.ckpt", weights_only=True))
    got = feed(second, batches[cut:]).compute()
    assert got == feed(first, batches[cut:]).compute()  # bit for bit
    assert got == pytest.approx(expected, rel=2e-6)


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
def test_a_restored_epoch_without_another_batch():
    batches, expected = classification(UNEVEN)
    first = feed(metrics("classification"), batches)
    first.flush()
    second = metrics("classification")
    second.go_on(first.half_way())
    assert second.compute() == pytest.approx(expected, rel=1e-6)


def test_gathered_batches_do_not_keep_the_graph():
    weight = torch.ones(3, 5, requires_grad=True)
    output = torch.randn(4, 3) @ weight
    epoch = metrics("classification")
    epoch.add(output.square().mean(), output, torch.tensor([0, 1, 2, 3]))
    assert output.requires_grad
    losses = [value for held in epoch._losses for value in held.values()]
    assert not any(held.requires_grad for held in losses + epoch._outputs)
    epoch.flush()
    assert not epoch.losses["loss"].compute().requires_grad
    assert epoch.compute()["val/loss"] == pytest.approx(output.square().mean().item(), rel=1e-6)


def regression(sizes, width):
    rng = np.random.default_rng(0)
    output = rng.normal(size=(sum(sizes), width))
    target = output + rng.normal(size=(sum(sizes), width))
    edges = np.cumsum(sizes)[:-1]
    batches = [
        (torch.tensor(((a - b) ** 2).mean()), torch.from_numpy(a), torch.from_numpy(b))
        for a, b in zip(np.split(output, edges), np.split(target, edges), strict=True)
    ]
    error = output - target
    r2 = 1 - (error**2).sum(0) / ((target - target.mean(0)) ** 2).sum(0)
    return batches, {
        "val/loss": (error**2).mean(),
        "val/mse": (error**2).mean(),
        "val/mae": np.abs(error).mean(),
        "val/r2": r2.mean(),
    }


@pytest.mark.parametrize("sizes", [UNEVEN, [9] * 70 + [1]], ids=len)
def test_regression_with_one_target(sizes):
    """Outputs and targets [n, 1]: a metric that broadcasts them to [n, n] would be far off."""
    batches, expected = regression(sizes, width=1)
    assert feed(metrics("regression"), batches).compute() == pytest.approx(expected, rel=1e-5)


def test_regression_with_several_targets():
    batches, expected = regression(UNEVEN, width=3)
    assert feed(metrics("regression"), batches).compute() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_are_counted_in_float32(dtype):
    """In bfloat16 itself a sum of 1000 ones would stop at 256."""
    output = torch.eye(5, dtype=dtype).repeat(8, 1)
    target = torch.arange(5).repeat(8)
    epoch = metrics("classification")
    for _ in range(1000):
        epoch.add(torch.tensor(0.5, dtype=dtype), output, target)
    assert epoch.compute() == {"val/loss": 0.5, "val/acc": 1.0}
    Counting.dtypes.clear()
    feed(EpochMetrics("val", {"mean": Counting()}), [(output.mean(), output, target)]).compute()
    assert Counting.dtypes == {torch.float32}


def test_a_loss_that_is_not_finite_stays_so():
    for value in (math.nan, math.inf):
        batches, _ = classification(UNEVEN)
        epoch = feed(metrics("classification"), batches)
        epoch.add(torch.tensor(value), *batches[0][1:])
        assert not math.isfinite(epoch.compute()["val/loss"])
        assert math.isfinite(feed(epoch, batches).compute()["val/loss"])  # the next epoch


def test_theshortest_float():
    assert repr(shortest(torch.tensor(0.914))) == "0.914"
    assert repr(torch.tensor(0.914).item()) != "0.914"
    assert shortest(torch.tensor(1)) == 1.0
    assert shortest(torch.tensor(2 / 3, dtype=torch.float64)) == 2 / 3
    assert math.isnan(shortest(torch.tensor(math.nan)))
    for value in np.random.default_rng(0).normal(size=100).astype(np.float32):
        assert np.float32(shortest(torch.tensor(value))) == value  # nothing is lost


def test_computed_values_areshortest_floats():
    epoch = metrics("classification")
    target = torch.zeros(1000, dtype=torch.int64)
    output = torch.zeros(1000, 5)
    output[914:, 1] = 1.0
    output[:914, 0] = 1.0
    epoch.add(torch.tensor(0.3), output, target)
    assert {key: repr(value) for key, value in epoch.compute().items()} == {
        "val/loss": "0.3",
        "val/acc": "0.914",
    }


def test_parts_of_the_loss_are_means_of_their_own():
    epoch = EpochMetrics("train", {}, parts=("fit", "l2"), suffix="_x")
    output, target = torch.zeros(3, 1), torch.zeros(3, 1)
    epoch.add(
        torch.tensor(1.0), output, target, {"fit": torch.tensor(0.5), "l2": torch.tensor(5.0)}
    )
    output, target = output[:1], target[:1]
    epoch.add(
        torch.tensor(3.0), output, target, {"fit": torch.tensor(2.5), "l2": torch.tensor(1.0)}
    )
    assert epoch.compute() == {
        "train/loss_x": 1.5,
        "train/loss_fit_x": 1.0,
        "train/loss_l2_x": 4.0,
    }
