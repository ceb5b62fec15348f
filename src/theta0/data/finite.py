"""Data with NaN or infinity in it: found before it trains anything, and named."""

from collections.abc import Iterable
from typing import Any

import numpy as np

AT_ONCE = 2**20
"""Numbers that are looked at together; of so many a copy is made."""


def require_finite(what: str, values: np.ndarray) -> None:
    """Refuse numbers that are not finite in float32, in which a network sees them.

    Args:
        what: what they are, for the message: "inputs of the training rows".
        values: `[N, ...]`; integers are finite.

    Raises:
        ValueError: with the first row and column, and how many rows are so.
    """
    if values.dtype.kind != "f" or not values.size:
        return
    count = max(1, AT_ONCE // values[0].size)
    first: tuple[int, int] | None = None
    bad = 0
    for start in range(0, len(values), count):
        with np.errstate(over="ignore", invalid="ignore"):
            part = values[start : start + count].astype(np.float32, copy=False)
            if np.isfinite(part.sum()):  # several times as fast as asking each number
                continue
        places = np.argwhere(~np.isfinite(part.reshape(len(part), -1)))
        bad += len(np.unique(places[:, 0]))
        if len(places) and first is None:
            first = start + int(places[0, 0]), int(places[0, 1])
    if first is not None:
        raise ValueError(f"data: {what}: {_place(values, *first)}{_rows(bad, len(values))}")


def require_finite_batches(what: str, batches: Iterable[Any]) -> None:
    """The same of all (inputs, targets, ...) that a loader gives. Raises ValueError."""
    for batch in batches:
        for name, part in zip(("inputs", "targets"), batch, strict=False):
            if part.is_floating_point():
                require_finite(f"{name} of {what}", part.detach().cpu().float().numpy())


def _place(values: np.ndarray, row: int, column: int) -> str:
    """`row 17, column 3 is nan`; of an image the channel, line and column."""
    shape, value = values.shape[1:], values[row].reshape(-1)[column]
    place = f"row {row}"
    if shape:
        place += f", column {', '.join(map(str, np.unravel_index(column, shape)))}"
    return f"{place} is {value}" + (", too large for float32" if np.isfinite(value) else "")


def _rows(bad: int, rows: int) -> str:
    others = f" ({bad} of {rows} rows are not finite)" if bad > 1 else ""
    return f"{others}; fill or leave out such rows"
