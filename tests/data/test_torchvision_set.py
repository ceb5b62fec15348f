"""Files of torchvision's data sets: read where they lie, named where missing or corrupt."""

import gzip
import hashlib
import pickle
import struct
import tarfile
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torchvision.datasets

from theta0.data import TorchvisionSet

SIZES = {"train": 40, "t10k": 20}


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def raw(tmp_path) -> Path:
    """A tiny MNIST in torchvision's layout."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, n in SIZES.items():
        images = rng.integers(0, 256, (n, 28, 28))
        (raw / f"{split}-images-idx3-ubyte").write_bytes(idx(images))
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(idx(np.arange(n) % 10))
    return raw


@pytest.fixture
def mnist(tmp_path) -> TorchvisionSet:
    return TorchvisionSet("MNIST", str(tmp_path))


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", refuse)
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", refuse)
    monkeypatch.setattr("torchvision.datasets.svhn.download_url", refuse)


def listing(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_reads_what_is_there_as_torchvision_does_and_writes_nothing(tmp_path, raw, mnist):
    before = listing(tmp_path)
    mnist.prepare()
    arrays = mnist.load()
    assert listing(tmp_path) == before
    for train, x, y in (
        (True, arrays.train_x, arrays.train_y),
        (False, arrays.test_x, arrays.test_y),
    ):
        expected = torchvision.datasets.MNIST(str(tmp_path), train=train)
        assert np.array_equal(x[:, 0], expected.data.numpy())
        assert np.array_equal(y, expected.targets.numpy()) and y.dtype == np.int64


def test_reads_packed_files(tmp_path, raw, mnist):
    digest = mnist.load().digest
    for file in list(raw.iterdir()):
        Path(f"{file}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    mnist.prepare()
    assert mnist.load().digest == digest
    packed = raw / "t10k-labels-idx1-ubyte.gz"
    packed.write_bytes(packed.read_bytes()[:-12])
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte\.gz is corrupt"):
        mnist.load()


def test_missing_files_are_named_with_their_folder(tmp_path, raw, mnist, offline, capfd):
    (raw / "train-labels-idx1-ubyte").unlink()
    for action in (mnist.prepare, mnist.load):
        with pytest.raises(FileNotFoundError) as error:
            action()
        message = str(error.value)
        assert "\n" not in message and "train-labels-idx1-ubyte missing" in message
        assert "train-images" not in message
        assert str(raw) in message and "data=mnist5k" in message
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.glob(".download-*"))


@pytest.mark.parametrize("name", ["FashionMNIST", "KMNIST", "CIFAR10", "CIFAR100", "SVHN"])
def test_nothing_there_and_no_network(name, tmp_path, offline):
    with pytest.raises(FileNotFoundError, match=f"^{name}: .* missing in .*data=mnist5k"):
        TorchvisionSet(name, str(tmp_path / "new")).prepare()


def test_downloads_what_is_missing_once(tmp_path, raw, mnist, monkeypatch):
    labels = raw / "train-labels-idx1-ubyte"
    contents = {file.name: file.read_bytes() for file in raw.iterdir()}
    labels.unlink()
    downloads = []

    def download(url, download_root, filename, md5):
        downloads.append(filename)
        name = filename.removesuffix(".gz")
        Path(download_root, name).write_bytes(contents[name])

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", download)
    mnist.prepare()
    mnist.prepare()
    assert len(downloads) == 4 and labels.read_bytes() == contents[labels.name]
    assert len(mnist.load().train_y) == 40


def spoil(content: bytes, how: str) -> bytes:
    return {
        "magic": b"\x00\x00\x08\x02" + content[4:],
        "truncated": content[:-1],
        "too long": content + b"\x00",
        "empty": b"",
        "count": content[:4] + struct.pack(">I", 39) + content[8:],
    }[how]


@pytest.mark.parametrize("how", ["magic", "truncated", "too long", "empty", "count"])
@pytest.mark.parametrize("kind", ["images-idx3-ubyte", "labels-idx1-ubyte"])
def test_a_corrupt_file_is_named(raw, mnist, kind, how):
    file = raw / f"train-{kind}"
    file.write_bytes(spoil(file.read_bytes(), how))
    mnist.prepare()
    with pytest.raises(ValueError, match=f"{file} is corrupt") as error:
        mnist.load()
    assert "\n" not in str(error.value)


def test_labels_must_be_digits_one_an_image(raw, mnist):
    file = raw / "t10k-labels-idx1-ubyte"
    file.write_bytes(idx(np.full(20, 10)))
    with pytest.raises(ValueError, match=f"{file} is corrupt: it has the label 10, outside 0..9"):
        mnist.load()
    file.write_bytes(idx(np.zeros(19)))
    with pytest.raises(ValueError, match="has 19 labels for the 20 images"):
        mnist.load()


def test_an_unknown_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"data\.source\.name=MNITS, but it must be one of MNIST"):
        TorchvisionSet("MNITS", str(tmp_path))


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_cifar(root: Path, monkeypatch) -> np.ndarray:
    """A tiny CIFAR-10; returns its images `[30, 3, 32, 32]`, ten in each of three files."""
    cifar = torchvision.datasets.CIFAR10
    folder = root / cifar.base_folder
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (30, 3072), dtype=np.uint8)
    for name, rows in zip(("data_1", "data_2", "test"), images.reshape(3, 10, 3072), strict=True):
        content = pickle.dumps({"data": rows, "labels": list(range(10))})
        (folder / name).write_bytes(content)
    (folder / "meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    train = [[name, md5(folder / name)] for name in ("data_1", "data_2")]
    meta = {"filename": "meta", "key": "label_names", "md5": md5(folder / "meta")}
    monkeypatch.setattr(cifar, "train_list", train)
    monkeypatch.setattr(cifar, "test_list", [["test", md5(folder / "test")]])
    monkeypatch.setattr(cifar, "meta", meta)
    return images.reshape(30, 3, 32, 32)


def test_cifar_is_read_channels_first(tmp_path, monkeypatch):
    images = write_cifar(tmp_path, monkeypatch)
    source = TorchvisionSet("CIFAR10", str(tmp_path))
    source.prepare()
    arrays = source.load()
    assert np.array_equal(arrays.train_x, images[:20])
    assert np.array_equal(arrays.test_x, images[20:])
    assert arrays.train_y.tolist() == [*range(10), *range(10)]
    file = tmp_path / "cifar-10-batches-py" / "data_2"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"{file} is corrupt"):
        source.load()


def test_cifar_is_unpacked_from_an_archive_that_lies_there(tmp_path, monkeypatch):
    cifar = torchvision.datasets.CIFAR10
    images = write_cifar(tmp_path, monkeypatch)
    folder, archive = tmp_path / cifar.base_folder, tmp_path / cifar.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, cifar.base_folder)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    source = TorchvisionSet("CIFAR10", str(tmp_path))
    with pytest.raises(ValueError, match=f"{archive} is corrupt"):
        source.prepare()
    monkeypatch.setattr(cifar, "tgz_md5", md5(archive))
    source.prepare()
    assert np.array_equal(source.load().test_x, images[20:])


def test_svhn(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 10), dtype=np.uint8)
    checksums = {}
    for split in ("train", "test"):
        file = tmp_path / f"{split}_32x32.mat"
        scipy.io.savemat(file, {"X": images, "y": np.arange(1, 11, dtype=np.uint8)[:, None]})
        checksums[split] = ["", file.name, md5(file)]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", checksums)
    source = TorchvisionSet("SVHN", str(tmp_path))
    source.prepare()
    arrays = source.load()
    assert np.array_equal(arrays.train_x, images.transpose(3, 2, 0, 1))
    assert arrays.train_y.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]  # its label 10 is the digit 0
    (tmp_path / "test_32x32.mat").write_bytes(b"")
    with pytest.raises(ValueError, match=r"test_32x32\.mat is corrupt"):
        source.load()
