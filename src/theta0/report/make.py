"""What a study says, computed and written."""

from pathlib import Path

from theta0.files import refuse_links
from theta0.report import page, tables
from theta0.report.caveats import caveats
from theta0.report.finding import findings
from theta0.report.recommendation import Compose, recommend
from theta0.report.report import Report
from theta0.report.statistics import analyse
from theta0.report.study import Study, read
from theta0.report.tables import in_markdown
from theta0.results import Runs, write_atomically
from theta0.sweep import runs


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
    refuse_links(folder)
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


def conclude(folder: Path, compose: Compose, found: tuple[Runs, list[str]]) -> list[str]:
    """The end of a sweep: writes the study's report.

    Args:
        folder: of the study.
        compose: see `make`.
        found: what `theta0.results.read_runs` has read of it.

    Returns:
        The finding and the recommendation, and at last where the rest is.

    Raises:
        ConfigError: runs of which there is no one report; see `theta0.report.study.read`.
    """
    made = make(read([folder], found=[found]), folder / "report", compose)
    told = [*made.findings, *(line for r in made.recommendations for line in r.lines[:2])]
    return [*told, f"warnings ({len(made.caveats)}), tables and more are in {made.folder}"]


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
