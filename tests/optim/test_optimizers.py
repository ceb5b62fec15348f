"""Every optimizer's YAML, built as the module builds it, against its update written in NumPy.

The references take each key of their YAML by name and nothing else, so that a key that is added
there fails here until its formula is told.
"""

import inspect
from itertools import pairwise, takewhile
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import get_object
from omegaconf import OmegaConf
from torch import nn

from theta0.optim import build_optimizer

CONFIGS = Path(__file__).parents[2] / "configs" / "optimizer"
NAMES = sorted(file.stem for file in CONFIGS.glob("*.yaml"))
STEPS = 10  # RAdam's first five are not rectified


def settings_of(name: str) -> dict:
    node = OmegaConf.load(CONFIGS / f"{name}.yaml")
    return OmegaConf.to_container(node, resolve=True)["optimizer"]


def build(name: str, network: nn.Module, scaled_gradients: bool = False, **changes):
    """As theta0.module does; a schedule-free optimizer at the point where it steps."""
    settings = settings_of(name) | changes
    factory = get_object(settings.pop("_target_"))
    optimizer = build_optimizer(factory, network, scaled_gradients=scaled_gradients, **settings)
    if hasattr(optimizer, "train"):
        optimizer.train()
    return optimizer


# ------------------------------------------------------------------------------------- references
# Each maps (θ, its gradients g_1, g_2, ..., the YAML's settings) to θ after the last of them.


def sgd(θ, gradients, lr, weight_decay, momentum=0.0, dampening=0.0, nesterov=False):
    v = 0
    for t, g in enumerate(gradients):
        g = g + weight_decay * θ
        v = momentum * v + (1 - dampening) * g if t else g  # torch: the first step is not dampened
        θ = θ - lr * (g + momentum * v if nesterov else v)
    return θ


def adagrad(θ, gradients, lr, lr_decay, initial_accumulator_value, eps, weight_decay):
    s = initial_accumulator_value
    for t, g in enumerate(gradients):
        g = g + weight_decay * θ
        s = s + g**2
        θ = θ - lr / (1 + t * lr_decay) * g / (np.sqrt(s) + eps)
    return θ


def asgd(θ, gradients, lr, lambd, alpha, t0, weight_decay):
    """θ itself: the average is tested below."""
    for t, g in enumerate(gradients):
        g = g + weight_decay * θ
        η = float(np.float32(lr / (1 + lambd * lr * t) ** alpha))  # torch keeps η in float32
        θ = (1 - lambd * η) * θ - η * g
    return θ


def adadelta(θ, gradients, lr, rho, eps, weight_decay):
    s = u = 0
    for g in gradients:
        g = g + weight_decay * θ
        s = rho * s + (1 - rho) * g**2
        d = np.sqrt(u + eps) / np.sqrt(s + eps) * g
        u = rho * u + (1 - rho) * d**2
        θ = θ - lr * d
    return θ


def rprop(θ, gradients, lr, etas, step_sizes):
    Δ, before = lr, 0
    for g in gradients:
        agree = np.sign(g * before)
        Δ = np.clip(Δ * np.choose(agree.astype(int) + 1, [etas[0], 1, etas[1]]), *step_sizes)
        before = np.where(agree < 0, 0, g)
        θ = θ - Δ * np.sign(before)
    return θ


def rmsprop(θ, gradients, lr, alpha, eps, weight_decay, momentum, centered):
    s = mean = v = 0
    for g in gradients:
        g = g + weight_decay * θ
        s = alpha * s + (1 - alpha) * g**2
        mean = alpha * mean + (1 - alpha) * g
        v = momentum * v + g / (np.sqrt(s - mean**2 if centered else s) + eps)
        θ = θ - lr * v
    return θ


def adam(θ, gradients, lr, betas, eps, amsgrad, weight_decay, decoupled=False):
    m = v = largest = 0
    for t, g in enumerate(gradients, start=1):
        if decoupled:
            θ = (1 - lr * weight_decay) * θ
        else:
            g = g + weight_decay * θ
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        largest = np.maximum(largest, v)  # torch: of the v that are not yet bias-corrected
        v_hat = (largest if amsgrad else v) / (1 - betas[1] ** t)
        θ = θ - lr * m / (1 - betas[0] ** t) / (np.sqrt(v_hat) + eps)
    return θ


def adamw(θ, gradients, **settings):
    return adam(θ, gradients, **settings, decoupled=True)


def adamw_lh(θ, gradients, lr, betas, eps, weight_decay):
    m = v = 0
    for t, g in enumerate(gradients, start=1):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        θ = θ - (lr * m_hat / (np.sqrt(v_hat) + eps) + weight_decay * θ)  # no schedule: η = 1
    return θ


def amsgrad(θ, gradients, lr, betas, eps, weight_decay):
    m = v = v_hat = 0
    for g in gradients:
        g = g + weight_decay * θ
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        v_hat = np.maximum(v_hat, v)
        θ = θ - lr * m / (np.sqrt(v_hat) + eps)  # the paper has no ε
    return θ


def adamax(θ, gradients, lr, betas, eps, weight_decay):
    m = u = 0
    for t, g in enumerate(gradients, start=1):
        g = g + weight_decay * θ
        m = betas[0] * m + (1 - betas[0]) * g
        u = np.maximum(betas[1] * u, np.abs(g) + eps)  # the paper has no ε
        θ = θ - lr / (1 - betas[0] ** t) * m / u
    return θ


def nadam(θ, gradients, lr, betas, eps, momentum_decay, decoupled_weight_decay, weight_decay):
    m, v = 0, 0
    product = np.float32(1)  # torch keeps Π μ in float32, whatever the parameters' type
    for t, g in enumerate(gradients, start=1):
        if decoupled_weight_decay:
            θ = (1 - lr * weight_decay) * θ
        else:
            g = g + weight_decay * θ
        μ, μ_next = (betas[0] * (1 - 0.5 * 0.96 ** (k * momentum_decay)) for k in (t, t + 1))
        product = np.float32(product * np.float32(μ))
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        Π = float(product)
        m_hat = μ_next * m / (1 - Π * μ_next) + (1 - μ) * g / (1 - Π)
        θ = θ - lr * m_hat / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return θ


def radam(θ, gradients, lr, betas, eps, decoupled_weight_decay, weight_decay):
    m = v = 0
    longest = 2 / (1 - betas[1]) - 1
    for t, g in enumerate(gradients, start=1):
        if decoupled_weight_decay:
            θ = (1 - lr * weight_decay) * θ
        else:
            g = g + weight_decay * θ
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        length = longest - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
        if length <= 5:  # the paper says 4, its code and torch's 5: v̂ rests on too little
            θ = θ - lr * m / (1 - betas[0] ** t)
            continue
        rect = np.sqrt(
            (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        )
        # torch: ε stands beside √v, before the bias correction
        adaptive = np.sqrt(1 - betas[1] ** t) / (np.sqrt(v) + eps)
        θ = θ - lr * m / (1 - betas[0] ** t) * rect * adaptive
    return θ


def rms(x):
    return np.sqrt(np.mean(x**2))


def adafactor(θ, gradients, lr, beta2_decay, eps, d, weight_decay):
    tiny, least = np.finfo(np.float64).eps if eps[0] is None else eps[0], eps[1]
    rows = columns = v = 0
    for t, g in enumerate(gradients, start=1):
        new = t**beta2_decay  # 1 − β̂₂
        α = max(least, rms(θ)) * min(lr, 1 / np.sqrt(t))
        θ = (1 - lr * weight_decay) * θ
        if g.ndim == 2:
            rows = (1 - new) * rows + new * (g**2).mean(1, keepdims=True)
            columns = (1 - new) * columns + new * (g**2).mean(0, keepdims=True)
            estimate = rows @ columns / max(rows.mean(), tiny)
        else:
            estimate = v = (1 - new) * v + new * g**2
        U = g / np.sqrt(np.maximum(estimate, tiny**2))  # the paper adds 1e-30 to g²
        θ = θ - α * U / max(1, rms(U) / d)
    return θ


def lion(θ, gradients, lr, betas, weight_decay):
    m = 0
    for g in gradients:
        θ = θ - lr * (np.sign(betas[0] * m + (1 - betas[0]) * g) + weight_decay * θ)
        m = betas[1] * m + (1 - betas[1]) * g
    return θ


def schedule_free(θ, gradients, lr, β, direction, warmup_steps, r, weight_lr_power, weight_decay):
    """(y, x): where the gradients were taken, and the average; the g of `gradients` are at y."""
    x = y = z = θ
    total = highest = 0
    for t, g in enumerate(gradients, start=1):
        γ = lr * min(1, t / warmup_steps) if warmup_steps else lr
        highest = max(highest, γ)
        weight = t**r * highest**weight_lr_power
        total += weight
        z = z - γ * (direction(t, g) + weight_decay * y)
        x = x + weight / total * (z - x)
        y = (1 - β) * z + β * x
    return y, x


def schedule_free_sgd(θ, gradients, lr, momentum, **settings):
    return schedule_free(θ, gradients, lr, momentum, lambda t, g: g, **settings)


def schedule_free_adamw(θ, gradients, lr, betas, eps, **settings):
    v = 0

    def direction(t, g):
        nonlocal v
        v = betas[1] * v + (1 - betas[1]) * g**2
        return g / (np.sqrt(v / (1 - betas[1] ** t)) + eps)

    return schedule_free(θ, gradients, lr, betas[0], direction, **settings)


REFERENCES = {
    "sgd": sgd,
    "momentum": sgd,
    "nesterov": sgd,
    "asgd": asgd,
    "adagrad": adagrad,
    "adadelta": adadelta,
    "rmsprop": rmsprop,
    "rprop": rprop,
    "adam": adam,
    "amsgrad": amsgrad,
    "amsgrad_torch": adam,
    "adamw": adamw,
    "adamw_lh": adamw_lh,
    "adamax": adamax,
    "nadam": nadam,
    "radam": radam,
    "adafactor": adafactor,
    "lion": lion,
    "schedule_free_sgd": lambda *a, **settings: schedule_free_sgd(*a, **settings)[0],
    "schedule_free_adamw": lambda *a, **settings: schedule_free_adamw(*a, **settings)[0],
}
LINE_SEARCH = {"lbfgs"}  # tested below: its step evaluates the loss
ELSEWHERE = {"muon", "sam", "sam_adamw", "soap"}  # in files of their own


def test_every_yaml_has_a_reference():
    assert set(NAMES) == REFERENCES.keys() | LINE_SEARCH | ELSEWHERE


@pytest.mark.parametrize("name", NAMES)
def test_every_yaml_says_paper_formula_and_where_others_differ(name):
    """Three headers, a continuation line indented, for the table in the docs."""
    first, *lines = (CONFIGS / f"{name}.yaml").read_text().splitlines()
    assert first == "# @package _global_"
    header = list(takewhile(lambda line: line.startswith("#"), lines))
    keys = [line[2:].partition(": ")[0] for line in header if not line.startswith("#   ")]
    assert keys == ["paper", "formula", "differs"]
    assert max(map(len, header)) <= 100


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 2)).double()


def gradients_for(net: nn.Module) -> list[list[np.ndarray]]:
    """For each parameter its gradients of STEPS steps, from 1e-11 to 1 in size: ε is felt."""
    rng = np.random.default_rng(1)
    gradients = []
    for p in net.parameters():
        size = 10 ** rng.uniform(-11, 0, tuple(p.shape))
        fade = rng.permutation(STEPS)  # falls and rises: AMSGrad's maximum is not always the last
        gradients.append(
            [size * rng.normal(size=tuple(p.shape)) * 0.5 ** fade[t] for t in range(STEPS)]
        )
    return gradients


def trajectory(optimizer, net: nn.Module, gradients) -> list[np.ndarray]:
    """θ after the last step, a parameter each."""
    for t in range(STEPS):
        for p, g in zip(net.parameters(), gradients, strict=True):
            p.grad = torch.from_numpy(g[t].copy())
        optimizer.step()
    return [p.detach().numpy().copy() for p in net.parameters()]


def reference(name: str, net: nn.Module, gradients, **changes) -> list[np.ndarray]:
    rule = REFERENCES[name]
    settings = settings_of(name) | changes
    settings.pop("_target_")
    settings.pop("fused", None)
    everywhere = settings.pop("decay_bias_and_norm", False)

    def of(p):
        decays = {} if everywhere or p.ndim > 1 else {"weight_decay": 0.0}
        return settings | {key: value for key, value in decays.items() if key in settings}

    return [
        rule(p.detach().numpy().copy(), g, **of(p))
        for p, g in zip(net.parameters(), gradients, strict=True)
    ]


def assert_follows(name: str, **changes) -> None:
    net = network()
    gradients = gradients_for(net)
    expected = reference(name, net, gradients, **changes)
    start = [p.detach().numpy().copy() for p in net.parameters()]
    got = trajectory(build(name, net, **changes), net, gradients)
    for before, a, b in zip(start, got, expected, strict=True):
        assert a.dtype == np.float64
        assert not np.array_equal(a, before)
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


PER_STEP = [name for name in NAMES if name in REFERENCES]
DECAYS = [name for name in PER_STEP if name != "rprop"]


@pytest.mark.parametrize("name", PER_STEP)
def test_trajectory(name):
    assert_follows(name)


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("name", DECAYS)
def test_trajectory_with_weight_decay(name, everywhere):
    """λ = 0.1: L2, added to the gradient, or a share of θ itself where the formula says so."""
    assert_follows(name, weight_decay=0.1, decay_bias_and_norm=everywhere)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("momentum", {"dampening": 0.3}),
        ("asgd", {"lambd": 0.1, "alpha": 0.5}),
        ("adagrad", {"lr_decay": 0.2, "initial_accumulator_value": 0.5}),
        ("adadelta", {"rho": 0.5, "eps": 1e-3}),
        ("rprop", {"lr": 0.1, "etas": [0.3, 2.0], "step_sizes": [0.05, 0.3]}),
        ("rmsprop", {"momentum": 0.9}),
        ("rmsprop", {"centered": True, "alpha": 0.9}),
        ("adam", {"betas": [0.8, 0.95], "eps": 1e-4}),
        ("adamw", {"amsgrad": True}),
        ("adamw_lh", {"betas": [0.8, 0.95], "weight_decay": 0.2}),
        ("amsgrad", {"betas": [0.9, 0.5]}),  # a short memory: the maximum lies in the past
        ("amsgrad_torch", {"betas": [0.9, 0.5]}),
        ("adamax", {"betas": [0.8, 0.5], "eps": 1e-4}),
        ("nadam", {"momentum_decay": 0.3}),
        ("nadam", {"decoupled_weight_decay": True, "weight_decay": 0.1}),
        ("radam", {"betas": [0.9, 0.9]}),
        ("radam", {"decoupled_weight_decay": True, "weight_decay": 0.1}),
        ("adafactor", {"lr": 0.5, "beta2_decay": -0.5, "d": 2.0}),
        ("adafactor", {"eps": [1e-6, 2.0]}),
        ("lion", {"betas": [0.5, 0.9], "weight_decay": 0.0}),
        ("schedule_free_sgd", {"warmup_steps": 4, "r": 1.0, "weight_lr_power": 1.0}),
        ("schedule_free_adamw", {"warmup_steps": 4, "betas": [0.7, 0.9], "r": 0.5}),
    ],
)
def test_trajectory_with_other_settings(name, changes):
    assert_follows(name, **changes)


def test_the_first_step_of_a_constant_gradient_by_hand():
    """What each YAML does to θ = 1 under g = 0.5, without a reference's loop."""
    expected = {
        "sgd": 1 - 0.1 * 0.5,
        "momentum": 1 - 0.05 * 0.5,
        "nesterov": 1 - 0.05 * 0.5 * 1.9,
        "adagrad": 1 - 0.01,
        "adam": 1 - 0.001,
        "asgd": (1 - 1e-4 * 0.1) - 0.1 * 0.5,
        "adadelta": 1 - np.sqrt(1e-6) / np.sqrt(0.1 * 0.5**2 + 1e-6) * 0.5,
        "rprop": 1 - 0.001,
        "amsgrad": 1 - 0.001 * 0.1 * 0.5 / (np.sqrt(0.001) * 0.5 + 1e-8),  # 3.16 · lr
        "amsgrad_torch": 1 - 0.001,
        "adamw": (1 - 0.001 * 0.01) - 0.001,
        "adamw_lh": (1 - 1e-5) - 0.001,
        "adamax": 1 - 0.002,
        "adafactor": 1 - 0.01,  # of a weight of 1
        "lion": (1 - 1e-4 * 0.1) - 1e-4,
        "schedule_free_sgd": 1 - 0.3 * 0.5,
        "schedule_free_adamw": 1 - 0.0025,
        "rmsprop": 1 - 0.001 * 0.5 / (np.sqrt(0.01 * 0.5**2) + 1e-8),
        "radam": 1 - 0.001 * 0.5,  # not rectified: momentum alone
    }
    μ1, μ2 = (0.9 * (1 - 0.5 * 0.96 ** (0.004 * t)) for t in (1, 2))
    expected["nadam"] = 1 - 0.001 * (1 + 0.1 * μ2 / (1 - μ1 * μ2))
    assert expected.keys() == set(PER_STEP)
    for name, value in expected.items():
        net = nn.Linear(1, 1, bias=False).double()
        nn.init.ones_(net.weight)
        net.weight.grad = torch.full((1, 1), 0.5, dtype=torch.float64)
        build(name, net).step()
        assert net.weight.item() == pytest.approx(value, abs=1e-9), name


def test_radam_is_momentum_for_five_steps():
    """Under tiny gradients the adaptive step is large: the sixth step gives the change away."""
    net = nn.Linear(1, 1, bias=False).double()
    optimizer = build("radam", net)
    moves = []
    for _ in range(6):
        before = net.weight.item()
        net.weight.grad = torch.full((1, 1), 1e-3, dtype=torch.float64)
        optimizer.step()
        moves.append(before - net.weight.item())
    assert moves[:5] == pytest.approx([1e-6] * 5, rel=1e-9)
    assert moves[5] > 1e-5


@pytest.mark.parametrize("rule", [schedule_free_sgd, schedule_free_adamw])
def test_schedule_free_is_evaluated_at_the_average_and_comes_back(rule):
    name = rule.__name__
    net = network()
    gradients = gradients_for(net)
    settings = settings_of(name) | {"weight_decay": 0.1, "warmup_steps": 3}
    del settings["_target_"], settings["decay_bias_and_norm"]
    expected = [
        rule(p.detach().numpy().copy(), g, **settings)
        for p, g in zip(net.parameters(), gradients, strict=True)
    ]
    optimizer = build(name, net, weight_decay=0.1, warmup_steps=3, decay_bias_and_norm=True)
    trajectory(optimizer, net, gradients)
    for point in (0, 1, 0):
        if point:
            optimizer.eval()
        else:
            optimizer.train()
        for p, both in zip(net.parameters(), expected, strict=True):
            np.testing.assert_allclose(p.detach().numpy(), both[point], rtol=0, atol=1e-12)
    assert max(np.abs(y - x).max() for y, x in expected) > 1e-4


def test_asgd_averages_beside_the_network():
    """torch leaves the mean of what came after t₀ in the state; who evaluates gets the last θ."""
    net = nn.Linear(3, 1, bias=False).double()
    optimizer = build("asgd", net, t0=3)
    seen = []
    for _ in range(STEPS):
        net.weight.grad = torch.randn(1, 3, dtype=torch.float64)
        optimizer.step()
        seen.append(net.weight.detach().clone())
    average = optimizer.state[net.weight]["ax"]
    torch.testing.assert_close(average, torch.stack(seen[4:]).mean(0), rtol=0, atol=1e-8)
    assert not torch.allclose(average, net.weight)


def test_a_schedule_does_not_reach_rprop():
    """Its rate is the first step of each weight, and no other."""
    ends = []
    for later in (0.001, 10.0):
        net = network()
        gradients = gradients_for(net)
        optimizer = build("rprop", net)
        for t in range(STEPS):
            for p, g in zip(net.parameters(), gradients, strict=True):
                p.grad = torch.from_numpy(g[t].copy())
            optimizer.step()
            optimizer.param_groups[0]["lr"] = later
        ends.append(torch.cat([p.detach().flatten() for p in net.parameters()]))
    assert torch.equal(*ends)


# ------------------------------------------------------------------------------------------ fused


def fused(optimizer) -> bool | None:
    (value,) = {group.get("fused") for group in optimizer.param_groups}
    return value


ASKS_AUTO = [name for name in PER_STEP if settings_of(name).get("fused") == "auto"]


def test_who_asks_for_fused_kernels():
    assert set(ASKS_AUTO) == {
        *("sgd", "momentum", "nesterov", "adagrad", "adam", "adamw", "amsgrad_torch")
    }
    for name in set(NAMES) - set(ASKS_AUTO):  # their classes have no such argument
        assert "fused" not in settings_of(name)
        factory = get_object(settings_of(name)["_target_"])
        assert "fused" not in inspect.signature(factory).parameters


@pytest.mark.parametrize("name", ASKS_AUTO)
def test_auto_is_fused_on_the_cpu_unless_gradients_are_scaled(name):
    assert fused(build(name, network())) is True
    assert not fused(build(name, network(), scaled_gradients=True))
    assert fused(build(name, network(), fused=False)) is False


def test_auto_is_not_fused_where_the_device_has_no_kernel():
    assert not fused(build("adam", network().to("meta")))


@pytest.mark.parametrize("name", sorted(set(PER_STEP) - set(ASKS_AUTO)))
def test_auto_for_a_class_that_has_no_such_argument(name):
    assert "fused" not in build(name, network(), fused="auto").param_groups[0]


def test_auto_leaves_the_choice_to_torch_where_it_is_not_fused():
    """torch takes foreach kernels on a GPU only where neither fused nor foreach is given."""
    assert fused(build("adam", network(), scaled_gradients=True)) is None


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("name", ASKS_AUTO)
def test_fused_and_plain_agree(name, decay):
    ends = []
    for choice in ("auto", False):
        net = network()
        optimizer = build(name, net, fused=choice, weight_decay=decay)
        ends.append(trajectory(optimizer, net, gradients_for(net)))
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


# ----------------------------------------------------------------------------------------- L-BFGS
# f(θ) = ½ (θ − a)ᵀ A (θ − a), A positive definite.


class Quadratic(nn.Module):
    def __init__(self, curvatures, start):
        super().__init__()
        n = len(curvatures)
        basis, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(n, n)))
        self.A = basis @ np.diag(curvatures) @ basis.T
        self.a = np.linspace(-1, 1, n)
        self.θ = nn.Parameter(torch.tensor(start, dtype=torch.float64))

    def value(self, θ):
        return 0.5 * (θ - self.a) @ self.A @ (θ - self.a)

    def gradient(self, θ):
        return self.A @ (θ - self.a)

    def forward(self):
        A, a = torch.from_numpy(self.A), torch.from_numpy(self.a)
        return 0.5 * (self.θ - a) @ A @ (self.θ - a)

    def step(self, optimizer) -> tuple[float, int]:
        """(the loss before the step, evaluations); θ moves."""
        calls = 0

        def closure():
            nonlocal calls
            calls += 1
            optimizer.zero_grad()
            loss = self()
            loss.backward()
            return loss

        return optimizer.step(closure).item(), calls

    @property
    def at(self) -> np.ndarray:
        return self.θ.detach().numpy().copy()


def two_loops(g, pairs):
    """Nocedal & Wright 2006, algorithm 7.4: −H·g, from (s, y), oldest first."""
    q, alphas = g.copy(), []
    for s, y in reversed(pairs):
        alphas.append(s @ q / (y @ s))
        q -= alphas[-1] * y
    if pairs:
        s, y = pairs[-1]
        q *= (s @ y) / (y @ y)
    for (s, y), α in zip(pairs, reversed(alphas), strict=True):
        q += (α - y @ q / (y @ s)) * s
    return -q


@pytest.mark.parametrize("history", [10, 2])
def test_lbfgs_without_line_search_is_the_two_loop_recursion(history):
    """Eight iterations, four a step: memory goes on from one step to the next."""
    problem = Quadratic([1.0, 2.0, 3.0, 4.0, 6.0], start=[2.0, -1.0, 0.5, 3.0, 1.0])
    optimizer = build("lbfgs", problem, line_search_fn=None, max_eval=100, history_size=history)
    θ, pairs = problem.at, []
    for _ in range(2):
        for _ in range(4):
            g = problem.gradient(θ)
            rate = 1.0 if pairs else min(1.0, 1 / np.abs(g).sum())  # torch's first step is short
            s = rate * two_loops(g, pairs[-history:])
            pairs.append((s, problem.gradient(θ + s) - g))
            θ = θ + s
        before = problem.value(problem.at)
        loss, calls = problem.step(optimizer)
        assert loss == pytest.approx(before, rel=1e-12)
        assert calls == 4
        np.testing.assert_allclose(problem.at, θ, rtol=0, atol=1e-10)
    assert np.abs(problem.at - problem.a).max() > 1e-6  # there was something to compare


def test_lbfgs_searches_along_its_direction_by_the_strong_wolfe_conditions():
    """The YAML's line search, an iteration at a time: direction by NumPy, length by its terms."""
    start = [200.0, -100.0, 50.0, 300.0]  # so far off that torch's first length is too short
    problem = Quadratic([1.0, 3.0, 10.0, 30.0], start)
    optimizer = build("lbfgs", problem, max_iter=1, max_eval=25)
    pairs = []
    for _ in range(6):
        θ, g = problem.at, problem.gradient(problem.at)
        d = two_loops(g, pairs)
        problem.step(optimizer)
        s, g_next = problem.at - θ, problem.gradient(problem.at)
        length = s @ d / (d @ d)
        assert length > 0
        np.testing.assert_allclose(s, length * d, rtol=0, atol=1e-10)
        assert problem.value(problem.at) <= problem.value(θ) + 1e-4 * length * (g @ d)
        assert abs(g_next @ d) <= 0.9 * abs(g @ d)
        pairs.append((s, g_next - g))


def test_one_lbfgs_step_minimises_along_a_line():
    """Where all curvatures are equal the gradient points at the minimum: one pair knows it all."""
    problem = Quadratic([7.0] * 4, start=[2.0, -1.0, 0.5, 3.0])
    _, calls = problem.step(build("lbfgs", problem))
    np.testing.assert_allclose(problem.at, problem.a, rtol=0, atol=1e-10)
    assert calls <= 5  # max_eval: null


def test_lbfgs_as_it_stands_descends_and_keeps_to_its_evaluations():
    problem = Quadratic([1.0, 3.0, 10.0, 30.0], start=[2.0, -1.0, 0.5, 3.0])
    optimizer = build("lbfgs", problem)
    losses = [problem.value(problem.at)]
    for _ in range(3):
        loss, calls = problem.step(optimizer)
        assert loss == pytest.approx(losses[-1], rel=1e-12)  # what step returns: from before it
        assert 1 <= calls <= 6  # 1.25 · 4 of them, and a search that has begun ends
        losses.append(problem.value(problem.at))
    assert all(after < before for before, after in pairwise(losses))
    assert losses[-1] < 1e-10 * losses[0]


def test_lbfgs_gets_plain_parameters():
    """It refuses groups, and torch has no decay for it: the YAML has no such key."""
    net = network()
    net[0].weight.requires_grad_(False)
    (group,) = build("lbfgs", net).param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in net.parameters() if p.requires_grad]
    assert "weight_decay" not in settings_of("lbfgs")
