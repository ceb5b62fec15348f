"""A study's workspace at W&B: a saved view for the team, and a run that holds the report's tables.

The names of both are made of the study's own, so that a second call changes them and makes none.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from theta0.errors import ConfigError, first_line
from theta0.report import tables
from theta0.report.panels import MOST, sections
from theta0.report.report import Report
from theta0.report.study import Study
from theta0.sweep.offline import sync_command

ASKED = "wandb.workspace=true"
LOGGER = "theta0.tracking.wandb_logger"
SETTINGS: dict[str, Any] = {
    "init_timeout": 20.0,
    "finish_timeout": 120.0,
    "finish_timeout_raises": True,
    "x_disable_stats": True,
    "console": "off",
    "silent": True,
}
"""W&B's settings, times in seconds; WANDB_INIT_TIMEOUT and the like beat them."""


class Place(NamedTuple):
    """Where a study is at W&B.

    Attributes:
        project: its runs'.
        entity: a user or a team; None: the key's own.
        groups: its runs'; one a study.
    """

    project: str
    entity: str | None
    groups: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of the study, or of several together; the group of the report's run."""
        return "-".join(self.groups)

    @property
    def run_id(self) -> str:
        """The report's run."""
        return hashlib.sha256(f"report {self.name}".encode()).hexdigest()[:16]

    @property
    def view(self) -> str:
        """The view's name in its address, as long as those that W&B gives."""
        return hashlib.sha256(f"workspace {self.name}".encode()).hexdigest()[:11]


def publish(report: Report, project: str | None = None, entity: str | None = None) -> str:
    """Create or update the view, and the run with the report's tables and figures.

    Nobody is asked for a key. Where W&B is offline, the run is written into the report's folder.

    Args:
        report: its figures are those in its folder, figures/*.png.
        project: of W&B; None: that of the study's runs.
        entity: a user or a team; None: that of the study's runs.

    Returns:
        The view's address.

    Raises:
        ConfigError: W&B is offline, has no key or cannot be reached, or the study's runs are in no
            one project.
    """
    import wandb

    place = _place(report.study, project, entity)
    ours = {k: v for k, v in SETTINGS.items() if f"WANDB_{k.upper()}" not in os.environ}
    try:
        settings = wandb.setup(wandb.Settings(**ours)).settings
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{ASKED}: WANDB_MODE, or another variable of W&B: {reason}") from error
    if settings.mode == "disabled":
        raise ConfigError(f"{ASKED}: WANDB_MODE is disabled")
    content = _content(report)
    if settings.mode in ("offline", "dryrun"):
        for earlier in report.folder.glob(f"wandb/offline-run-*-{place.run_id}"):
            shutil.rmtree(earlier)
        _log(report, content, place, report.folder)
        raise ConfigError(
            f"{ASKED}: WANDB_MODE is {settings.mode}, and a workspace is made online;"
            f" the tables wait: {sync_command(report.folder, '')}"
        )
    try:
        if wandb.login(prompt=False, verify=False):
            with tempfile.TemporaryDirectory() as folder:
                place = _log(report, content, place, Path(folder))
            return _save(report.study, content, place)
    except Exception as error:  # W&B raises of every kind
        reason = first_line(error) or type(error).__name__
        raise ConfigError(f"{ASKED}: W&B at {settings.base_url}: {reason}") from error
    raise ConfigError(f"{ASKED}: no key for W&B: set WANDB_API_KEY, or do `wandb login` once")


def _place(study: Study, project: str | None, entity: str | None) -> Place:
    """As the runs' loggers were told, unless it is said here."""
    if study.where:
        raise ConfigError(f"{ASKED}: a workspace shows whole studies: leave out where=...")
    nodes = [result.config.get("logger") or {} for result in study.results]
    ours = [node for node in nodes if node.get("_target_") == LOGGER]
    told = {(node["project"], node.get("entity")) for node in ours} or {(None, None)}
    found = {(project or theirs, entity or owner) for theirs, owner in told}
    if len(found) > 1:
        places = ", ".join(sorted(f"{owner or 'your own'}/{theirs}" for theirs, owner in found))
        raise ConfigError(
            f"{ASKED}: its runs are in {places}: choose by wandb.project=... and wandb.entity=..."
        )
    ((where, owner),) = found
    if where is None:
        raise ConfigError(f"{ASKED}: no run has logger=wandb: wandb.project=... says where to")
    groups = {node["group"] for node in ours} or {result.study for result in study.results}
    return Place(where, owner, tuple(sorted(groups)))


def _content(report: Report) -> dict[str, Any]:
    """The report's tables and figures under their keys in its run."""
    import wandb

    found = tables.tables(report.study, report.statistics)
    figures = sorted(report.folder.glob("figures/*.png"))
    return {
        **{
            f"tables/{key}": wandb.Table(columns=[*table.header], data=table.rows)
            for key, table in found.items()
        },
        **{f"figures/{path.stem}": wandb.Image(str(path)) for path in figures},
    }


def _log(report: Report, content: dict[str, Any], place: Place, folder: Path) -> Place:
    """A run of the study's group that holds the content.

    Returns:
        The place, with the entity that W&B says.
    """
    import wandb

    with wandb.init(
        project=place.project,
        entity=place.entity,
        id=place.run_id,
        resume="allow",
        name=f"report of {place.name}",
        group=place.name,
        job_type="report",
        notes="\n".join(report.findings),
        config={"studies": list(place.groups), "metric": report.study.metric},
        dir=folder,
    ) as run:
        run.log(content)
        return place._replace(entity=run.entity)


def _save(study: Study, content: Iterable[str], place: Place) -> str:
    """The view's title stays what people have made of it, and so do sections of other names."""
    from wandb_workspaces import workspaces as ws

    try:  # of the address, the host is not looked at
        address = f"https://wandb.ai/{place.entity}/{place.project}?nw={place.view}"
        workspace = ws.Workspace.from_url(address)
    except ValueError as error:
        if "not found in project" not in str(error):
            raise
        workspace = ws.Workspace(entity=str(place.entity), project=place.project, name=place.name)
        workspace._internal_name = f"nw-{place.view}-v"
    ours = sections(study, list(content))
    names = {section.name for section in ours}
    workspace.sections = [*ours, *(s for s in workspace.sections if s.name not in names)]
    workspace.settings.max_runs = MOST
    workspace.runset_settings = ws.RunsetSettings(
        filters=[ws.Metric("Group").isin(sorted({*place.groups, place.name}))],
        groupby=[ws.Config("cell")],
    )
    return str(workspace.save().url)
