"""What a data set's source promises: arrays as read, and where they were read from."""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np


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
    """Where a data set comes from: a frozen dataclass, so that equal ones share a load."""

    def prepare(self) -> None:  # noqa: B027 (most sources have nothing to fetch)
        """Fetch the files that `load` reads, if they are missing; called on one process only."""

    @abstractmethod
    def load(self) -> Arrays:
        """Read the data set."""

    def files(self) -> tuple[Path, ...]:
        """The files that `load` reads; a change of one makes `load_cached` read them again."""
        return ()


Versions = tuple[tuple[int, int], ...]


def load_cached(source: Source) -> Arrays:
    """`source.load()`, remembered for this process's next run while its files stay the same."""
    return _load(source, _versions(source))


def digest_of(source: Source) -> str:
    """`source.load().digest`, remembered likewise, and for more sources than their arrays are."""
    return _digest(source, _versions(source))


def _versions(source: Source) -> Versions:
    stats = [file.stat() for file in source.files() if file.exists()]
    return tuple((stat.st_mtime_ns, stat.st_size) for stat in stats)


@lru_cache(maxsize=128)
def _digest(source: Source, versions: Versions) -> str:
    return _load(source, versions).digest


@lru_cache(maxsize=2)
def _load(source: Source, versions: Versions) -> Arrays:
    return source.load()
