"""results.csv and results.parquet: one tidy row a run."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from theta0.results import Best, Cost, Result, write_atomically
from theta0.spreadsheet import to_csv
from theta0.sweep.plain import plain
from theta0.sweep.table import cell_columns, config_value, swept


def table(results: Sequence[Result]) -> pd.DataFrame:
    """One row a run, in the order given.

    Columns: study, run, status, cell (its choices and settings but seeds, in one text); each
    group's option; each swept key; `seed` and `seeds.*`; `objective.*`; metrics of the chosen
    checkpoint under their own names, and as `last.*` those of the last epoch; `best.*`, `cost.*`,
    `hashes.*` as in result.json; `environment.*`; `error.type` and `error`, one line.

    What a run does not have is NaN where the column holds numbers, "none" where it holds an option,
    else "".
    """
    axes = cell_columns(results)
    groups = sorted({group for result in results for group in result.choices})
    groups = list(dict.fromkeys(["optimizer", "init", *groups]))
    keys = dict.fromkeys([*swept(results), *(axis for axis in axes if axis not in groups)])
    rows = [_row(result, groups, keys) for result in results]
    # Columns by part, so that a run without metrics in the first row does not put them last.
    columns = dict.fromkeys(
        column for part in zip(*rows, strict=True) for r in part for column in r
    )
    frame = pd.DataFrame(
        {
            column: column_of([_get(row, column) for row in rows], column in groups)
            for column in columns
        }
    )
    if len(frame):
        frame.insert(3, "cell", labels(frame, axes))
    return frame


def labels(frame: pd.DataFrame, axes: Iterable[str]) -> pd.Series:
    """The values of some columns in one text a row: `adam|he|optimizer.lr=0.1`."""
    first = ("optimizer", "init")
    words = [
        frame[axis].map(plain) if axis in first else f"{axis}=" + frame[axis].map(plain)
        for axis in axes
    ]
    return words[0].str.cat(words[1:], sep="|")


def write(frame: pd.DataFrame, folder: Path) -> None:
    """folder/results.csv and folder/results.parquet, each replaced in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "results.csv", to_csv(frame))
    binary = io.BytesIO()
    frame.to_parquet(binary, index=False)
    write_atomically(folder / "results.parquet", binary.getvalue())


def _row(result: Result, groups: Iterable[str], keys: Iterable[str]) -> list[dict[str, Any]]:
    """The row's parts, in the order of their columns."""

    def prefixed(name: str, part: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        return {f"{name}.{key}": value for key, value in part}

    environment = {
        name: config_value(result.environment, name)
        for name in ("git.sha", "git.dirty", "python", "packages.torch", "cpu.model", "threads")
    }
    environment["gpu"] = ", ".join(result.environment.get("gpu") or [])
    error = result.error
    return [
        {"study": result.study, "run": result.run, "status": result.status},
        {group: result.choices.get(group, "none") for group in groups},
        {key: config_value(result.config, key) for key in keys},
        {"seed": result.config.get("seed"), **prefixed("seeds", result.seeds)},
        prefixed("objective", result.objective),
        dict(result.metrics),
        prefixed("last", result.last_metrics.items()),
        prefixed("best", result.best or dict.fromkeys(Best.model_fields).items()),
        prefixed("cost", result.cost or dict.fromkeys(Cost.model_fields).items()),
        prefixed("hashes", result.hashes),
        {"config_hash": result.config_hash, **prefixed("environment", environment.items())},
        {"error.type": error.type if error else "", "error": error.line if error else ""},
    ]


def _get(row: list[dict[str, Any]], column: str) -> Any:
    return next((part[column] for part in row if column in part), None)


def column_of(values: Sequence[Any], option: bool = False) -> pd.Series:
    """Numbers as numbers, truth values as such, all else as text."""
    known = [value for value in values if value is not None]
    whole = len(known) == len(values)
    if not option:
        if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known):
            numbers = pd.Series(values, dtype=None if whole else "float64")
            if numbers.dtype != object:  # integers too large for any dtype are text
                return numbers
        if all(isinstance(value, bool) for value in known):
            return pd.Series(values, dtype="bool" if whole else "boolean")
    return pd.Series(["" if value is None else plain(value) for value in values], dtype="str")
