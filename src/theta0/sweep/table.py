"""A study's cells, runs that differ in their seeds alone, and a table with one row a cell."""

import math
import statistics
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from theta0.continuation import differing
from theta0.identity import NOT_IDENTITY, cell_overrides, identity_of
from theta0.results import Result
from theta0.sweep.plain import plain


def cells(results: Sequence[Result]) -> dict[tuple[str, ...], list[Result]]:
    """Runs that differ in their seeds alone, under the values that tell one cell from another."""
    columns = cell_columns(results)
    grouped: dict[tuple[str, ...], list[Result]] = {}
    for result in results:
        grouped.setdefault(tuple(cell_value(result, column) for column in columns), []).append(
            result
        )
    return dict(sorted(grouped.items()))


def cell_columns(results: Sequence[Result]) -> list[str]:
    """optimizer, init, and each other group or key in which the runs differ (seeds left out).

    A group that another one brings along (init=fixup its model) tells nothing more: no column. An
    experiment is one only where the rest does not say all that it does. A key that no override
    names is one where runs of a cell would differ in it, as when studies are put together.
    """
    varied = [group for group in varied_groups(results) if group not in ("optimizer", "init")]
    said = {key for result in results for key in cell_overrides(result.overrides)} | {"data"}
    groups = ["optimizer", "init", *(group for group in varied if group in said)]
    groups += [
        g for g in varied if g not in said and not any(_brings(x, g, results) for x in groups)
    ]
    columns = [*groups, *swept(results)]
    others = _unexplained(results, columns)
    if others and len({result.choices.get("experiment") for result in results}) > 1:
        columns.insert(2, "experiment")
        others = _unexplained(results, columns)
    return columns + others


def varied_groups(results: Sequence[Result]) -> list[str]:
    """The groups in which the runs differ, but for those that say how or where a run is done."""
    groups = sorted({group for result in results for group in result.choices} - set(_NOT_COMPARED))
    return [g for g in groups if len({result.choices.get(g) for result in results}) > 1]


def _brings(group: str, other: str, results: Sequence[Result]) -> bool:
    """Whether a group's option is enough to know the other's."""
    pairs = {(result.choices.get(group), result.choices.get(other)) for result in results}
    return len({first for first, _ in pairs}) == len(pairs)


# What else these change is seen in the keys.
_NOT_COMPARED = (*NOT_IDENTITY, "trainer", "diagnostics", "search", "debug", "experiment")


def _unexplained(results: Sequence[Result], columns: list[str]) -> list[str]:
    """Keys in which runs differ that are equal in all columns, but for seeds and folders."""
    first: dict[tuple[str, ...], Result] = {}
    keys: set[str] = set()
    for result in results:
        other = first.setdefault(tuple(cell_value(result, c) for c in columns), result)
        folders = {str(config_value(r.config, "paths.data_dir")) for r in (other, result)}
        keys |= {
            key
            for key, a, b in differing(identity_of(other.config), identity_of(result.config))
            if not (is_seed(key) or key.startswith("callbacks.diagnostics") or {a, b} <= folders)
        }
    return sorted(keys - set(columns))


def is_seed(key: str) -> bool:
    """Whether runs that differ in this key alone are repeats of each other."""
    return key.partition(".")[0] == "seeds" or key.endswith("seed")


def swept(results: Sequence[Result]) -> list[str]:
    """The dotted keys that some run's overrides name and in which the runs differ."""
    keys = {key for result in results for key in cell_overrides(result.overrides)}
    keys -= {group for result in results for group in result.choices}
    return sorted(
        k for k in keys if len({str(config_value(result.config, k)) for result in results}) > 1
    )


def cell_value(result: Result, column: str) -> str:
    """A group's option, or the value of a dotted key, as text that no other value has."""
    return result.choices.get(column) or str(config_value(result.config, column))


def shown_value(result: Result, column: str) -> str:
    """The same as a person reads it: to ten digits, `true` and `none` as in results.csv."""
    return result.choices.get(column) or plain(config_value(result.config, column))


def config_value(config: dict[str, Any], dotted: str) -> Any:
    """The value of a dotted key, None where it is not there."""
    node: Any = config
    for key in dotted.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    return node


def summary(results: Sequence[Result], title: str) -> Table:
    """One row a cell: mean ± standard deviation over seeds, n, seconds.

    How many were pruned, diverged and failed is told where some did.
    """
    metrics = [m for m in ("val/acc", "test/acc") if any(m in r.metrics for r in results)]
    metrics = metrics or ["val/loss", "test/loss"]
    table = Table(title=title, title_justify="left")
    columns = cell_columns(results)
    for column in columns:
        table.add_column(column)
    there = {result.status for result in results}
    ends = [end for end in ("pruned", "diverged", "failed") if end in there]
    for column in (*metrics, "n", *ends, "seconds"):
        table.add_column(column, justify="right")
    for runs in cells(results).values():
        seconds = [run.cost.wall_seconds for run in runs if run.cost]
        table.add_row(
            *(shown_value(runs[0], column) for column in columns),
            *(
                _mean_std([run.metrics.get(m) for run in runs if run.status == "done"])
                for m in metrics
            ),
            str(len(runs)),
            *(_count(runs, end) for end in ends),
            f"{statistics.fmean(seconds):.1f}" if seconds else "",
        )
    return table


def overview(results: Sequence[Result], title: str, most: int | None) -> Table:
    """The summary of all runs, or of so many that are done, the best."""
    if most is None or len(results) <= most:
        return summary(results, title)
    signs = {"min": 1, "max": -1}
    done = [result for result in results if result.status == "done"]
    best = sorted(done, key=lambda r: signs[r.objective.mode] * r.objective.counted)[:most]
    return summary(best, f"{title}: the best {len(best)} of {len(results)} runs")


def print_whole(table: Table, console: Console) -> None:
    """Print without cutting a word or a number off, as rich does where it has no room.

    Where a terminal is too narrow cells are broken at spaces, and what is still too wide runs over
    its edge; a file has none.
    """
    needed = console.measure(table, options=console.options.update_width(sys.maxsize)).maximum
    if console.is_terminal and needed > console.width:
        for column in table.columns:
            texts = (column.header, *column.cells)
            column.width = max(len(word) for text in texts for word in str(text).split())
    Console(file=console.file, width=needed).print(table)


def _mean_std(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return "–"
    mean = f"{statistics.fmean(known):.4f}"
    return f"{mean} ± {statistics.stdev(known):.4f}" if len(known) > 1 else mean


def _count(runs: Sequence[Result], status: str) -> str:
    return str(sum(run.status == status for run in runs) or "")
