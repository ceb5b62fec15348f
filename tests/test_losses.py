from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from theta0.build import build
from theta0.losses import MSE

CONFIGS = Path(__file__).parents[1] / "configs" / "loss"
rng = np.random.default_rng(0)
OUTPUT = rng.normal(size=(6, 4))
LABELS = np.array([0, 3, 1, 1, 2, 3])


def loss(name: str, **changes):
    return build(yaml.safe_load((CONFIGS / f"{name}.yaml").read_text()) | changes)


def test_every_yaml_is_tested_here():
    assert {file.stem for file in CONFIGS.glob("*.yaml")} == {"cross_entropy", "mse"}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_mse_of_labels_is_that_of_their_one_hot_vectors(dtype):
    got = loss("mse")(torch.from_numpy(OUTPUT).to(dtype), torch.from_numpy(LABELS))
    expected = ((OUTPUT - np.eye(4)[LABELS]) ** 2).mean()  # over outputs too
    assert got.dtype == dtype
    assert got.item() == pytest.approx(expected, rel=1e-12 if dtype == torch.float64 else 1e-6)


def test_mse_of_labels_knows_the_outputs_that_no_label_of_the_batch_names():
    got = MSE()(torch.zeros(2, 10), torch.tensor([0, 1]))
    assert got.item() == pytest.approx(2 / 20)


@pytest.mark.parametrize("width", [1, 4])
def test_mse_of_real_targets(width):
    target = rng.normal(size=(6, width))
    got = loss("mse")(torch.from_numpy(OUTPUT[:, :width]), torch.from_numpy(target))
    assert got.item() == pytest.approx(((OUTPUT[:, :width] - target) ** 2).mean(), rel=1e-12)


def test_mse_gradient():
    output = torch.from_numpy(OUTPUT.copy()).requires_grad_()
    MSE()(output, torch.from_numpy(LABELS)).backward()
    expected = 2 * (OUTPUT - np.eye(4)[LABELS]) / OUTPUT.size
    np.testing.assert_allclose(output.grad.numpy(), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("output", "target"),
    [
        (torch.zeros(5, 1), torch.zeros(5)),  # torch would broadcast to [5, 5]
        (torch.zeros(5), torch.zeros(5, 1)),
        (torch.zeros(5, 2), torch.zeros(5, 1)),
        (torch.zeros(5, 2), torch.zeros(1, 2)),
        (torch.zeros(5, 2), torch.zeros(5, 1, dtype=torch.int64)),  # labels are [n]
    ],
)
def test_mse_refuses_to_broadcast(output, target):
    with pytest.raises(ValueError, match=r"output \(.*\) against target \(.*\)"):
        MSE()(output, target)


def test_mse_names_both_shapes():
    with pytest.raises(ValueError) as error:
        MSE()(torch.zeros(5, 1), torch.zeros(5))
    assert str(error.value) == "output (5, 1) against target (5,)"


def smoothed(z, labels, smoothing):
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    q = (1 - smoothing) * np.eye(z.shape[1])[labels] + smoothing / z.shape[1]
    return -(q * log_p).sum(1).mean()


@pytest.mark.parametrize("smoothing", [None, 0.1, 1.0])
def test_cross_entropy(smoothing):
    """The YAML as it stands is not smoothed; where it is, the labels' share goes to all classes."""
    changes = {} if smoothing is None else {"label_smoothing": smoothing}
    got = loss("cross_entropy", **changes)(torch.from_numpy(OUTPUT), torch.from_numpy(LABELS))
    assert got.item() == pytest.approx(smoothed(OUTPUT, LABELS, smoothing or 0.0), rel=1e-12)


def test_cross_entropy_of_an_undecided_network_is_the_log_of_the_classes():
    got = loss("cross_entropy")(torch.zeros(3, 10), torch.tensor([0, 5, 9]))
    assert got.item() == pytest.approx(np.log(10), rel=1e-6)
