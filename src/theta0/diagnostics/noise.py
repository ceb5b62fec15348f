"""The gradient's noise against its size."""

import math

from torch import Tensor


def noise_scale(grads: Tensor, rows: int) -> float:
    """B = tr Σ/‖G‖², the batch size at which the gradient's noise is as large as the gradient.

    Σ is the covariance of one row's gradient and G its mean (McCandlish et al. 2018, "An empirical
    model of large-batch training", eq. 2.9). Both are estimated without bias from the gradients
    g_j of k parts of a batch: with S = Σ_j ‖g_j − ḡ‖²/(k − 1), tr Σ = rows·S and ‖G‖² = ‖ḡ‖² − S/k.
    Infinite where that is not positive, since all that is seen is noise; nan where all is 0.

    Args:
        grads: [k, numbers], the mean gradient over each of k >= 2 parts.
        rows: in a part.
    """
    mean = grads.mean(0)
    variance = ((grads - mean).square().sum() / (len(grads) - 1)).item()
    signal = mean.square().sum().item() - variance / len(grads)
    if signal > 0:
        return rows * variance / signal
    return math.inf if variance > 0 else math.nan
