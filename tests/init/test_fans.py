import pytest
import torch
from torch import nn

from theta0.init import fans
from theta0.init.fans import centre, maps


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Linear(7, 3), (7, 3)),
        (nn.Conv1d(4, 6, 5), (20, 30)),
        (nn.Conv2d(4, 6, (3, 5)), (60, 90)),
        (nn.Conv3d(2, 3, 2), (16, 24)),
        (nn.Conv2d(8, 16, 3, groups=4), (18, 36)),
        (nn.Conv2d(8, 8, 3, groups=8), (9, 9)),
        (nn.ConvTranspose1d(4, 6, 5), (20, 30)),
        (nn.ConvTranspose2d(8, 16, 3, groups=2), (36, 72)),
        (nn.ConvTranspose3d(2, 3, 2), (16, 24)),
        (nn.Embedding(100, 16), (1, 16)),
    ],
)
def test_fans(layer, expected):
    assert fans(layer) == expected


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(8, 4, 3, groups=2), nn.ConvTranspose2d(8, 4, 3, groups=2)]
)
def test_fan_in_is_the_number_of_terms_in_one_output(layer):
    """With weights and inputs 1, an output away from the border counts its own terms."""
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    out = layer(torch.ones(1, 8, 9, 9))
    assert out[0, :, 4, 4].tolist() == [fans(layer)[0]] * 4


def test_a_layer_without_fans():
    with pytest.raises(TypeError, match="BatchNorm1d has no fans"):
        fans(nn.BatchNorm1d(3))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(7, 3), (1, 3, 7)),
        (nn.Conv2d(4, 6, (3, 5)), (1, 6, 4, 3, 5)),
        (nn.Conv1d(8, 12, 3, groups=4), (4, 3, 2, 3)),
        (nn.ConvTranspose1d(8, 12, 3, groups=4), (4, 3, 2, 3)),
        (nn.Embedding(9, 5), (1, 5, 9)),
    ],
)
def test_maps(layer, shape):
    """maps[g, o, i] takes the group's input i to its output o: tried on every input."""
    weight = layer.weight.detach().clone()
    view = maps(weight, layer)
    assert view.shape == shape
    groups, outputs, inputs = shape[:3]
    for g in range(groups):
        for i in range(inputs):
            if isinstance(layer, nn.Embedding):
                out = layer(torch.tensor(i))
            else:  # ones in one channel
                x = torch.zeros(1, groups * inputs, *(9,) * (len(shape) - 3))
                x[0, g * inputs + i].fill_(1.0)
                layer.bias.data.zero_()
                out = layer(x).view(groups * outputs, -1)
                out = out[:, out.shape[1] // 2]  # away from the border: the kernel's sum
            expected = torch.zeros(groups, outputs)
            expected[g] = view[g, :, i].reshape(outputs, -1).sum(1)
            torch.testing.assert_close(out.detach(), expected.flatten(), rtol=1e-5, atol=1e-6)
    view.zero_()
    assert not weight.any()  # a view


def test_centre():
    kernels = torch.arange(2 * 3 * 5 * 3 * 4).view(2, 3, 5, 3, 4)
    assert torch.equal(centre(kernels), kernels[..., 1, 1])
    assert torch.equal(centre(kernels[..., 0, 0]), kernels[..., 0, 0])
