"""What a data set's source promises: arrays as read, and where they were read from."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from theta0.data.finite import require_finite


@dataclass(frozen=True, eq=False)
class Arrays:
    """A data set as read from its source, neither scaled nor normalised. Not to be written to.

    Args:
        train_x: inputs `[N, *shape]`; images are uint8 `[N, C, H, W]`.
        train_y: int64 labels `[N]`, or float targets `[N, num_outputs]` for regression.
        test_x: like `train_x`.
        test_y: like `train_y`.
        scale: the largest value an input can take, so that `x / scale` lies in [0, 1]; 1 for none.
    """

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    scale: float = 1.0

    @cached_property
    def digest(self) -> str:
        """The sha256 of all arrays: their bytes, dtypes and shapes."""
        sha256 = hashlib.sha256()
        for array in (self.train_x, self.train_y, self.test_x, self.test_y):
            sha256.update(f"{array.dtype.str}{array.shape}".encode())
            sha256.update(np.ascontiguousarray(array).data)
        return sha256.hexdigest()


class Source(ABC):
    """Where a data set comes from: a frozen dataclass, so that equal ones share a load.

    Arguments are a configuration's plain values, lists and dictionaries among them.
    """

    @property
    def classes(self) -> Sequence[str] | None:
        """The classes' names, in the order of their labels; None where they have none."""
        return None

    def prepare(self) -> None:  # noqa: B027 (most sources have nothing to fetch)
        """Fetch the files that `load` reads, if they are missing; called on one process only."""

    @abstractmethod
    def load(self) -> Arrays:
        """Read the data set."""

    def files(self) -> tuple[Path, ...]:
        """The files that `load` reads; a change of one makes `load_cached` read them again."""
        return ()


def load_cached(source: Source) -> Arrays:
    """`source.load()`, remembered for this process's next run while its files stay the same.

    Raises:
        ValueError: with the first row and column that is NaN or infinite.
    """
    return _arrays((source, _versions(source)), lambda: _finite(source.load()))


def digest_of(source: Source) -> str:
    """`source.load().digest`, remembered likewise, and for more sources than their arrays are."""
    return _digests((source, _versions(source)), lambda: load_cached(source).digest)


def _finite(arrays: Arrays) -> Arrays:
    for rows in ("train", "test"):
        require_finite(f"inputs of the {rows} rows", getattr(arrays, f"{rows}_x"))
        require_finite(f"targets of the {rows} rows", getattr(arrays, f"{rows}_y"))
    return arrays


def _versions(source: Source) -> list[tuple[int, int]]:
    stats = [file.stat() for file in source.files() if file.exists()]
    return [(stat.st_mtime_ns, stat.st_size) for stat in stats]


class _Memory:
    """The values of the latest `most` keys, which are compared: one with a list has no hash."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.entries: list[tuple[Any, Any]] = []  # the latest first

    def __call__(self, key: Any, make: Callable[[], Any]) -> Any:
        for entry in self.entries:
            if entry[0] == key:
                self.entries.remove(entry)
                break
        else:
            entry = (key, make())
        self.entries = [entry, *self.entries][: self.most]
        return entry[1]


_arrays, _digests = _Memory(2), _Memory(128)
