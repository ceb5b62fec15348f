"""NaN and infinity in data: refused with the place, before the first step, never a divergence."""

import sys
from dataclasses import dataclass

import numpy as np
import pytest

from theta0.data import Arrays, Batch, DataModule, Source, finite
from theta0.data.finite import require_finite, require_finite_batches


@dataclass(frozen=True)
class Given(Source):
    """A source of one's own, whose arguments are a configuration's lists."""

    values: list
    targets: list

    def load(self):
        x, y = np.array(self.values), np.array(self.targets)
        return Arrays(x[:-2], y[:-2], x[-2:], y[-2:])


def module(values, targets, shape=(2,), **changes) -> DataModule:
    return DataModule(
        source=Given(values, targets),
        shape=shape,
        num_features=int(np.prod(shape)),
        num_outputs=1,
        num_classes=None,
        samples={"train": len(values) - 3, "val": 1, "test": 2},
        batch_size=4,
        eval_batch_size=4,
        split_seed=0,
        order_seed=0,
        **changes,
    )


def rows(n=10):
    return np.arange(2.0 * n).reshape(n, 2), np.arange(1.0 * n).reshape(n, 1)


@pytest.mark.parametrize(
    ("row", "column", "value", "line"),
    [
        (3, 1, np.nan, "data: inputs of the train rows: row 3, column 1 is nan"),
        (9, 0, np.inf, "data: inputs of the test rows: row 1, column 0 is inf"),
        (0, 0, 1e300, "row 0, column 0 is 1e+300, too large for float32"),
    ],
)
def test_inputs_that_are_not_finite_are_refused_with_their_place(row, column, value, line):
    x, y = rows()
    x[row, column] = value
    with pytest.raises(ValueError, match=r"fill or leave out such rows$") as error:
        module(x.tolist(), y.tolist()).setup()
    assert line in str(error.value)


def test_targets_too_and_the_rows_are_counted():
    x, y = rows()
    y[[2, 5, 6]] = -np.inf
    with pytest.raises(ValueError) as error:
        module(x.tolist(), y.tolist()).setup()
    assert str(error.value) == (
        "data: targets of the train rows: row 2, column 0 is -inf (3 of 8 rows are not finite);"
        " fill or leave out such rows"
    )


def test_of_an_image_channel_line_and_column_are_named(monkeypatch):
    monkeypatch.setattr(finite, "AT_ONCE", 50)  # several parts
    images = np.zeros((20, 3, 4, 5), np.float32)
    images[17, 2, 0, 4] = np.nan
    with pytest.raises(ValueError, match="row 17, column 2, 0, 4 is nan; fill"):
        require_finite("inputs", images)
    require_finite("inputs", np.nan_to_num(images))
    require_finite("labels", np.array([1, 2, 3]))
    require_finite("inputs", np.full((3, 2), 3e38, np.float32))  # large, but finite


def test_inputs_whose_variance_overflows_are_refused():
    x, y = rows()
    with pytest.raises(ValueError, match="too large to be normalised in float32"):
        module((x * 1e30).tolist(), y.tolist()).setup()


def test_a_std_of_zero_is_refused():
    x, y = rows()
    with pytest.raises(ValueError, match=r"^data\.std=0\.0: must be greater than 0$"):
        module(x.tolist(), y.tolist(), mean=0.0, std=0.0)


def test_a_source_with_lists_is_loaded_once():
    x, y = rows()
    first, second = (module(x.tolist(), y.tolist()) for _ in range(2))
    first.setup()
    second.setup()
    assert first.digest == second.digest
    assert first.source == second.source and first.source is not second.source
    from theta0.data import load_cached

    assert load_cached(first.source) is load_cached(second.source)
    other = Given((x + 1).tolist(), y.tolist())
    assert load_cached(other) is not load_cached(first.source)


OWN = '''
import dataclasses
import lightning, numpy as np, torch
from theta0.data import Arrays, Batch, BatchLoader, DataModule, Digits


class Holes(Digits):
    def load(self):
        arrays = super().load()
        x = arrays.train_x.astype(np.float32)
        x[17, 0, 2, 3] = np.nan
        return dataclasses.replace(arrays, train_x=x)


class Rows(lightning.LightningDataModule):
    """Without theta0's checks: whatever is in the batches goes in."""

    def __init__(self, source, hole, **settings):
        super().__init__()
        data = DataModule(source, **settings)
        data.setup()
        self.splits_, self.hole = data.splits, hole

    def loader(self, split):
        x, y = self.splits_[split]
        x = x.clone()
        if split == self.hole:
            x[5, 0, 1, 1] = float("nan")
        return BatchLoader(x, y, 256)

    def train_dataloader(self):
        return self.loader("train")

    def val_dataloader(self):
        return self.loader("val")

    def test_dataloader(self):
        return self.loader("test")
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_data.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("own_data", None)


def test_a_run_fails_with_the_place_before_its_first_step(in_process, tmp_path, own):
    ran = in_process(tmp_path, "data.source._target_=own_data.Holes", "trainer.max_epochs=1")
    result = ran.one()
    assert (result.status, ran.code) == ("failed", 1)
    assert result.error.message.startswith(
        "data: inputs of the train rows: row 17, column 0, 2, 3 is nan; fill"
    )
    assert result.cost.steps == 0


@pytest.mark.parametrize("hole", ["train", "val"])
def test_a_data_module_of_ones_own_has_failed_and_not_diverged(in_process, tmp_path, own, hole):
    words = ("data._target_=own_data.Rows", f"+data.hole={hole}", "trainer.max_epochs=1")
    result = in_process(tmp_path, *words).one()
    assert result.status == "failed"
    split = {"train": "training", "val": "validation"}[hole]
    assert result.error.message.startswith(
        f"data: inputs of a {split} batch: row 5, column 0, 1, 1"
    )


def test_a_start_that_is_not_finite_is_told_apart_from_a_step_that_is_too_large(
    in_process, tmp_path
):
    words = ("init=normal", "init.std=1e9", "model.widths=[8,8,8,8]", "trainer.max_epochs=1")
    result = in_process(tmp_path, *words).one()
    assert result.status == "diverged"
    assert result.error.message == (
        "train/loss is not finite at step 0, before the optimizer's first: the start or the loss,"
        " not the learning rate"
    )


def test_batches_of_integers_and_without_targets_are_looked_at():
    import torch

    labels = torch.arange(4)
    require_finite_batches("a batch", [Batch(torch.zeros(4, 2), labels, 1.0), (torch.zeros(4, 2),)])
    with pytest.raises(ValueError, match="targets of a batch: row 3, column 0 is nan"):
        bad = torch.tensor([[0.0], [0.0], [0.0], [float("nan")]])
        require_finite_batches("a batch", [Batch(torch.zeros(4, 2), bad, 1.0)])
