"""Singular values of layer Jacobians against those of the matrices they are."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from theta0.diagnostics import jacobian_singular_values
from theta0.diagnostics.jacobian import MAX_SIZE, ROWS
from theta0.models.residual import Residual


def inputs(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(found, expected):
    torch.testing.assert_close(found, expected.expand_as(found), rtol=1e-4, atol=1e-5)


def test_a_linear_layer_s_are_its_weight_s():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))
    found = jacobian_singular_values(network, inputs(20, 5))
    assert found.keys() == {"0", "1"}
    assert found["0"].shape == (ROWS, 4)
    close(found["0"], torch.linalg.svdvals(network[0].weight.detach()))
    close(found["1"], torch.linalg.svdvals(network[1].weight.detach()))


def test_an_activation_is_in_it_and_dropout_is_off():
    """∂φ(Wx)/∂x = diag(φ′(Wx))·W, row by row."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 2))
    x = inputs(20, 5)
    found = jacobian_singular_values(network, x)["0"]
    slopes = 1 - torch.tanh(network[0](x[:ROWS])).square()
    expected = torch.linalg.svdvals(slopes[:, :, None] * network[0].weight)
    torch.testing.assert_close(found, expected.detach())


def test_a_skip_connection_is_in_it():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 4), Residual(nn.Linear(4, 4)), nn.Linear(4, 2))
    found = jacobian_singular_values(network, inputs(20, 4))
    close(found["1.0"], torch.linalg.svdvals(torch.eye(4) + network[1][0].weight.detach()))


def test_batch_norm_has_the_batch_s_statistics_as_constants():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    x = inputs(50, 5)
    scale = (network[0](x).var(0) + 1e-5).rsqrt()  # running statistics have the unbiased variance
    found = jacobian_singular_values(network, x)["0"]
    close(found, torch.linalg.svdvals((scale[:, None] * network[0].weight).detach()))
    assert network[1].momentum == 0.1


def test_a_convolution():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(27, 4)
    )
    x = inputs(10, 2, 5, 5)
    found = jacobian_singular_values(network, x)["0"]
    jacobians = torch.func.vmap(torch.func.jacrev(lambda x: network[0](x).relu().flatten()))(
        x[:ROWS]
    )
    expected = torch.linalg.svdvals(jacobians.detach().flatten(2))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_orthogonal_maps_are_isometries():
    network = nn.Sequential(*(nn.Linear(32, 32) for _ in range(5)))
    for layer in network:
        nn.init.orthogonal_(layer.weight)
    for values in jacobian_singular_values(network, inputs(10, 32)).values():
        torch.testing.assert_close(values, torch.ones_like(values))


def test_large_layers_and_inputs_without_a_derivative_are_left_out():
    sizes = pairwise([3, MAX_SIZE, MAX_SIZE + 1, 2])
    network = nn.Sequential(*(nn.Linear(*size) for size in sizes))
    assert jacobian_singular_values(network, inputs(8, 3)).keys() == {"0"}
    words = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(8, 2))
    assert jacobian_singular_values(words, torch.randint(9, (8, 2))).keys() == {"2"}


@pytest.mark.parametrize("rows", [1, 3])
def test_fewer_rows(rows):
    assert jacobian_singular_values(nn.Linear(5, 4), inputs(rows, 5))[""].shape == (rows, 4)


def test_half_precision():
    torch.manual_seed(0)
    layer = nn.Linear(5, 4).bfloat16()
    found = jacobian_singular_values(layer, inputs(10, 5).bfloat16())[""]
    close(found, torch.linalg.svdvals(layer.weight.detach().float()))
