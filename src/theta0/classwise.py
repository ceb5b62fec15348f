"""A metric that is no single number: a number for each class, or a table of classes."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from theta0.results import write_atomically


def spread(
    name: str, value: Any, classes: Sequence[str] | None = None
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """(numbers, tables) by name, of what a metric called `name` gives.

    - One number is called `name`.
    - A vector [n], as of `average=none`, is n numbers `name.class`; a dictionary is `name.key`.
    - A matrix [n, m], as of a confusion matrix, is a table.

    Args:
        classes: their names, where the data set has them; else classes are counted from 0.

    Raises:
        ValueError: the value is something else (a curve, a tuple).
    """
    if isinstance(value, Mapping):
        numbers: dict[str, float] = {}
        tables: dict[str, Tensor] = {}
        for key, part in value.items():
            some, more = spread(f"{name}.{key}", part, classes)
            numbers |= some
            tables |= more
        return numbers, tables
    if isinstance(value, int | float):
        value = torch.tensor(value)
    if not isinstance(value, Tensor) or value.ndim > 2:
        shape = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
        metric = name.partition("/")[2] or name
        raise ValueError(
            f"metrics.{metric}: gives {shape}: a metric gives a number, a number for each class or"
            " a table"
        )
    if value.numel() == 1:
        return {name: shortest(value.reshape(()))}, {}
    if value.ndim == 2:
        return {}, {name: value.cpu()}
    columns = labels(len(value), classes)
    values = zip(columns, value.cpu(), strict=True)
    return {f"{name}.{column}": shortest(number) for column, number in values}, {}


def labels(count: int, classes: Sequence[str] | None) -> list[str]:
    """The classes' names without spaces and slashes, or numbers where there are not so many."""
    if classes is None or len(classes) != count:
        return [str(i) for i in range(count)]
    return [re.sub(r"[\s/]+", "_", name) for name in classes]


def classes_of(data: Any) -> Sequence[str] | None:
    """The names of a data module's classes, if it has them as `classes`."""
    return getattr(data, "classes", None)


def write_tables(
    folder: Path, tables: Mapping[str, Tensor], classes: Sequence[str] | None = None
) -> None:
    """Each table as a CSV file: `test/confusion` is folder/test_confusion.csv."""
    for name, table in tables.items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        rows, columns = (labels(count, classes) for count in table.shape)
        writer.writerow(["class", *columns])
        for label, row in zip(rows, table, strict=True):
            writer.writerow([label, *(_plain(number) for number in row)])
        write_atomically(folder / f"{name.replace('/', '_')}.csv", text.getvalue())


def _plain(number: Tensor) -> int | float:
    return shortest(number) if number.is_floating_point() else int(number)


def shortest(value: Tensor) -> float:
    """0.914 and not 0.9139999747276306: the shortest number that is the same float32."""
    return float(str(value.cpu().numpy()))
