"""The image data sets of torchvision, read whole into memory."""

import contextlib
import io
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from theta0.data.idx import read_idx
from theta0.data.source import Arrays, Source

MNIST_LIKE = ("MNIST", "FashionMNIST", "KMNIST")
NAMES = (*MNIST_LIKE, "CIFAR10", "CIFAR100", "SVHN")

CLASSES = {
    "FashionMNIST": (
        *("t-shirt", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle_boot"),
    ),
    "CIFAR10": (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
}

_TIMEOUT = 30  # seconds without an answer; torchvision itself would wait for ever


@dataclass(frozen=True)
class TorchvisionSet(Source):
    """MNIST, FashionMNIST, KMNIST, CIFAR10, CIFAR100 or SVHN. Images are uint8 `[N, C, H, W]`.

    Files lie in `root` as torchvision lays them out; MNIST and its relatives may lie there packed
    (`.gz`). What is there is read and nothing is written; what is missing is downloaded once.

    Args:
        name: torchvision's name of the data set.
        root: the folder that holds the data sets.

    Raises:
        FileNotFoundError: if files are missing and cannot be downloaded.
        ValueError: if the name is not one of these, or a file is corrupt.

    Source: https://pytorch.org/vision/stable/datasets.html
    """

    name: str
    root: str

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(
                f"data.source.name={self.name}, but it must be one of {', '.join(NAMES)}"
            )

    @property
    def classes(self) -> Sequence[str] | None:
        return CLASSES.get(self.name)

    def prepare(self) -> None:
        if not self._missing():
            return
        from filelock import FileLock

        root = Path(self.root)
        try:
            root.mkdir(parents=True, exist_ok=True)
            with FileLock(root / f".{self.name}.lock"):
                if self._missing():  # another process may have been first
                    self._download()
        except (RuntimeError, OSError) as error:
            raise self._not_found(f"download failed: {error}".splitlines()[-1]) from None

    def load(self) -> Arrays:
        if self._missing():
            raise self._not_found("no download was tried")
        if self.name in MNIST_LIKE:
            return Arrays(*self._read_idx("train"), *self._read_idx("t10k"), scale=255)
        return Arrays(*self._read("train"), *self._read("test"), scale=255)

    def files(self) -> tuple[Path, ...]:
        files = (Path(self.root, file) for file in self._checksums())
        if self.name in MNIST_LIKE:
            return tuple(f if f.exists() else f.with_name(f.name + ".gz") for f in files)
        return tuple(files)

    def _checksums(self) -> dict[str, str | None]:
        """Every file, relative to the root, with the md5 that torchvision knows of it."""
        if self.name in MNIST_LIKE:
            names = ("images-idx3-ubyte", "labels-idx1-ubyte")
            splits = ("train", "t10k")
            return {f"{self.name}/raw/{s}-{n}": None for s in splits for n in names}
        dataset = self._dataset()
        if self.name == "SVHN":
            return {dataset.split_list[s][1]: dataset.split_list[s][2] for s in ("train", "test")}
        meta = [dataset.meta["filename"], dataset.meta["md5"]]
        batches = [*dataset.train_list, *dataset.test_list, meta]
        return {f"{dataset.base_folder}/{file}": md5 for file, md5 in batches}

    def _missing(self) -> list[Path]:
        missing = [file for file in self.files() if not file.exists()]
        return [file.with_name(file.name.removesuffix(".gz")) for file in missing]

    def _read_idx(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        images, labels = (
            Path(self.root, self.name, "raw", f"{split}-{kind}")
            for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
        )
        x, y = read_idx(images, ndim=3), read_idx(labels, ndim=1)
        if len(x) != len(y):
            raise ValueError(f"{labels} has {len(y)} labels for the {len(x)} images of {images}")
        if len(y) and y.max() > 9:
            raise ValueError(f"{labels} is corrupt: it has the label {y.max()}, outside 0..9")
        return x[:, None], y.astype(np.int64)

    def _read(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        try:
            if self.name == "SVHN":
                svhn = self._dataset()(self.root, split=split)
                return np.ascontiguousarray(svhn.data), svhn.labels
            cifar = self._dataset()(self.root, train=split == "train")
        except RuntimeError:  # torchvision found a wrong md5 but does not say which
            raise ValueError(
                f"{self._corrupt()} is corrupt: its md5 is not torchvision's"
            ) from None
        x = np.ascontiguousarray(cifar.data.transpose(0, 3, 1, 2))
        return x, np.asarray(cifar.targets, dtype=np.int64)

    def _corrupt(self) -> Path:
        from torchvision.datasets.utils import check_integrity

        checksums = self._checksums().items()
        files = [Path(self.root, file) for file, md5 in checksums]
        intact = [check_integrity(f, md5) for f, (_, md5) in zip(files, checksums, strict=True)]
        return files[intact.index(False)]

    def _download(self) -> None:
        """Download into a folder of its own, then move: half a download leaves nothing behind."""
        from torchvision.datasets.utils import check_integrity

        dataset, root = self._dataset(), Path(self.root)
        missing = [file.relative_to(root) for file in self._missing()]
        with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as folder, _quiet():
            archive = root / getattr(dataset, "filename", "")
            if archive.is_file():  # CIFAR's archive, put there by hand
                if not check_integrity(archive, dataset.tgz_md5):
                    raise ValueError(f"{archive} is corrupt: its md5 is not torchvision's")
                Path(folder, archive.name).symlink_to(archive.resolve())
            if self.name == "SVHN":
                for split in ("train", "test"):
                    dataset(folder, split=split, download=True)
            else:
                dataset(folder, download=True)
            for file in missing:
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                Path(folder, file).replace(root / file)

    def _dataset(self) -> Any:
        import torchvision.datasets

        return getattr(torchvision.datasets, self.name)

    def _not_found(self, reason: str) -> FileNotFoundError:
        missing = self._missing()
        names = ", ".join(file.name for file in missing)
        return FileNotFoundError(
            f"{self.name}: {names} missing in {missing[0].parent} ({reason}); "
            "data=mnist5k needs no download"
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep torchvision from printing, and from waiting for ever on a silent network."""
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        socket.setdefaulttimeout(timeout)
