"""From a study's folder to tables, finding and recommendation. Reads files; imports no torch."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import hydra
from omegaconf import DictConfig

from theta0.config import check_report
from theta0.errors import ConfigError, choices
from theta0.report import page, tables, workspace
from theta0.report.caveats import Caveat, caveats
from theta0.report.finding import findings
from theta0.report.recommendation import Compose, Recommendation, recommend
from theta0.report.statistics import Statistics, analyse
from theta0.report.study import Study, read
from theta0.report.tables import in_markdown
from theta0.results import write_atomically
from theta0.sweep import runs

__all__ = ["Report", "conclude", "make", "read", "report"]


@dataclass(frozen=True)
class Report:
    """What a study says.

    Attributes:
        study: its runs.
        statistics: their numbers.
        findings: sentences.
        recommendations: one a problem.
        caveats: what to know before believing any of it, the most serious first.
        folder: where the files are.
    """

    study: Study
    statistics: Statistics
    findings: list[str]
    recommendations: list[Recommendation]
    caveats: list[Caveat]
    folder: Path

    def lines(self) -> Iterator[str]:
        """What a person is told."""
        yield from self.findings
        for recommendation in self.recommendations:
            yield from recommendation.lines
        yield from (f"{caveat.kind}: {caveat.text}" for caveat in self.caveats)


def make(
    study: Study, folder: Path, compose: Compose, target: float | None = None, seed: int = 0
) -> Report:
    """Analyse a study and write its report, in the form that takes seconds, without figures.

    Args:
        study: see `read`.
        folder: gets results.csv, results.parquet, tables/, finding.md, experiment/ and index.html.
        compose: from overrides to a run's configuration, with Hydra's node.
        target: of time to target, in units of the objective.
        seed: of the bootstrap.
    """
    statistics = analyse(study, target, seed)
    runs.write(study.runs, folder)
    tables.write(study, statistics, folder / "tables")
    made = Report(
        study=study,
        statistics=statistics,
        findings=findings(study, statistics),
        recommendations=recommend(study, statistics, folder, compose),
        caveats=caveats(study, statistics),
        folder=folder,
    )
    write_atomically(folder / "finding.md", _markdown(made))
    page.write(made)
    return made


def conclude(folder: Path, compose: Compose) -> list[str]:
    """The end of a sweep: writes the study's report.

    Args:
        folder: of the study.
        compose: see `make`.

    Returns:
        The finding and the recommendation, and at last where the rest is.

    Raises:
        ConfigError: runs of which there is no one report; see `theta0.report.study.read`.
    """
    made = make(read([folder]), folder / "report", compose)
    told = [*made.findings, *(line for r in made.recommendations for line in r.lines[:2])]
    return [*told, f"warnings ({len(made.caveats)}), tables and more are in {made.folder}"]


def report(config: DictConfig) -> None:
    """What src/report.py does: reads the studies that a composed configuration names, writes and
    tells.

    Ends with exit code 1 where a file cannot be read: it is told, and the rest is reported. Raises
    ConfigError for what is no study, and for an argument that names what is not there.
    """
    from theta0.report import figures  # matplotlib, which the end of a sweep does without

    asked = check_report(config)
    logs = Path(asked["paths"]["log_dir"])
    names = asked["study"] if isinstance(asked["study"], list) else [asked["study"]]
    folders = [_folder(str(name), logs) for name in names]

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
    print("\n".join(made.lines()))
    print(f"everything is in {made.folder}")
    for line in made.study.broken:
        print(f"theta0: {line}", file=sys.stderr)
    if asked["wandb"]["workspace"]:
        place = {key: asked["wandb"][key] for key in ("project", "entity")}
        print(f"workspace: {workspace.publish(made, **place)}")
    if asked["serve"]:
        page.serve(made, again, folders, asked["port"])
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


def _markdown(made: Report) -> str:
    """finding.md: all of it on one page."""
    study = made.study
    counts = study.runs["status"].value_counts()
    whole = f"{len(study.runs)} runs: {', '.join(f'{n} {status}' for status, n in counts.items())}"
    filtered = [f"Of {study.total} runs those where {study.where}."] if study.where else []
    parts = {
        "Runs": [f"{whole}.", *filtered],
        "Finding": made.findings,
        "Recommendation": [line for r in made.recommendations for line in r.lines],
        "Warnings": [f"{caveat.kind}: {caveat.text}" for caveat in made.caveats],
    }
    text = f"# Study {in_markdown(study.name)}\n"
    for title, lines in parts.items():
        if lines:
            text += f"\n## {title}\n\n" + "".join(f"- {in_markdown(line)}\n" for line in lines)
    for table in tables.tables(study, made.statistics).values():
        text += f"\n## {in_markdown(table.title)}\n\n{tables.markdown(table)}"
    return text
