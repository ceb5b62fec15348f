"""Images from OpenML: another road to MNIST where torchvision's mirrors are out of reach."""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from theta0.data.source import Arrays, Source


@dataclass(frozen=True)
class OpenML(Source):
    """A data set of square grey images on OpenML, its last rows being the test set.

    Images are uint8 `[N, 1, side, side]`. The first 60,000 rows of `mnist_784` are MNIST's training
    set and the last 10,000 its test set, in MNIST's own order.

    Args:
        root: the folder that keeps the download, under `openml/`.
        name: the data set's name on OpenML.
        version: its version there.
        test_samples: how many of the last rows are the test set.

    Raises:
        FileNotFoundError: if the data set is neither in `root` nor to be downloaded.
        ValueError: if its rows are not square images of 0 to 255, or are fewer than `test_samples`.

    Source: https://www.openml.org/d/554
    """

    root: str
    name: str = "mnist_784"
    version: int = 1
    test_samples: int = 10_000

    def prepare(self) -> None:
        from filelock import FileLock

        try:
            Path(self.root).mkdir(parents=True, exist_ok=True)
            with FileLock(Path(self.root) / ".openml.lock"):
                _fetch(self.root, self.name, self.version)
        except PermissionError:  # a folder that we may not write to can still hold the data
            _fetch(self.root, self.name, self.version)

    def load(self) -> Arrays:
        x, y = _fetch(self.root, self.name, self.version)
        split = len(y) - self.test_samples
        if split <= 0:
            raise ValueError(
                f"data.samples.test={self.test_samples}, but the data has {len(y)} rows"
            )
        return Arrays(x[:split], y[:split], x[split:], y[split:], scale=255)


@lru_cache(maxsize=1)  # `prepare` and `load` share one parse of the text file
def _fetch(root: str, name: str, version: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import fetch_openml

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one a retry
            table = fetch_openml(name=name, version=version, as_frame=False, data_home=root)
    except OSError as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileNotFoundError(
            f"OpenML's {name} (version {version}) is not in {Path(root) / 'openml'} "
            f"and its download failed ({reason}); data=mnist5k needs no download"
        ) from None
    pixels = np.asarray(table.data)
    side = int(np.sqrt(pixels.shape[1]))
    x = pixels.astype(np.uint8)
    if side * side != pixels.shape[1] or not np.array_equal(x, pixels):
        raise ValueError(
            f"OpenML's {name} (version {version}): rows are not square images of 0..255"
        )
    return x.reshape(-1, 1, side, side), np.asarray(table.target).astype(np.int64)
