"""Muon: which parameter goes to which rule, both rules against NumPy, and Newton–Schulz's range."""

import numpy as np
import pytest
import torch
from torch import nn

from theta0.models import MLP
from theta0.optim import Muon, build_optimizer, newton_schulz
from theta0.optim.muon import hidden_matrices

STEPS = 10
SETTINGS = {
    "lr": 0.02,
    "momentum": 0.95,
    "nesterov": True,
    "newton_schulz_steps": 5,
    "newton_schulz_dtype": "parameter",
    "adjust": "original",
    "weight_decay": 0.01,
    "adamw_lr": 0.003,
    "adamw_betas": [0.9, 0.95],
    "adamw_eps": 1e-10,
    "adamw_weight_decay": 0.02,
    "decay_bias_and_norm": False,
}


def network() -> nn.Sequential:
    """Hidden: a tall matrix, a wide one and a convolution's kernel, as they stand in the order."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(3, 4),
        nn.LayerNorm(4),
        nn.Linear(4, 7),
        nn.Linear(7, 5),
        nn.Conv2d(2, 3, 3),
        nn.Linear(5, 2),
    ).double()


HIDDEN = {"2.weight", "3.weight", "4.weight"}

# -------------------------------------------------------------------------------- Newton–Schulz


def numpy_newton_schulz(G, steps=5):
    X = G / (np.linalg.norm(G) + 1e-7)
    for _ in range(steps):
        A = X @ X.T
        X = 3.4445 * X - 4.7750 * A @ X + 2.0315 * A @ A @ X
    return X


@pytest.mark.parametrize("shape", [(8, 8), (20, 6), (6, 20), (1, 5)])
def test_newton_schulz_keeps_the_singular_vectors_and_brings_their_values_to_about_1(shape):
    G = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    U, S, Vt = torch.linalg.svd(G, full_matrices=False)
    S = S.clamp_min(0.05 * S.max())
    got = U.T @ newton_schulz(U @ torch.diag(S) @ Vt, dtype=torch.float64) @ Vt.T
    values = torch.diagonal(got)
    assert (got - torch.diag(values)).abs().max() < 1e-12
    assert values.min() > 0.68 and values.max() < 1.21


def test_newton_schulz_takes_any_size_and_leaves_its_input_alone():
    G = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    before = G.clone()
    small, large = (newton_schulz(size * G, dtype=torch.float64) for size in (1e-3, 1e3))
    # ε of 1e-7 beside a norm of 5e-3, times the polynomial's slope: entries near 0 stay near it.
    torch.testing.assert_close(small, large, rtol=0, atol=1e-3)
    assert torch.equal(G, before)
    assert not newton_schulz(torch.zeros(3, 4)).any()


def test_newton_schulz_in_bfloat16_has_its_precision_and_returns_the_inputs_type():
    G = torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
    rough, exact = newton_schulz(G), newton_schulz(G, dtype=torch.float32)
    assert rough.dtype == torch.float32
    assert 1e-4 < (rough - exact).norm() / exact.norm() < 1e-1
    assert torch.equal(rough, rough.bfloat16().float())


# ------------------------------------------------------------------------------------- the groups


def rules(optimizer, net) -> dict[str, tuple[str, float, float]]:
    """By a parameter's name (rule, rate, decay)."""
    names = {id(p): name for name, p in net.named_parameters()}
    return {
        names[id(p)]: (group["rule"], group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }


@pytest.mark.parametrize("everywhere", [False, True])
def test_who_is_stepped_by_what(everywhere):
    net = network()
    optimizer = build_optimizer(Muon, net, **SETTINGS | {"decay_bias_and_norm": everywhere})
    expected = {
        name: ("muon", 0.02, 0.01)
        if name in HIDDEN
        else ("adamw", 0.003, 0.02 if everywhere or name in ("0.weight", "5.weight") else 0.0)
        for name, _ in net.named_parameters()
    }
    assert rules(optimizer, net) == expected
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(expected)


def test_embeddings_and_frozen_matrices_are_not_muons():
    net = nn.Sequential(
        nn.Embedding(9, 4), nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
    )
    net[2].requires_grad_(False)
    assert [id(p) for p in hidden_matrices(net)] == [id(net[3].weight)]
    optimizer = Muon(net)
    assert rules(optimizer, net)["1.weight"][0] == "adamw"
    assert not any(name.startswith("2.") for name in rules(optimizer, net))


def test_of_a_weight_normed_layer_the_directions_are_a_matrix_and_the_lengths_are_none():
    net = MLP(5, 2, widths=(4, 4), norm="weight")
    (hidden,) = hidden_matrices(net)
    assert hidden is net.hidden[2].parametrizations.weight.original1


def test_a_first_layer_that_is_also_the_last_ends_the_network_twice():
    net = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 9))
    net[3].weight = net[0].weight
    net[2].weight = net[1].weight
    assert [id(p) for p in hidden_matrices(net)] == [id(net[1].weight)]


@pytest.mark.parametrize("net", [MLP(5, 2, widths=()), MLP(5, 2, widths=(4,))])
def test_a_network_without_hidden_matrices_is_refused(net):
    with pytest.raises(ValueError, match=r"between a network's first and last"):
        Muon(net)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lr": 0.0}, "lr=0.0: must be greater than 0"),
        ({"adamw_lr": -1.0}, "lr=-1.0: must be greater than 0"),
        ({"momentum": 1.0}, r"momentum=1.0: must be in \[0, 1\)"),
        ({"adamw_betas": [0.9]}, "two numbers"),
        ({"newton_schulz_dtype": "float16"}, "must be bfloat16 or parameter"),
        ({"adjust": "spectral"}, "must be original or match_rms_adamw"),
    ],
)
def test_wrong_settings_are_one_line(changes, words):
    with pytest.raises(ValueError, match=words) as error:
        Muon(network(), **SETTINGS | changes)
    assert "\n" not in str(error.value)


# ------------------------------------------------------------------------------------ trajectories


def muon(θ, gradients, lr, momentum, nesterov, newton_schulz_steps, adjust, weight_decay):
    rows, columns = len(θ), θ[0].size
    adjusted = {
        "original": np.sqrt(max(1, rows / columns)),
        "match_rms_adamw": 0.2 * np.sqrt(max(rows, columns)),
    }[adjust]
    b = 0
    for g in gradients:
        b = momentum * b + (1 - momentum) * g
        ahead = (1 - momentum) * g + momentum * b if nesterov else b
        O = numpy_newton_schulz(ahead.reshape(rows, columns), newton_schulz_steps)  # noqa: E741
        θ = (1 - lr * weight_decay) * θ - lr * adjusted * O.reshape(θ.shape)
    return θ


def adamw(θ, gradients, lr, betas, eps, weight_decay):
    m = v = 0
    for t, g in enumerate(gradients, start=1):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        θ = (1 - lr * weight_decay) * θ - lr * m_hat / (np.sqrt(v_hat) + eps)
    return θ


def gradients_for(net) -> dict[str, list[np.ndarray]]:
    rng = np.random.default_rng(1)
    return {
        name: [rng.normal(size=tuple(p.shape)) for _ in range(STEPS)]
        for name, p in net.named_parameters()
    }


def ends(net, **settings) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(θ by NumPy, θ by the optimizer) after STEPS steps."""
    gradients = gradients_for(net)
    ours = {key: settings[key] for key in inspect_names(muon)}
    theirs = {key: settings[f"adamw_{key}"] for key in inspect_names(adamw)}
    expected = {}
    for name, p in net.named_parameters():
        θ = p.detach().numpy().copy()
        if name in HIDDEN:
            expected[name] = muon(θ, gradients[name], **ours)
        else:
            spared = {} if p.ndim > 1 else {"weight_decay": 0.0}
            expected[name] = adamw(θ, gradients[name], **theirs | spared)
    optimizer = build_optimizer(Muon, net, **settings)
    for t in range(STEPS):
        for name, p in net.named_parameters():
            p.grad = torch.from_numpy(gradients[name][t].copy())
        optimizer.step()
    return expected, {name: p.detach().numpy() for name, p in net.named_parameters()}


def inspect_names(reference) -> list[str]:
    return list(reference.__code__.co_varnames[2 : reference.__code__.co_argcount])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"weight_decay": 0.3, "adamw_weight_decay": 0.2},
        {"weight_decay": 0.0, "adamw_weight_decay": 0.0},
        {"nesterov": False, "momentum": 0.8},
        {"adjust": "match_rms_adamw"},
        {"newton_schulz_steps": 3, "adamw_betas": [0.8, 0.99], "adamw_eps": 1e-3},
    ],
)
def test_trajectory_in_the_parameters_own_precision(changes):
    expected, got = ends(network(), **SETTINGS | changes)
    for name, θ in got.items():
        np.testing.assert_allclose(θ, expected[name], rtol=0, atol=1e-10, err_msg=name)


def test_trajectory_in_bfloat16():
    expected, got = ends(network(), **SETTINGS | {"newton_schulz_dtype": "bfloat16"})
    for name, θ in got.items():
        np.testing.assert_allclose(θ, expected[name], rtol=0, atol=1e-2, err_msg=name)
    assert any(np.abs(got[name] - expected[name]).max() > 1e-6 for name in HIDDEN)


@pytest.mark.parametrize("adjust", ["original", "match_rms_adamw"])
def test_hidden_matrices_go_as_torchs_own_muon_takes_them(adjust):
    ours, theirs = (nn.Sequential(*network()[:4], nn.Linear(5, 2).double()) for _ in range(2))
    matrices = [theirs[2].weight, theirs[3].weight]
    optimizers = (
        Muon(ours, lr=0.02, weight_decay=0.1, adjust=adjust),
        torch.optim.Muon(matrices, lr=0.02, weight_decay=0.1, adjust_lr_fn=adjust),
    )
    for _ in range(STEPS):
        for a, b in zip((ours[2].weight, ours[3].weight), matrices, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for a, b in zip((ours[2].weight, ours[3].weight), matrices, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-2)  # bfloat16, in another order


def test_a_schedule_scales_both_rates():
    net = network()
    optimizer = Muon(net)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.5**t)
    optimizer.step()
    schedule.step()
    assert {group["rule"]: group["lr"] for group in optimizer.param_groups} == {
        "muon": 0.01,
        "adamw": 0.0005,
    }
