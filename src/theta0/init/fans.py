"""The geometry of a layer: its fans, and its weight as a map from inputs to outputs."""

import itertools
import math
from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

WEIGHTED = (nn.Linear, _ConvNd, nn.Embedding)
"""The layers that have fans: Linear, Conv1d to 3d, ConvTranspose1d to 3d, Embedding."""


def fans(layer: nn.Module) -> tuple[float, float]:
    """(fan_in, fan_out): how many products a unit sums, and how many sums one input enters.

    They come from the layer, never from a tensor's shape: in the weights [K, out, in] of K stacked
    networks, for one, nothing says that the first dimension is no fan.

    - Linear: in_features, out_features.
    - Conv and ConvTranspose: channels a group · kernel size, in and out. Torch reads fans off the
      weight's shape instead, which swaps the two for ConvTranspose (its weight is [in, out/groups,
      ...]) and counts the outputs of all groups. A Conv's stride is left out, as in He et al. 2015.
      A ConvTranspose of stride s spreads its kernel over s positions a dimension, so an output sums
      kernel size / s products a channel: exactly where s divides the kernel, else on average.
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
        fan_in: float = channels_in * kernel
        if layer.transposed and (stride := math.prod(layer.stride)) > 1:
            fan_in /= stride
        return fan_in, channels_out * kernel
    if isinstance(layer, nn.Embedding):
        return 1, layer.embedding_dim
    raise TypeError(f"{type(layer).__name__} has no fans: it is not Linear, Conv or Embedding")


def maps(weight: Tensor, layer: nn.Module) -> Tensor:
    """The values of `layer.weight` as a view [groups, outputs, inputs, *kernel] of them.

    Outputs and inputs are a group's channels for Conv and ConvTranspose. Linear is [1, out, in]. An
    Embedding maps one-hot rows: [1, embedding_dim, num_embeddings].

    Raises:
        TypeError: the layer is none of these.
    """
    if isinstance(layer, nn.Linear):
        return weight.unsqueeze(0)
    if isinstance(layer, _ConvNd):
        grouped = weight.unflatten(0, (layer.groups, -1))
        return grouped.transpose(1, 2) if layer.transposed else grouped
    if isinstance(layer, nn.Embedding):
        return weight.T.unsqueeze(0)
    raise TypeError(f"{type(layer).__name__} is no map: it is not Linear, Conv or Embedding")


def phases(kernels: Tensor, layer: nn.Module) -> Iterator[Tensor]:
    """The maps that `kernels` [groups, outputs, inputs, *kernel] consist of, as views of it.

    An output of a ConvTranspose of stride s sees every s-th entry of the kernel alone, so the
    kernel is as many maps [groups, outputs, inputs, *entries] as there are places to start from.
    Any other layer has one map, the whole.
    """
    if not (isinstance(layer, _ConvNd) and layer.transposed):
        yield kernels
        return
    steps = [s // math.gcd(s, d) for s, d in zip(layer.stride, layer.dilation, strict=True)]
    starts = (range(min(n, s)) for n, s in zip(layer.kernel_size, steps, strict=True))
    for start in itertools.product(*starts):
        phase = kernels
        for dimension, (first, step) in enumerate(zip(start, steps, strict=True), start=3):
            phase = phase[(slice(None),) * dimension + (slice(first, None, step),)]
        yield phase


def centre(maps: Tensor) -> Tensor:
    """The view [groups, outputs, inputs] of `maps` at the kernel's centre.

    Of an even kernel the centre is the entry before the middle, which `padding="same"` puts on the
    input at the output's own place.
    """
    for size in maps.shape[3:]:
        maps = maps.select(3, (size - 1) // 2)
    return maps
