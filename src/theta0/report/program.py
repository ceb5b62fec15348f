"""What src/report.py does."""

import sys
from functools import partial
from pathlib import Path

import hydra
from omegaconf import DictConfig

from theta0.config import check_report
from theta0.errors import ConfigError, choices
from theta0.files import refuse_links
from theta0.terminal import printable


def report(config: DictConfig) -> None:
    """Read the studies that a composed configuration names, write their report, and tell it.

    Ends with exit code 1 where a file cannot be read: it is told, and the rest is reported. Raises
    ConfigError for what is no study, and for an argument that names what is not there.
    """
    asked = check_report(config)
    logs = Path(asked["paths"]["log_dir"])
    names = asked["study"] if isinstance(asked["study"], list) else [asked["study"]]
    folders = [_folder(str(name), logs) for name in names]
    for folder in folders:
        refuse_links(folder, deep=False)
    # Only now, so that a mistake is told at once: pandas, scipy and matplotlib take their time.
    from theta0.report import figures, page, workspace
    from theta0.report.make import make
    from theta0.report.report import Report
    from theta0.report.study import read
    from theta0.sweep import runs

    def again() -> Report:
        study = read(
            folders,
            where=asked["where"],
            compare=asked["compare"],
            metric=asked["metric"],
            mode=asked["mode"],
        )
        alone = len(study.folders) == 1
        usual = study.folders[0] / "report" if alone else logs / f"report-{study.name}"
        if alone and not study.where:
            runs.write(study.runs, study.folders[0])
        return make(
            study,
            Path(asked["folder"] or usual),
            partial(hydra.compose, "train", return_hydra_config=True),
            asked["target"],
            asked["seed"],
        )

    made = again()
    figures.draw(made.study, made.statistics, made.folder / "figures")
    print(printable("\n".join(made.lines())))
    print(f"everything is in {made.folder}")
    for line in made.study.broken:
        print(printable(f"theta0: {line}"), file=sys.stderr)
    if asked["wandb"]["workspace"]:
        place = {key: asked["wandb"][key] for key in ("project", "entity")}
        print(f"workspace: {workspace.publish(made, **place)}")
    if asked["report"]["serve"]:
        page.serve(made, again, folders, asked["report"]["port"])
    if made.study.broken:
        sys.exit(1)


def _folder(study: str, logs: Path) -> Path:
    """A study's folder, by itself or by its name among the logs."""
    found = next((path for path in (Path(study), logs / study) if path.is_dir()), None)
    if found is None:
        studies = sorted(path.parents[1].name for path in logs.glob("*/*/result.json"))
        there = choices(Path(study).name, dict.fromkeys(studies))
        raise ConfigError(f"study={study}: no such folder; in {logs}: {there}")
    return found
