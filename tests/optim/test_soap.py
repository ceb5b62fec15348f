"""SOAP, the library's: the paper's update written in NumPy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import get_object
from omegaconf import OmegaConf
from torch import nn

from theta0.optim import build_optimizer

FILE = Path(__file__).parents[2] / "configs" / "optimizer" / "soap.yaml"
STEPS = 10


def settings() -> dict:
    return OmegaConf.to_container(OmegaConf.load(FILE))["optimizer"]


def eigenbasis(A):
    return np.linalg.eigh(A)[1][:, ::-1]


def into(x, Q):
    return Q[0].T @ x @ Q[1] if Q else x


def out_of(x, Q):
    return Q[0] @ x @ Q[1].T if Q else x


def refreshed(A, Q, order):
    """One power iteration, then a QR, which the library does in float32."""
    return np.linalg.qr((A @ Q)[:, order].astype(np.float32))[0].astype(np.float64)


def soap(
    θ,
    gradients,
    lr,
    betas,
    shampoo_beta,
    precondition_frequency,
    max_precondition_dim,
    merge_dims,
    precondition_1d,
    correct_bias,
    normalize_gradient,
    eps,
    weight_decay,
):
    """Vyas 2024, algorithm 3, for a matrix; a vector's bases are the identity."""
    assert not (merge_dims or precondition_1d or normalize_gradient)
    β = betas[1] if shampoo_beta is None else shampoo_beta
    matrix = θ.ndim == 2
    g = gradients[0]  # sets the bases, and moves nothing
    sides = [(1 - β) * g @ g.T, (1 - β) * g.T @ g] if matrix else []
    Q = [eigenbasis(A) for A in sides]
    m = v = np.zeros_like(θ)
    for t, g in enumerate(gradients[1:], start=1):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * into(g, Q) ** 2
        rate = lr * np.sqrt(1 - betas[1] ** t) / (1 - betas[0] ** t) if correct_bias else lr
        θ = (1 - lr * weight_decay) * (θ - rate * out_of(into(m, Q) / (np.sqrt(v) + eps), Q))
        if matrix:
            sides = [β * sides[0] + (1 - β) * g @ g.T, β * sides[1] + (1 - β) * g.T @ g]
            if t % precondition_frequency == 0:
                orders = [np.argsort(-np.sum(Q[i] * (sides[i] @ Q[i]), axis=0)) for i in (0, 1)]
                Q = [refreshed(sides[i], Q[i], orders[i]) for i in (0, 1)]
                v = v[np.ix_(*orders)]
    return θ


def difference(**changes) -> float:
    """The largest, of any parameter after STEPS steps in float64, between NumPy and the library.

    Matrices are square, and their gradients of full rank: an eigenbasis is then unique but for
    signs, which cancel.
    """
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).double()
    rng = np.random.default_rng(1)
    gradients = [[rng.normal(size=tuple(p.shape)) for _ in range(STEPS)] for p in net.parameters()]
    told = settings() | changes
    factory = get_object(told.pop("_target_"))
    optimizer = build_optimizer(factory, net, **told)
    everywhere = told.pop("decay_bias_and_norm")
    expected = [
        soap(
            p.detach().numpy().copy(),
            g,
            **told | ({} if everywhere or p.ndim > 1 else {"weight_decay": 0.0}),
        )
        for p, g in zip(net.parameters(), gradients, strict=True)
    ]
    for t in range(STEPS):
        for p, g in zip(net.parameters(), gradients, strict=True):
            p.grad = torch.from_numpy(g[t].copy())
        before = [p.detach().clone() for p in net.parameters()]
        optimizer.step()
        still = all(torch.equal(p, b) for p, b in zip(net.parameters(), before, strict=True))
        assert still == (t == 0)
    pairs = zip(net.parameters(), expected, strict=True)
    return max(np.abs(p.detach().numpy() - θ).max() for p, θ in pairs)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"weight_decay": 0.3},
        {"weight_decay": 0.3, "decay_bias_and_norm": True},
        {"weight_decay": 0.0, "betas": [0.9, 0.99], "shampoo_beta": 0.5, "eps": 1e-3},
        {"correct_bias": False},
    ],
)
def test_trajectory(changes):
    assert difference(**changes) < 1e-10


@pytest.mark.parametrize("frequency", [1, 3])
def test_trajectory_with_bases_that_are_refreshed(frequency):
    """To float32's precision, in which the library does its QR whatever the parameters' type."""
    assert difference(precondition_frequency=frequency) < 1e-6
