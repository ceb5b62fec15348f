"""ResidualMLP: its branches against NumPy, its sizes, and where its scalars stand."""

import numpy as np
import pytest
import torch
from torch import nn

from theta0.models import ACTIVATIONS, Residual, ResidualMLP, Scale, Shift

BRANCHES = ("plain", "scaled", "fixup")


def filled(**arguments):
    """A network none of whose parameters is 0 or 1."""
    net = ResidualMLP(5, 3, width=4, blocks=2, **arguments).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        parameter.data.normal_(generator=generator)
    return net


@pytest.mark.parametrize("branch", BRANCHES)
def test_forward_is_the_formula(branch):
    net = filled(branch=branch, activation="tanh")
    values = iter([p.detach().numpy() for p in net.parameters()])
    x = np.random.default_rng(0).normal(size=(7, 5))
    h = x @ next(values).T + next(values)
    for _ in range(2):
        f = h
        for _ in range(2):
            if branch == "fixup":
                f = np.tanh(f + next(values)) + next(values)
                f = f @ next(values).T
            else:
                f = np.tanh(f) @ next(values).T + next(values)
        h = h + (f if branch == "plain" else next(values) * f)
    expected = h @ next(values).T + next(values)
    assert next(values, None) is None
    np.testing.assert_allclose(net(torch.from_numpy(x)).detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("blocks", "layers"), [(1, 1), (4, 2), (3, 5)])
def test_shape_and_count(branch, bias, blocks, layers):
    net = ResidualMLP(
        12, 3, width=8, blocks=blocks, layers_per_block=layers, branch=branch, bias=bias
    )
    assert net(torch.zeros(6, 3, 2, 2)).shape == (6, 3)
    ends = 12 * 8 + 8 * 3 + bias * (8 + 3)
    inner_bias = {"plain": bias * 8, "scaled": bias * 8, "fixup": 2}[branch]
    scale = branch != "plain"
    expected = ends + blocks * (layers * (8 * 8 + inner_bias) + scale)
    assert sum(p.numel() for p in net.parameters()) == expected
    assert sum(isinstance(m, Residual) for m in net.modules()) == blocks


def test_order_of_the_modules():
    def kinds(**arguments):
        return [type(m) for m in ResidualMLP(5, 3, layers_per_block=1, **arguments).blocks[0]]

    norm, phi, drop, linear = nn.LayerNorm, nn.ReLU, nn.Dropout, nn.Linear
    assert kinds() == [phi, linear]
    assert kinds(norm="layer", dropout=0.1) == [norm, phi, drop, linear]
    assert kinds(activation="identity") == [linear]
    assert kinds(branch="scaled") == [phi, linear, Scale]
    assert kinds(branch="fixup") == [Shift, phi, Shift, linear, Scale]
    assert kinds(branch="fixup", activation="identity") == [Shift, linear, Scale]
    full = [norm, Shift, phi, drop, Shift, linear, Scale]
    assert kinds(branch="fixup", norm="layer", dropout=0.1) == full


def test_scalars_before_training():
    """ReZero's α is 0, so its branches are; Fixup's scalars change nothing."""
    scaled, fixup = ResidualMLP(5, 3, branch="scaled"), ResidualMLP(5, 3, branch="fixup")
    x = torch.randn(7, 128)
    assert torch.equal(scaled.blocks(x), x)
    bare = nn.Sequential(
        *(
            Residual(*(m for m in block if not isinstance(m, Shift | Scale)))
            for block in fixup.blocks
        )
    )
    assert torch.equal(fixup.blocks(x), bare(x))
    scalars = [m for m in [*scaled.modules(), *fixup.modules()] if isinstance(m, Shift | Scale)]
    assert all(p.shape == (1,) for m in scalars for p in m.parameters())


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    block, phi = filled(activation=name).blocks[0], ACTIVATIONS[name]()
    x = torch.randn(7, 4, dtype=torch.float64)
    w1, b1, w2, b2 = block.parameters()
    torch.testing.assert_close(block(x), x + phi(phi(x) @ w1.T + b1) @ w2.T + b2)


def test_weight_norm_reaches_every_linear_map():
    net = ResidualMLP(5, 3, norm="weight")
    maps = [m for m in net.modules() if isinstance(m, nn.Linear)]
    assert len(maps) == 10
    assert all(hasattr(m, "parametrizations") for m in maps)


@pytest.mark.parametrize("branch", BRANCHES)
def test_vmap_over_stacked_networks_equals_each_alone(branch):
    nets = [filled(branch=branch) for _ in range(3)]
    params, buffers = torch.func.stack_module_state(nets)
    x = torch.randn(3, 8, 5, dtype=torch.float64)
    stacked = torch.vmap(lambda p, b, x: torch.func.functional_call(nets[0], (p, b), (x,)))(
        params, buffers, x
    )
    alone = torch.stack([net(batch) for net, batch in zip(nets, x, strict=True)])
    torch.testing.assert_close(stacked, alone)


@pytest.mark.parametrize("branch", BRANCHES)
def test_compiles_without_a_graph_break(branch):
    net = filled(branch=branch)
    x = torch.randn(8, 5, dtype=torch.float64)
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), net(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"branch": "rezero"}, "branch='rezero': allowed are plain, scaled, fixup"),
        ({"norm": "group"}, "norm='group': allowed are none, batch, layer, rms, weight"),
        ({"activation": "rleu"}, "activation='rleu': allowed are relu, "),
        ({"dropout": 1.0}, "dropout=1.0: "),
        ({"blocks": 0}, "sizes [4, 128, 0, 2, 3]: "),
        ({"layers_per_block": 0}, "sizes [4, 128, 4, 0, 3]: "),
    ],
)
def test_errors_are_one_line(arguments, message):
    with pytest.raises(ValueError) as error:
        ResidualMLP(4, 3, **arguments)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
