"""Metrics of several numbers against scikit-learn, alone and in a stack."""

import csv

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, f1_score
from torch.nn import functional
from torchmetrics import Metric
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassF1Score

from theta0.classwise import spread, write_tables
from theta0.config import check
from theta0.data import TorchvisionSet
from theta0.errors import ConfigError
from theta0.metrics import EpochMetrics
from theta0.objective import direction, require_measured
from theta0.stacked.metrics import StackedMetrics

CLASSES = 5


class Pair(Metric):
    """A metric of one's own that gives a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("seen", torch.zeros(CLASSES), dist_reduce_fx="sum")

    def update(self, output, target):
        self.seen = self.seen + functional.one_hot(target, CLASSES).sum(0)

    def compute(self):
        return {"rows": self.seen.sum(), "classes": self.seen}


def metrics():
    return EpochMetrics(
        "test",
        {
            "f1": MulticlassF1Score(CLASSES, average="none", validate_args=False),
            "confusion": MulticlassConfusionMatrix(CLASSES, validate_args=False),
            "own": Pair(),
        },
    )


def batches(seed):
    rng = torch.Generator().manual_seed(seed)
    z, y = torch.randn(97, CLASSES, generator=rng), torch.randint(CLASSES, (97,), generator=rng)
    sizes = [40, 1, 50, 6]
    return [(torch.tensor(0.5), a, b) for a, b in zip(z.split(sizes), y.split(sizes), strict=True)]


def expected(seed):
    z, y = (torch.cat(parts).numpy() for parts in list(zip(*batches(seed), strict=True))[1:])
    one = f1_score(y, z.argmax(1), average=None, labels=range(CLASSES))
    counts = np.bincount(y, minlength=CLASSES)
    numbers = {f"test/f1.{i}": value for i, value in enumerate(one)}
    numbers |= {f"test/own.classes.{i}": float(count) for i, count in enumerate(counts)}
    numbers |= {"test/loss": 0.5, "test/own.rows": 97.0}
    return numbers, confusion_matrix(y, z.argmax(1), labels=range(CLASSES))


def test_a_vector_is_spread_over_the_classes_and_a_matrix_is_a_table():
    epoch = metrics()
    for batch in batches(0):
        epoch.add(*batch)
    numbers, table = expected(0)
    assert epoch.compute() == pytest.approx(numbers, rel=1e-6)
    assert list(epoch.tables) == ["test/confusion"]
    assert epoch.tables["test/confusion"].tolist() == table.tolist()


def test_a_stack_has_the_values_of_each_run():
    stack = StackedMetrics(metrics(), 3)
    for rows in zip(*map(batches, range(3)), strict=True):
        losses, outputs, targets = (torch.stack(part) for part in zip(*rows, strict=True))
        stack.add(losses, outputs, targets, False, {})
    for seed, values in enumerate(stack.compute()):
        alone = metrics()
        for batch in batches(seed):
            alone.add(*batch)
        numbers, table = expected(seed)
        assert values == alone.compute() == pytest.approx(numbers, rel=1e-6)
        assert stack.tables[seed]["test/confusion"].tolist() == table.tolist()


def test_classes_have_the_names_that_the_data_set_has(tmp_path):
    values = torch.tensor([0.25, 0.5])
    names = ["ankle boot", "t-shirt/top"]
    assert spread("val/f1", values, names)[0] == {
        "val/f1.ankle_boot": 0.25,
        "val/f1.t-shirt_top": 0.5,
    }
    assert list(spread("val/f1", values, ["one", "two", "three"])[0]) == ["val/f1.0", "val/f1.1"]
    tables = {
        "test/confusion": torch.tensor([[3, 1], [0, 2]]),
        "test/share_robust": torch.tensor([[0.1]]),
    }
    write_tables(tmp_path, tables, names)
    text = (tmp_path / "test_confusion.csv").read_text()
    assert text == "class,ankle_boot,t-shirt_top\nankle_boot,3,1\nt-shirt_top,0,2\n"
    assert (tmp_path / "test_share_robust.csv").read_text() == "class,0\n0,0.1\n"
    assert TorchvisionSet("CIFAR10", "nowhere").classes[3] == "cat"
    assert TorchvisionSet("MNIST", "nowhere").classes is None


@pytest.mark.parametrize(
    ("value", "found"),
    [(torch.zeros(2, 2, 2), r"\[2, 2, 2\]"), ((torch.zeros(3), torch.zeros(3)), "tuple")],
)
def test_what_is_neither_is_refused(value, found):
    with pytest.raises(ValueError, match=f"^metrics.curve: gives {found}: a metric gives a number"):
        spread("val/curve", value)


F1 = (
    "+metrics.f1={_target_: torchmetrics.classification.MulticlassF1Score,"
    " num_classes: 10, average: none}"
)
CONFUSION = (
    "+metrics.confusion={_target_: torchmetrics.classification.MulticlassConfusionMatrix,"
    " num_classes: 10}"
)


@pytest.mark.parametrize(
    ("metric", "problem"),
    [
        ("val/f1.3", None),
        ("val/f1.cat", None),
        ("val/f1", "has a number for each class: val/f1.0, ..."),
        ("val/f1.10", "the classes are 0 to 9"),
        ("val/acc.3", "is one number: val/acc"),
        ("val/loss.3", "is one number: val/loss"),
        ("val/confusion", "is a table, not a number"),
        ("val/f2.3", "allowed: val/loss, val/acc, val/f1, val/confusion"),
    ],
)
def test_the_objective_names_one_number(compose, metric, problem):
    config = compose("data=digits", F1, CONFUSION, f"objective.metric={metric}")
    if problem is None:
        assert check(config)["objective"] == {"metric": metric, "mode": "max"}
        return
    with pytest.raises(ConfigError) as error:
        check(config)
    assert str(error.value).startswith(f"objective.metric={metric}: {problem}")


def test_the_direction_of_a_class_is_its_metrics():
    nodes = {"f1": {"_target_": "torchmetrics.classification.MulticlassF1Score"}}
    assert direction("val/f1.3", nodes) == direction("test/f1_robust.cat", nodes) == "max"


def test_an_objective_that_validation_does_not_give_is_an_error():
    require_measured("val/f1.3", {"val/f1.3": 0.5})
    with pytest.raises(ValueError, match=r"^objective.metric=val/f1.kat: allowed: val/f1.cat; did"):
        require_measured("val/f1.kat", {"val/f1.cat": 0.5})


def check_run(folder, result):
    """What a run leaves: columns, the objective, and a table that agrees with the accuracy."""
    with (folder / "metrics.csv").open() as file:
        columns = next(csv.reader(file))
    assert {f"{split}/f1.{i}" for split in ("train", "val") for i in range(10)} < set(columns)
    assert result.objective.value == result.metrics["val/f1.3"]
    with (folder / "test_confusion.csv").open() as file:
        header, *rows = csv.reader(file)
    assert header == ["class", *map(str, range(10))]
    table = np.array([row[1:] for row in rows], int)
    assert np.trace(table) / table.sum() == pytest.approx(result.metrics["test/acc"])
    f1 = 2 * np.diag(table) / (table.sum(0) + table.sum(1))
    assert [result.metrics[f"test/f1.{i}"] for i in range(10)] == pytest.approx(f1, rel=1e-6)


RUN = (F1, CONFUSION, "objective.metric=val/f1.3", "trainer.max_epochs=2", "model.widths=[16]")


def test_a_run_has_columns_for_the_classes_and_a_table_of_the_test_rows(in_process, tmp_path):
    ran = in_process(tmp_path, *RUN)
    assert ran.code == 0, ran.out + ran.err
    check_run(ran.folder(ran.one()), ran.one())


@pytest.mark.slow
def test_stacked_runs_have_them_too(in_process, tmp_path):
    ran = in_process(tmp_path, "-m", "seed=0,1", "study=s", "hydra/launcher=stacked", *RUN)
    assert ran.code == 0, ran.out + ran.err
    assert "in 1 stack of 2" in ran.out + ran.err
    for result in ran.results():
        check_run(ran.folder(result), result)
    table = (tmp_path / "logs" / "s" / "results.csv").read_text().splitlines()[0]
    assert "test/f1.9" in table
