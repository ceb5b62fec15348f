import pytest
import torch
from torch import nn

from theta0.init import fans


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
