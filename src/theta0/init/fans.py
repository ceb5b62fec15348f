"""Fans: how many products a unit sums, and how many sums one input enters."""

import math

from torch import nn
from torch.nn.modules.conv import _ConvNd

WEIGHTED = (nn.Linear, _ConvNd, nn.Embedding)
"""The layers that have fans: Linear, Conv1d to 3d, ConvTranspose1d to 3d, Embedding."""


def fans(layer: nn.Module) -> tuple[int, int]:
    """(fan_in, fan_out) of a layer, as its arithmetic has them.

    - Linear: in_features, out_features.
    - Conv and ConvTranspose: channels a group · kernel size, in and out. Torch reads fans off the
      weight's shape instead, which swaps the two for ConvTranspose (its weight is [in, out/groups,
      ...]) and counts the outputs of all groups. Strides are left out, as in He et al. 2015.
    - Embedding: 1, embedding_dim; a lookup is the product with a one-hot row, so one term a sum.

    Raises:
        TypeError: the layer is none of these.
    """
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    if isinstance(layer, _ConvNd):
        kernel = math.prod(layer.kernel_size)
        channels_in = layer.in_channels // layer.groups
        channels_out = layer.out_channels // layer.groups
        return channels_in * kernel, channels_out * kernel
    if isinstance(layer, nn.Embedding):
        return 1, layer.embedding_dim
    raise TypeError(f"{type(layer).__name__} has no fans: it is not Linear, Conv or Embedding")
