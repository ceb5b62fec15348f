import pytest
import torch
from torch import nn

from theta0.init import Orthogonal, VarianceScaling, fans
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
        (nn.ConvTranspose2d(8, 16, 4, stride=2), (32, 256)),
        (nn.ConvTranspose2d(8, 16, 3, stride=(2, 1), groups=2), (18, 72)),
        (nn.ConvTranspose1d(4, 6, 3, stride=2), (6, 18)),
        (nn.Conv2d(8, 16, 4, stride=2), (128, 256)),
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


@pytest.mark.parametrize("scheme", [VarianceScaling(), Orthogonal(gain=1.0)], ids=["he", "haar"])
@pytest.mark.parametrize(
    ("inputs", "outputs", "settings"),
    [
        (64, 64, {"kernel_size": 4, "stride": 2}),
        (64, 32, {"kernel_size": 3, "stride": 2}),
        (64, 48, {"kernel_size": 5, "stride": 3}),
        (96, 64, {"kernel_size": 2, "stride": 2}),
        (64, 32, {"kernel_size": 3, "stride": 1}),
        (32, 64, {"kernel_size": 3, "stride": 1}),
        (64, 64, {"kernel_size": 4, "stride": 2, "groups": 4}),
        (64, 64, {"kernel_size": 6, "stride": 3, "dilation": 2}),
    ],
    ids=str,
)
def test_a_transposed_convolution_keeps_the_second_moment(scheme, inputs, outputs, settings):
    """E[z²]/E[a²] away from the border: for white inputs the sum of an output's squared weights."""
    layer = nn.ConvTranspose2d(inputs, outputs, bias=False, **settings)
    scheme(layer, torch.Generator().manual_seed(0))
    layer.weight.data.square_()
    with torch.no_grad():
        z = layer(torch.ones(1, inputs, 16, 16))
    border = settings["kernel_size"] * settings.get("dilation", 1)
    size = (z.shape[-1] - 2 * border) // settings["stride"] * settings["stride"]  # whole periods
    interior = z[..., border : border + size, border : border + size]
    assert interior.mean().item() == pytest.approx(1.0, rel=0.02)


def test_each_phase_of_a_transposed_kernel_is_orthogonal():
    layer = nn.ConvTranspose2d(8, 6, 4, stride=2)
    (report, _) = Orthogonal(gain=1.0)(layer, torch.Generator().manual_seed(0))
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        phase = layer.weight.detach()[:, :, row::2, column::2].transpose(0, 1).flatten(1)
        torch.testing.assert_close(phase @ phase.T, torch.eye(6), atol=1e-5, rtol=0)
    assert report.asked_std == pytest.approx(1 / 32**0.5)
    assert layer.weight.square().mean().sqrt().item() == pytest.approx(report.asked_std, rel=1e-5)


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
