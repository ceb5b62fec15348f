"""What the team's workspace shows of a study: a section of panels for each question."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from theta0.report.study import Study

if TYPE_CHECKING:
    from wandb_workspaces import workspaces

LOG_FROM = 10.0
"""Largest by smallest value of a key from which its axis is logarithmic."""

MOST = 100
"""Curves in a panel; W&B shows 10 unless told otherwise."""


def sections(study: Study, content: Sequence[str]) -> "list[workspaces.Section]":
    """Parallel coordinates of what varies, curves with one band a cell, figures and tables.

    Args:
        study: its runs at W&B have what `theta0.tracking.wandb_logger` logs.
        content: keys of the report's run: `tables/...` and `figures/...`.
    """
    import wandb_workspaces.reports.v2 as wr
    from wandb_workspaces import workspaces as ws

    tables = [key for key in content if key.startswith("tables/")]
    figures = [key for key in content if key.startswith("figures/")]
    wide = ws.SectionLayoutSettings(columns=1, rows=1)
    found = [
        ws.Section(
            name="Choices",
            panels=[wr.ParallelCoordinatesPlot(columns=_axes(study))],
            layout_settings=wide,
        ),
        ws.Section(name="Curves", panels=[_curves(metric) for metric in _metrics(study)]),
        ws.Section(
            name="Figures", panels=[wr.MediaBrowser(media_keys=[figure]) for figure in figures]
        ),
        ws.Section(
            name="Tables",
            panels=[wr.WeavePanelSummaryTable(table_name=table) for table in tables],
            layout_settings=wide,
        ),
    ]
    for section in found:
        section.is_open = True
    return [section for section in found if section.panels]


def _axes(study: Study) -> list[Any]:
    """What varies, then the metrics of the checkpoint that validation chose."""
    import wandb_workspaces.reports.v2 as wr

    groups = {group for result in study.results for group in result.choices}
    return [
        *(
            wr.ParallelCoordinatesPlotColumn(
                metric=wr.Config(f"choices.{axis}" if axis in groups else axis),
                display_name=axis,
                log=_spans_decades(study.runs[axis]),
            )
            for axis in study.axes
            if study.runs[axis].nunique() > 1
        ),
        *(
            wr.ParallelCoordinatesPlotColumn(
                metric=wr.SummaryMetric(f"chosen/{metric}"), display_name=metric
            )
            for metric in dict.fromkeys([study.objective.metric, study.metric])
        ),
    ]


def _spans_decades(values: pd.Series) -> bool:
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return False
    return bool(values.min() > 0 and values.max() >= LOG_FROM * values.min())


def _metrics(study: Study) -> list[str]:
    """Of each epoch, the objective's first."""
    metrics = sorted(column for column in study.curves if "/" in column)
    return sorted(metrics, key=lambda metric: metric != study.objective.metric)


def _curves(metric: str) -> Any:
    """Mean and standard deviation over the seeds of each cell."""
    import wandb_workspaces.reports.v2 as wr

    return wr.LinePlot(
        title=metric,
        x="Step",
        y=[metric],
        groupby=wr.Config("cell"),
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
        max_runs_to_show=MOST,
    )
