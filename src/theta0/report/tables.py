"""Tables for papers and pages: LaTeX (booktabs) and Markdown, and CSV with every digit."""

import html
import re
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from theta0.report.statistics import Statistics
from theta0.report.statistics.family import ALPHA
from theta0.report.statistics.limits import limits
from theta0.report.study import Study
from theta0.report.words import Unit, fixed, name, probability, short
from theta0.results import write_atomically
from theta0.spreadsheet import to_csv
from theta0.sweep.plain import plain


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        title: what it shows, in a line.
        header: the columns' names.
        rows: their texts.
        text: how many columns from the left hold words, which are not aligned as numbers are.
        bold: (row, column) of those that stand out.
    """

    title: str
    header: list[str]
    rows: list[list[str]]
    text: int
    bold: set[tuple[int, int]] = field(default_factory=set)


def write(study: Study, statistics: Statistics, folder: Path) -> None:
    """A CSV of each of the statistics' tables, and LaTeX and Markdown of each table to read.

    Those of an earlier report that this one has not are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in (*folder.glob("*.tex"), *folder.glob("*.md")):
        if re.fullmatch(r"grid(-\d+)?", path.stem) or path.stem in vars(statistics):
            path.unlink()
    for key, frame in vars(statistics).items():
        write_atomically(folder / f"{key}.csv", to_csv(frame))
    for key, table in tables(study, statistics).items():
        write_atomically(folder / f"{key}.tex", latex(table))
        write_atomically(folder / f"{key}.md", markdown(table))


def tables(study: Study, statistics: Statistics) -> dict[str, Table]:
    """The tables to read, by the names of their files; those without rows are left out, and
    that of cells where nothing was tuned: it would be that of arms.

    `grid` is init × optimizer (`grid-2`, ... where there are several combinations of the other
    factors), the others are the statistics' own. In bold: the best and all that are not
    significantly worse; comparisons and effects below 5 %, corrected. Behind ± stands half of the
    mean's own interval; one that is cut off where the metric ends is written as [low, high].
    """
    found = {
        **_grids(study, statistics.arms),
        "arms": _cells(study, statistics.arms, "Each combination at its best setting"),
        **({"cells": _cells(study, statistics.cells, "Every cell")} if study.settings else {}),
        "overall": _overall(study, statistics.overall),
        "comparisons": _comparisons(study, statistics),
        "effects": _effects(study, statistics.effects),
        "times": _times(study, statistics.times),
    }
    return {key: table for key, table in found.items() if table.rows}


# ------------------------------------------------------------------------------------- what is told


def _halves(table: pd.DataFrame, of: str = "mean") -> pd.Series:
    """Half of each interval."""
    return (table[f"{of}_high"] - table[f"{of}_low"]) / 2


def _with_half(
    table: pd.DataFrame, unit: Unit, ends: tuple[float, float], of: str = "mean"
) -> list[str]:
    """`95.40 ± 0.31`, with as many decimals in every row; `31.5 [0.0, 100.0]` where the interval
    is cut off at the ends of the metric."""
    halves = unit.scale * _halves(table, of)
    digits = unit.places(halves)
    texts = []
    for value, half, low, high in zip(
        table[of], halves, table[f"{of}_low"], table[f"{of}_high"], strict=True
    ):
        text = fixed(unit.scale * value, digits)
        if half > 0 and (low <= ends[0] or high >= ends[1]):
            text += " [" + ", ".join(fixed(unit.scale * end, digits) for end in (low, high)) + "]"
        elif half == half:
            text += f" ± {fixed(half, digits)}"
        texts.append(text)
    return texts


OWN = "; interval of 95 % of each by itself, uncorrected"
"""Behind the title of a table of means, which asserts no difference."""


def _ends(study: Study) -> tuple[float, float]:
    return limits(study.metric, study.runs[study.metric])


def _heading(study: Study) -> str:
    unit = Unit.of(study.metric)
    return f"{study.metric} ({unit.sign.strip()})" if unit.sign else study.metric


def _grids(study: Study, arms: pd.DataFrame) -> dict[str, Table]:
    others = [factor for factor in study.factors if factor not in ("optimizer", "init")]
    contexts = arms.groupby(others, dropna=False, sort=True) if others else [((), arms)]
    found: dict[str, Table] = {}
    for number, (_, part) in enumerate(contexts, start=1):
        inits, optimizers = (list(part[f].sort_values().unique()) for f in ("init", "optimizer"))
        if min(len(inits), len(optimizers)) < 2:
            continue
        texts = [
            text + (f" ({diverged} diverged)" if diverged else "")
            for text, diverged in zip(
                _with_half(part, Unit.of(study.metric), _ends(study)), part["diverged"], strict=True
            )
        ]
        rows = [[init, *["–"] * len(optimizers)] for init in inits]
        bold = set()
        for text, (_, arm) in zip(texts, part.iterrows(), strict=True):
            row, column = inits.index(arm["init"]), 1 + optimizers.index(arm["optimizer"])
            rows[row][column] = text
            bold |= {(row, column)} if arm["leading"] else set()
        where = f", {name(part.iloc[0], others)}" if others else ""
        key = "grid" if number == 1 else f"grid-{number}"
        found[key] = Table(f"{_heading(study)}{where}{OWN}", ["init", *optimizers], rows, 1, bold)
    return found


def _cells(study: Study, cells: pd.DataFrame, title: str) -> Table:
    unit = Unit.of(study.metric)
    ends = _ends(study)
    value, middle = (_with_half(cells, unit, ends, of) for of in ("mean", "iqm"))
    digits = unit.places(unit.scale * _halves(cells))
    others = [end for end in ("diverged", "failed", "pruned", "unfinished") if cells[end].any()]
    rows = [
        [
            *(plain(cell[axis]) for axis in study.axes),
            value[i],
            *(fixed(unit.scale * cell[column], digits) for column in ("std", "median")),
            middle[i],
            str(cell["n"]),
            *(str(cell[end]) for end in others),
            short(cell["seconds"]),
        ]
        for i, (_, cell) in enumerate(cells.iterrows())
    ]
    header = [*study.axes, _heading(study), "std", "median", "IQM", "n", *others, "seconds"]
    marked = cells.get("leading", pd.Series(False, cells.index))
    bold = {(row, len(study.axes)) for row, best in enumerate(marked) if best}
    return Table(f"{title}: {_heading(study)}{OWN}", header, rows, len(study.axes), bold)


def _overall(study: Study, overall: pd.DataFrame) -> Table:
    texts = _with_half(overall, Unit.of(study.metric), _ends(study), "iqm")
    rows = [
        [
            *(plain(row[factor]) for factor in study.method),
            text,
            *(str(row[count]) for count in ("problems", "n", "diverged")),
        ]
        for text, (_, row) in zip(texts, overall.iterrows(), strict=True)
    ]
    header = [*study.method, f"IQM of {_heading(study)}", "problems", "n", "diverged"]
    return Table(f"Over all problems{OWN}", header, rows, len(study.method))


def _comparisons(study: Study, statistics: Statistics) -> Table:
    comparisons, unit = statistics.comparisons, Unit.of(study.metric)
    digits = unit.places(2 * unit.scale * comparisons["error"])
    rows = []
    for _, row in comparisons.iterrows():
        low, value, high = (
            fixed(unit.scale * row[end], digits) for end in ("low", "difference", "high")
        )
        chances = [fixed(row[f"probability{end}"], 2) for end in ("", "_low", "_high")]
        rows.append(
            [
                row["factor"], row["a"], row["b"],
                *("" if row[f] is None else plain(row[f]) for f in study.factors),
                f"{value} [{low}, {high}]",
                f"{chances[0]} [{chances[1]}, {chances[2]}]",
                str(row["n"]),
                probability(row["p_corrected"]),
            ]
        )  # fmt: skip
    header = ["factor", "a", "b", *study.factors, "a better by", "P(a better)", "n", "corrected p"]
    first = 3 + len(study.factors)
    bold = {(row, first) for row, differs in enumerate(comparisons["differs"]) if differs}
    title = f"Paired comparisons of {_heading(study)}; p and intervals corrected for all"
    return Table(f"{title} {statistics.tests} tests of the report", header, rows, first, bold)


def _effects(study: Study, effects: pd.DataFrame) -> Table:
    others = [factor for factor in study.factors if factor in effects]
    rows = [
        [
            *(plain(row[factor]) for factor in others),
            row["source"],
            fixed(100 * row["share"], 1),
            str(row["df"]),
            short(row["F"]),
            probability(row["p_corrected"]),
        ]
        for _, row in effects.iterrows()
    ]
    header = [*others, "source", "share of variance (%)", "df", "F", "corrected p"]
    bold = {(row, len(others)) for row, p in enumerate(effects["p_corrected"]) if p < ALPHA}
    return Table(f"Analysis of variance of {study.metric}", header, rows, len(others) + 1, bold)


def _times(study: Study, times: pd.DataFrame) -> Table:
    unit = Unit.of(study.objective.metric)
    rows = [
        [
            *(plain(row[factor]) for factor in study.factors),
            short(unit.scale * row["target"]),
            f"{row['reached']} of {row['n']}",
            *(short(row[measure]) for measure in ("step", "seconds")),
        ]
        for _, row in times.iterrows()
    ]
    target = f"target ({unit.sign.strip()})" if unit.sign else "target"
    header = [*study.factors, target, "reached", "steps", "seconds"]
    return Table(
        f"Time until {study.objective.metric} reaches the target", header, rows, len(study.factors)
    )


# ------------------------------------------------------------------------------------ how it is set


def latex(table: Table) -> str:
    r"""A tabular of booktabs, ready to \input; everything in it is escaped."""
    rows = [
        [
            rf"\textbf{{{in_latex(t)}}}" if (i, j) in table.bold else in_latex(t)
            for j, t in enumerate(row)
        ]
        for i, row in enumerate(table.rows)
    ]
    columns = "l" * table.text + "r" * (len(table.header) - table.text)
    return "\n".join(
        [
            f"% {_one_line(table.title)}; needs \\usepackage{{booktabs}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(map(in_latex, table.header)) + r" \\",
            r"\midrule",
            *(_guarded(" & ".join(row)) + r" \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _guarded(row: str) -> str:
    r"""What begins with a bracket or a star would be an argument of the \\ before it."""
    return "{}" + row if row.startswith(("[", "*")) else row


_TEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "∞": r"$\infty$", "–": "--",
}  # fmt: skip


def in_latex(text: str) -> str:
    """Text as pdflatex takes it; a letter that its fonts have not is told by its number."""

    def escaped(letter: str) -> str:
        return _TEX.get(letter) or (letter if ord(letter) < 0x180 else f"[U+{ord(letter):04X}]")

    return "".join(map(escaped, _one_line(text)))


def markdown(table: Table) -> str:
    """A pipe table; everything in it is escaped."""
    rows = [
        [
            f"**{in_markdown(t)}**" if (i, j) in table.bold else in_markdown(t)
            for j, t in enumerate(row)
        ]
        for i, row in enumerate(table.rows)
    ]
    rule = ["---"] * table.text + ["---:"] * (len(table.header) - table.text)
    lines = [[in_markdown(title) for title in table.header], rule, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def in_markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", html.escape(_one_line(text), quote=False))


def _one_line(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
