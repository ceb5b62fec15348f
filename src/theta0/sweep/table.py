"""A study's results: results.csv with one row a run, and a table with one row a cell."""

import csv
import io
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from theta0.identity import cell_overrides
from theta0.results import Result, write_atomically


def write_csv(results: Sequence[Result], path: Path) -> None:
    """One row a run: choices, swept keys, seeds, metrics, cost, hashes. Replaced atomically."""
    swept = _swept(results)
    rows = [_row(result, swept) for result in results]
    # Columns by part, so that a run without metrics in the first row does not put them last.
    columns = dict.fromkeys(
        column for part in zip(*rows, strict=True) for r in part for column in r
    )
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: v for part in row for k, v in part.items()} for row in rows)
    write_atomically(path, text.getvalue())


def _row(result: Result, swept: Iterable[str]) -> list[dict[str, Any]]:
    """The row's parts, in the order of their columns."""

    def prefixed(name: str, part: Iterable[tuple[str, Any]] | None) -> dict[str, Any]:
        return {f"{name}.{key}": value for key, value in part or ()}

    first = {group: result.choices.get(group, "") for group in ("optimizer", "init")}
    return [
        {"study": result.study, "run": result.run, "status": result.status},
        first | dict(sorted(result.choices.items())),
        {key: _value(result.config, key) for key in swept},
        prefixed("seeds", result.seeds),
        dict(result.metrics),
        prefixed("best", result.best),
        prefixed("cost", result.cost),
        prefixed("hashes", result.hashes),
        {"config_hash": result.config_hash, "error": result.error.line if result.error else ""},
    ]


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
    """optimizer, init, and each other group or key in which the runs differ (seeds left out)."""
    groups = sorted({group for result in results for group in result.choices})
    varied = [g for g in groups if len({result.choices.get(g) for result in results}) > 1]
    return list(dict.fromkeys(["optimizer", "init", *varied, *_swept(results)]))


def _swept(results: Sequence[Result]) -> list[str]:
    """The dotted keys that some run's overrides name and in which the runs differ."""
    keys = {key for result in results for key in cell_overrides(result.overrides)}
    keys -= {group for result in results for group in result.choices}
    return sorted(k for k in keys if len({str(_value(result.config, k)) for result in results}) > 1)


def cell_value(result: Result, column: str) -> str:
    """A group's option, or the value of a dotted key, as text."""
    return result.choices.get(column) or str(_value(result.config, column))


def _value(config: dict[str, Any], dotted: str) -> Any:
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
    for cell, runs in cells(results).items():
        seconds = [run.cost.wall_seconds for run in runs if run.cost]
        table.add_row(
            *cell,
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
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    mean = f"{statistics.fmean(known):.4f}"
    return f"{mean} ± {statistics.stdev(known):.4f}" if len(known) > 1 else mean


def _count(runs: Sequence[Result], status: str) -> str:
    return str(sum(run.status == status for run in runs) or "")
