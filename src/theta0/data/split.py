"""Rows held out of a data set, each class in proportion."""

import numpy as np


def split_rows(
    num_rows: int, held_out: int, seed: int, labels: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Split row numbers at random into those kept and those held out.

    With labels the split is stratified: of each class its proportion, rounded up or down.
    Rows are shuffled, grouped by class, and every (num_rows / held_out)-th one is taken from a
    random start on, so that each row is as likely to be held out as any other.

    Args:
        num_rows: how many rows there are.
        held_out: how many of them to hold out.
        seed: in [0, 2³²).
        labels: integers `[num_rows]`, or None for a plain random split.

    Returns:
        Two ascending arrays of row numbers, `[num_rows - held_out]` and `[held_out]`.

    Raises:
        ValueError: if `held_out` is not in [0, num_rows].
    """
    if not 0 <= held_out <= num_rows:
        raise ValueError(f"cannot hold out {held_out} of {num_rows} rows")
    # RandomState, not default_rng: numpy promises never to change its stream
    rng = np.random.RandomState(seed)
    order = rng.permutation(num_rows)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    start = rng.randint(max(num_rows, 1))
    picks = (np.arange(held_out) * num_rows + start) // max(held_out, 1)
    is_held_out = np.zeros(num_rows, dtype=bool)
    is_held_out[order[picks]] = True
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
