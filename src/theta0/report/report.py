"""What a study says, put together."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from theta0.report.caveats import Caveat
from theta0.report.recommendation import Recommendation
from theta0.report.statistics import Statistics
from theta0.report.study import Study


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
