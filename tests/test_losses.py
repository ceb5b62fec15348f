import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from theta0.build import build
from theta0.data import Saturating
from theta0.losses import L1, L2, MSE, Monotonic, WeightedSum
from theta0.models import MLP

CONFIGS = Path(__file__).parents[1] / "configs" / "loss"
rng = np.random.default_rng(0)
OUTPUT = rng.normal(size=(6, 4))
LABELS = np.array([0, 3, 1, 1, 2, 3])


def loss(name: str, **changes):
    """The one term of a YAML, which has the YAML's name."""
    node = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    assert node.keys() == {name} and node[name].pop("scale") == 1.0
    return build(node[name] | changes)


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


# ------------------------------------------------------------------------------------ weighted sum


class Term(nn.Module):
    """Gives a number, and notes what it was called with."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value, self.seen = value, []


class Data(Term):
    def forward(self, input, target):
        self.seen.append((input, target))
        return torch.tensor(self.value)


class Prior(Term):
    def forward(self, network, output, x, unasked=0):
        self.seen.append((network, output, x))
        return torch.tensor(self.value)


NETWORK = nn.Identity()
BATCH = tuple(torch.full((2,), float(i)) for i in range(3))  # output, target, x


def test_a_sum_weighs_its_terms_and_reports_them_unweighted():
    data, prior = Data(2.0), Prior(5.0)
    total, parts = WeightedSum({"fit": data, "prior": prior}, {"fit": 3.0, "prior": 0.1})(
        *BATCH, NETWORK
    )
    assert total.item() == pytest.approx(3 * 2 + 0.1 * 5)
    assert {name: part.item() for name, part in parts.items()} == {"fit": 2.0, "prior": 5.0}
    output, target, x = BATCH
    assert data.seen == [(output, target)]
    assert prior.seen == [(NETWORK, output, x)]


def test_evaluation_counts_the_data_terms_and_reports_all():
    terms = {"fit": Data(2.0), "prior": Prior(5.0), "other": Data(7.0)}
    both = WeightedSum(terms, {"fit": 1.0, "prior": 1.0, "other": 0.5})
    assert both.data_terms == ("fit", "other")
    total, parts = both.evaluate(*BATCH, NETWORK)
    assert total.item() == pytest.approx(2 + 0.5 * 7)
    assert {name: part.item() for name, part in parts.items()} == {
        "fit": 2.0,
        "prior": 5.0,
        "other": 7.0,
    }
    assert len(terms["prior"].seen) == 1
    assert both.data_loss(*BATCH, NETWORK).item() == pytest.approx(2 + 0.5 * 7)
    assert len(terms["prior"].seen) == 1, "an attack does not pay for penalties"


@pytest.mark.parametrize(("scale", "parts"), [(1.0, ()), (0.5, ("fit",))])
def test_a_sum_of_one_term_is_that_term(scale, parts):
    alone = WeightedSum({"fit": Data(2.0)}, {"fit": scale})
    assert alone.parts == parts
    for total, reported in (alone(*BATCH, NETWORK), alone.evaluate(*BATCH, NETWORK)):
        assert total.item() == scale * 2.0
        assert tuple(reported) == parts


def test_the_gradient_is_that_of_the_sum():
    network = nn.Linear(3, 1, bias=False).double()
    x, y = torch.randn(5, 3, dtype=torch.double), torch.randn(5, 1, dtype=torch.double)
    total, _ = WeightedSum({"mse": MSE(), "l2": L2()}, {"mse": 2.0, "l2": 0.3})(
        network(x), y, x, network
    )
    total.backward()
    w = network.weight.detach()
    expected = 2 * 2 * ((x @ w.T - y) * x).mean(0) + 0.3 * w
    torch.testing.assert_close(network.weight.grad, expected, rtol=1e-12, atol=1e-14)


def test_signatures_are_read_once(monkeypatch):
    both = WeightedSum({"fit": nn.MSELoss(), "l1": L1()}, {"fit": 1.0, "l1": 1.0})
    monkeypatch.setattr(inspect, "signature", None)
    network = nn.Linear(2, 2)
    x = torch.ones(1, 2)
    assert both(network(x), x, x, network)[0] > 0


class Strange(nn.Module):
    def forward(self, target, weights):
        raise AssertionError


@pytest.mark.parametrize(
    ("terms", "scales", "message"),
    [
        ({"odd": Strange()}, {"odd": 1.0}, "loss.odd asks for 'weights': a term may ask for out"),
        ({"l1": L1(), "l2": L2()}, {"l1": 1.0, "l2": 1.0}, "none of l1, l2 looks at the targets"),
        ({"mse": MSE()}, {"l1": 1.0}, "loss: terms mse, but scales l1"),
    ],
)
def test_a_sum_that_cannot_be(terms, scales, message):
    with pytest.raises(ValueError, match=message):
        WeightedSum(terms, scales)


# --------------------------------------------------------------------------------------- penalties


def normalised() -> MLP:
    torch.manual_seed(0)
    return MLP(5, 3, widths=(4,), norm="batch").double()


@pytest.mark.parametrize("everything", [False, True])
def test_penalties_reach_what_weight_decay_reaches(everything):
    network = normalised()
    every = [p.detach().numpy() for p in network.parameters()]
    weights = every if everything else [w for w in every if w.ndim == 2]
    l1, l2 = L1(bias_and_norm=everything)(network), L2(bias_and_norm=everything)(network)
    assert l1.item() == pytest.approx(sum(np.abs(w).sum() for w in weights), rel=1e-12)
    assert l2.item() == pytest.approx(0.5 * sum((w**2).sum() for w in weights), rel=1e-12)


def test_penalties_leave_frozen_weights_out():
    network = normalised()
    network.hidden[0].weight.requires_grad_(False)
    assert L1()(network).item() == pytest.approx(network.output.weight.abs().sum().item())


def test_the_penalties_gradients_are_the_sign_and_the_weight():
    network = normalised()
    weight = network.output.weight
    assert torch.equal(torch.autograd.grad(L1()(network), weight)[0], weight.sign())
    torch.testing.assert_close(torch.autograd.grad(L2()(network), weight)[0], weight.detach())


@pytest.mark.parametrize(("momentum", "steps"), [(0.0, 5), (0.9, 5)])
def test_l2_is_the_weight_decay_of_sgd(momentum, steps):
    def trained(scale, weight_decay):
        network = nn.Linear(4, 1, bias=False).double()
        nn.init.constant_(network.weight, 0.7)
        x = torch.linspace(-1, 1, 12, dtype=torch.double).view(3, 4)
        optimizer = torch.optim.SGD(
            network.parameters(), lr=0.1, momentum=momentum, weight_decay=weight_decay
        )
        for _ in range(steps):
            optimizer.zero_grad()
            (network(x).square().mean() + scale * L2()(network)).backward()
            optimizer.step()
        return network.weight.detach()

    torch.testing.assert_close(trained(0.3, 0.0), trained(0.0, 0.3), rtol=1e-12, atol=1e-15)
    assert not torch.allclose(trained(0.3, 0.0), trained(0.0, 0.0), rtol=1e-3)


def test_a_penalty_of_nothing_is_a_mistake():
    network = nn.Linear(2, 1)
    network.weight.requires_grad_(False)
    with pytest.raises(ValueError, match="loss L1: no trained weight to penalise"):
        L1()(network)


# ------------------------------------------------------------------------------------ monotonicity


@pytest.mark.parametrize(
    ("feature", "direction", "expected"),
    [(0, "increasing", 0.0), (1, "increasing", 9.0), (0, "decreasing", 4.0), (1, "decreasing", 0)],
)
def test_a_plane_falls_by_its_slope(feature, direction, expected):
    """f = 2x₁ − 3x₂, whatever δ and x."""
    network = nn.Linear(2, 1).double()
    network.weight.data = torch.tensor([[2.0, -3.0]]).double()
    x = torch.randn(7, 2, dtype=torch.double)
    for delta in (0.01, 3.0):
        term = Monotonic(feature=feature, direction=direction, delta=delta)
        assert term(x, network).item() == pytest.approx(expected, abs=1e-12)


def test_only_where_the_output_falls_does_it_count():
    """f = sin(x₂) + x₁: the formula in NumPy, of every row and nothing of x₁."""
    x = torch.linspace(-4, 4, 50, dtype=torch.double).repeat(2, 1).T

    class Wave(nn.Module):
        def forward(self, x):
            return x[:, 1:].sin() + x[:, :1]

    values = x[:, 1].numpy()
    falls = np.maximum(0, (np.sin(values) - np.sin(values + 0.2)) / 0.2)
    assert (falls == 0).any() and (falls > 0).any()
    got = Monotonic(feature=1, delta=0.2)(x, Wave())
    assert got.item() == pytest.approx((falls**2).mean(), rel=1e-10)


@pytest.mark.parametrize("between", [nn.Dropout(0.5), nn.BatchNorm1d(4)])
def test_monotonic_asks_the_network_as_it_is_evaluated(between):
    """Else two masks of dropout look like a slope, and batch normalisation hides the step."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 4), between, nn.Linear(4, 1))
    network[0].weight.data[:, 0] = torch.tensor([1.0, 1, 0, 0])  # f = −2x₁ + ...
    network[2].weight.data[:] = -1.0
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    term, x = Monotonic(), torch.randn(50, 2)
    assert term(x, network).item() == pytest.approx(4.0, rel=1e-4)
    assert network.training and between.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"direction": "up"}, "direction='up': allowed are increasing, decreasing"),
        ({"delta": 0.0}, "delta=0.0: must be above 0"),
    ],
)
def test_monotonic_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Monotonic(**settings)


@pytest.mark.parametrize("x", [torch.zeros(3, 2), torch.zeros(3, 1, 4, 4)])
def test_monotonic_needs_its_feature(x):
    with pytest.raises(ValueError, match=r"Monotonic: no feature 2 in inputs of shape \("):
        Monotonic(feature=2)(x, nn.Identity())


def test_a_network_that_is_told_falls_far_less_and_fits_as_well():
    """The worked example in small: 200 noisy rows, a network that can fit their noise."""
    arrays = Saturating(noise=0.5, train_samples=200, test_samples=2000, seed=0).load()
    x, y = torch.from_numpy(arrays.train_x), torch.from_numpy(arrays.train_y)
    test_x, test_y = torch.from_numpy(arrays.test_x), torch.from_numpy(arrays.test_y)
    term = Monotonic(feature=0)

    def trained(scale):
        torch.manual_seed(0)
        network = MLP(2, 1, widths=(64, 64))
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        both = WeightedSum({"mse": MSE(), "prior": term}, {"mse": 1.0, "prior": scale})
        for _ in range(200):
            optimizer.zero_grad()
            both(network(x), y, x, network)[0].backward()
            optimizer.step()
        with torch.no_grad():
            output = network(test_x)
            return MSE()(output, test_y).item(), term(test_x, network).item()

    (error, fall), (told_error, told_fall) = trained(0.0), trained(3.0)
    assert told_fall < fall / 5
    assert told_error < 1.05 * error
