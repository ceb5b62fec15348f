"""What the page shows, as plain containers: small enough for 1,000 runs in one file."""

import base64
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from theta0.errors import shown
from theta0.files import open_plain
from theta0.report.report import Report
from theta0.report.statistics.cells import with_lost
from theta0.report.statistics.limits import limits
from theta0.report.study import Study
from theta0.report.tables import tables
from theta0.report.words import Unit

TAIL = 3000
"""Bytes of the end of a run's log."""

TRACEBACK = 6000
"""Signs of the end of a traceback."""

ROWS = 200_000
"""Points of all learning curves; of longer ones every so many epochs are left out."""


def content(report: Report) -> dict[str, Any]:
    """What stands in the page, as JSON may hold it.

    `columns` are those of results.csv, `curves` its runs' epochs, both as `theta0.report.study`
    gives them; `selection` what each run contributes to the choice of settings; `cells` the means
    with their intervals; `student` the half-interval of a mean, in standard deviations, by the
    number of values; `limits` of the reported metric; `configs` what all runs share and what they
    do not. Numbers that are not finite are null, in curves NaN.
    """
    study, cells = report.study, report.statistics.cells
    unit = Unit.of(study.metric)
    metrics = [*study.runs, *study.curves]
    sizes = range(2, int(cells["n"].max()) + 1)
    return {
        "study": study.name,
        "where": study.where,
        "total": study.total,
        "findings": report.findings,
        "recommendations": [_recommendation(each) for each in report.recommendations],
        "caveats": [{"kind": caveat.kind, "text": caveat.text} for caveat in report.caveats],
        "metric": study.metric,
        "mode": study.mode,
        "objective": {"metric": study.objective.metric, "mode": study.objective.mode},
        "percent": [name for name in metrics if Unit.of(name).scale == 100],
        "digits": unit.places(unit.scale * (cells["mean_high"] - cells["mean_low"]) / 2),
        "factors": study.factors,
        "settings": study.settings,
        "columns": [{"name": name, **packed(study.runs[name])} for name in study.runs],
        "selection": _finite(with_lost(study, "objective.value", study.objective.mode)),
        "cells": {
            row["cell"]: [*_finite(row[["mean", "mean_low", "mean_high"]]), row["n"]]
            for _, row in cells.iterrows()
        },
        "limits": _finite(pd.Series(limits(study.metric, study.runs[study.metric]))),
        "student": [None, None, *(stats.t.ppf(0.975, n - 1) / math.sqrt(n) for n in sizes)],
        "configs": _configs([result.config for result in study.results]),
        "errors": {
            number: {"type": error.type, "message": error.message, "traceback": _end(error)}
            for number, result in enumerate(study.results)
            if (error := result.error)
        },
        "logs": [_tail(path / "run.log") for path in study.paths],
        "curves": _curves(study),
        "tables": [
            {"title": t.title, "header": t.header, "rows": t.rows, "text": t.text}
            | {"bold": sorted(t.bold)}
            for t in tables(study, report.statistics).values()
        ],
    }


def packed(values: pd.Series) -> dict[str, Any]:
    """A column as its `numbers`, or as its `words`, once each, and for each row a `code`."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return {"numbers": _finite(values)}
    texts = ["" if value is pd.NA or value == "" else shown(value) for value in values.tolist()]
    codes, words = pd.factorize(np.array(texts, dtype=object))
    return {"words": list(words), "codes": codes.tolist()}


def _finite(values: pd.Series) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _recommendation(recommendation: Any) -> dict[str, Any]:
    names = ("problem", "choice", "evidence", "sure", "doubts", "next", "command")
    return {name: getattr(recommendation, name) for name in names}


def _configs(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`common`, the keys that all runs have with one value; `varied`, a column for each other."""
    flat = [dict(_leaves(config)) for config in configs]
    keys = sorted({key for leaves in flat for key in leaves})
    columns = {key: [leaves.get(key) for leaves in flat] for key in keys}
    common = {key: column[0] for key, column in columns.items() if len(set(column)) == 1}
    return {
        "common": common,
        "varied": [
            {"name": key, "words": list(words), "codes": codes.tolist()}  # -1: has no such key
            for key, column in columns.items()
            if key not in common
            for codes, words in [pd.factorize(np.array(column, dtype=object))]
        ],
    }


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", shown(value)


def _curves(study: Study) -> dict[str, Any]:
    """Rows of all runs, one run behind the other, `starts` [runs + 1] telling where each begins;
    each column as float32, little-endian, in base64."""
    keys = ["study", "run"]
    epochs = study.curves
    stride = math.ceil(len(epochs) / ROWS) or 1
    last = ~epochs.duplicated(keys, keep="last")
    epochs = epochs[last | ((epochs["epoch"] + 1) % stride == 0)]
    runs = pd.MultiIndex.from_frame(study.runs[keys])
    number = runs.get_indexer(pd.MultiIndex.from_frame(epochs[keys]))
    counts = np.bincount(number, minlength=len(runs))
    order = np.argsort(number, kind="stable")
    return {
        "stride": stride,
        "starts": [0, *np.cumsum(counts).tolist()],
        "columns": {
            name: base64.b64encode(epochs[name].to_numpy("<f4")[order].tobytes()).decode()
            for name in epochs
            if name not in keys and pd.api.types.is_numeric_dtype(epochs[name])
        },
    }


def _tail(path: Path) -> str:
    """The end of a log, from a line's beginning; "" where there is none."""
    try:
        with open_plain(path) as file:
            start = max(0, os.fstat(file.fileno()).st_size - TAIL)
            file.seek(start)
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return text.partition("\n")[2] if start else text


def _end(error: Any) -> str:
    return error.traceback[-TRACEBACK:]
