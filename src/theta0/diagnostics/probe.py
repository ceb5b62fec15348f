"""What a run's measurements look at: always the same rows, and what the run minimises."""

from typing import Any

import torch
from torch import Tensor

from theta0.diagnostics.statistics import Loss
from theta0.module import Module


def probe(data: Any, samples: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """The first `samples` training rows (x, y) in the first epoch's order; all if there are fewer.

    So neither the epoch nor the size of batches matters. (Of several processes each has its share
    of them.) They come on the device of `like`, and fractions in its dtype.
    """
    inputs, targets, rows = [], [], 0
    for batch in data.train_dataloader():
        inputs.append(batch[0])
        targets.append(batch[1])
        rows += len(batch[0])
        if rows >= samples:
            break

    def first(parts: list[Tensor]) -> Tensor:
        whole = torch.cat(parts)[:samples].to(like.device)
        return whole.to(like.dtype) if whole.is_floating_point() else whole

    return first(inputs), first(targets)


def training_loss(module: Module) -> Loss:
    """All terms of the module's loss, at inputs as they are: no augmentation and no attack."""
    return lambda output, target, x: module.loss(output, target, x, module.network)[0]
