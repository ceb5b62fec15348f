"""Training batches made new each time they are seen: `(x, y) -> (x, y)`.

Every draw is from torch's global CPU generator, a run's noise stream, and then moves to the batch's
device. torchvision's transforms (`torchvision.transforms.v2`) can be called likewise, but draw once
a batch: one angle for all its images. `PerSample` makes them draw for each.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2


@dataclass(kw_only=True)
class PerSample:
    """Any transform of one image, for each image of a batch by itself.

    Row by row, at 10 to 100 µs an image: `Affine` does shifts and rotations of a batch at once.

    Args:
        transform: maps an image [C, H, W] to another; all of them to one shape.
    """

    transform: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """x [n, C, H, W], y [n, ...]. Raises ValueError where x holds no images."""
        _require_images("PerSample", x)
        return torch.stack([self.transform(image) for image in x]), y


@dataclass(kw_only=True)
class Affine:
    """Each image turned and shifted by its own draw; what comes in from outside repeats the border.

    (torchvision fills with a constant, but what is black depends on the normalisation.)

    Args:
        degrees: the angle is U(−degrees, degrees).
        shift: the offset is U(−shift, shift) of the width, and of the height, in whole pixels.
    """

    degrees: float = 0.0
    shift: float = 0.0

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """x [n, C, H, W], y [n, ...]. Raises ValueError where x holds no images."""
        _require_images("Affine", x)
        n, _, height, width = x.shape
        size = torch.tensor([width, height])
        angle = torch.empty(n).uniform_(-1, 1) * math.radians(self.degrees)
        offset = (torch.empty(n, 2).uniform_(-1, 1) * self.shift * size).round() * 2 / size
        cos, sin = angle.cos(), angle.sin()
        # Where each pixel comes from, in coordinates from −1 to 1 along either side.
        ratio = height / width
        rows = torch.stack([cos, -sin * ratio, offset[:, 0], sin / ratio, cos, offset[:, 1]], dim=1)
        matrices = rows.view(n, 2, 3).to(x)
        grid = functional.affine_grid(matrices, list(x.shape), align_corners=False)
        return functional.grid_sample(x, grid, padding_mode="border", align_corners=False), y


@dataclass(kw_only=True)
class GaussianNoise:
    """x + σε, ε ~ N(0, I): for small σ a penalty on the gradient by the input (Bishop 1995).

    Args:
        std: σ, in units of the normalised input. Nothing is cut off at the data's bounds.
    """

    std: float

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """x [n, ...], y [n, ...]."""
        return x + self.std * torch.randn(x.shape).to(x), y


@dataclass(kw_only=True)
class MixUp:
    """x̃ = λx + (1−λ)x', ỹ = λy + (1−λ)y', λ ~ Beta(α, α) (Zhang et al. 2018, section 2).

    One λ a batch, and x' the row before x, as in torchvision; the authors' code takes a random
    permutation of the batch, which comes to the same as batches are shuffled.

    Args:
        alpha: α; near 0 rows stay as they are, at 1 every λ is as likely.
        num_classes: labels become distributions over so many classes; None for regression.
    """

    alpha: float
    num_classes: int | None

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """x [n, ...]; y [n] labels -> [n, num_classes], or [n, ...] targets as they are."""
        share = float(torch.distributions.Beta(self.alpha, self.alpha).sample())
        y = _distributions(y, self.num_classes, x.dtype)
        return share * x + (1 - share) * x.roll(1, 0), share * y + (1 - share) * y.roll(1, 0)


@dataclass(kw_only=True)
class CutMix:
    """A rectangle of each image comes from another, and that share of its label (Yun et al. 2019).

    torchvision's own, for which one rectangle a batch is drawn: of 1 − λ of the area, λ ~
    Beta(α, α), before it is cut at the border.

    Args:
        alpha: α; the paper's is 1, at which every λ is as likely.
        num_classes: labels become distributions over so many classes.
    """

    alpha: float
    num_classes: int

    def __post_init__(self) -> None:
        self._cutmix = v2.CutMix(alpha=self.alpha)

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """x [n, C, H, W]; y [n] labels -> [n, num_classes]. Raises ValueError for no images."""
        _require_images("CutMix", x)
        mixed: tuple[Tensor, Tensor] = self._cutmix(x, _distributions(y, self.num_classes, x.dtype))
        return mixed


def _distributions(y: Tensor, num_classes: int | None, dtype: torch.dtype) -> Tensor:
    """Labels [n] as one-hot rows [n, num_classes]; what is no labels as it is."""
    if y.is_floating_point():
        return y
    if num_classes is None:
        raise ValueError("mixing labels needs num_classes")
    return functional.one_hot(y, num_classes).to(dtype)


def _require_images(name: str, x: Tensor) -> None:
    if x.ndim != 4:
        raise ValueError(f"{name} needs images [n, C, H, W], but the inputs are {list(x.shape)}")
