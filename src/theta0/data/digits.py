"""Small handwritten digits that need no download."""

from dataclasses import dataclass

import numpy as np

from theta0.data.source import Arrays, Source
from theta0.data.split import split_rows


@dataclass(frozen=True)
class Digits(Source):
    """The 1,797 digits of 8×8 pixels, 0 to 16, that scikit-learn carries in its package.

    Images are uint8 `[N, 1, 8, 8]`. The test rows are the same share of every digit.

    Args:
        test_samples: how many rows are the test set.
        test_seed: draws the test rows; another one is another data set.

    Raises:
        ValueError: if there are fewer rows than `test_samples`.

    Source: https://archive.ics.uci.edu/dataset/80 (its test set)
    """

    test_samples: int = 360
    test_seed: int = 0

    def load(self) -> Arrays:
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        x, y = pixels.astype(np.uint8).reshape(-1, 1, 8, 8), labels.astype(np.int64)
        train, test = split_rows(len(y), self.test_samples, self.test_seed, labels=y)
        return Arrays(x[train], y[train], x[test], y[test], scale=16)
