"""Tables: every number from results.csv once more, and everything escaped."""

import re

import numpy as np
import pandas as pd
import pytest

from theta0.report import tables
from theta0.report.statistics import analyse
from theta0.report.study import read
from theta0.report.tables import Table, in_latex, in_markdown, latex, markdown

NASTY = r"a_b&c%d$e#f{g}~h^i\j|k*l`m<n>o[p]"


@pytest.fixture
def reported(made_up_study, tmp_path):
    """A study of 2 × 2 × 2 rates × 6 seeds with a diverged and a failed run, and its tables."""
    rng = np.random.default_rng(0)

    def outcome(cell, seed):
        if cell == {"optimizer": "sgd", "init": "he", "optimizer.lr": 0.1} and seed < 2:
            return ["diverged", "failed"][seed]
        value = 0.8 + 0.05 * (cell["init"] == "he") - 0.2 * (cell["optimizer.lr"] == 0.01)
        return value + rng.normal(scale=0.01), value + rng.normal(scale=0.01)

    folder = made_up_study(
        outcome, optimizer=["adam", "sgd"], init=["he", "xavier"], optimizer__lr=[0.01, 0.1],
        seeds=range(6),
    )  # fmt: skip
    study = read([folder])
    statistics = analyse(study)
    tables.write(study, statistics, tmp_path / "tables")
    study.runs.to_csv(tmp_path / "results.csv", index=False)
    return study, statistics, tmp_path


def test_every_number_follows_from_results_csv(reported):
    """In ten lines of pandas."""
    *_, folder = reported
    shown = pd.read_csv(folder / "tables" / "cells.csv").set_index("cell")
    runs = pd.read_csv(folder / "results.csv")
    done = runs[runs["status"] == "done"].groupby("cell")
    test = done["test/acc"]
    again = pd.DataFrame({"n": test.size(), "mean": test.mean(), "std": test.std()})
    again["median"], again["seconds"] = test.median(), done["cost.wall_seconds"].mean()
    again["iqm"] = test.apply(lambda v: v.sort_values()[len(v) // 4 : len(v) - len(v) // 4].mean())
    worst = runs["val/acc"].where(runs["status"] == "done").min()
    counted = runs["val/acc"].where(runs["status"] != "diverged", worst)
    again["selection"] = counted[runs["status"] != "failed"].groupby(runs["cell"]).mean()
    again["steps"] = done["cost.steps"].mean()
    for end in ("diverged", "failed"):
        again[end] = (runs["status"] == end).groupby(runs["cell"]).sum()
    pd.testing.assert_frame_equal(shown[again.columns], again, check_dtype=False)


def test_every_comparison_follows_from_results_csv(reported):
    *_, folder = reported
    shown = pd.read_csv(folder / "tables" / "comparisons.csv")
    runs = pd.read_csv(folder / "results.csv")
    arms = pd.read_csv(folder / "tables" / "arms.csv")
    score = runs["test/acc"].where(runs["status"] == "done")
    runs["score"] = score.mask(runs["status"] == "diverged", -np.inf)
    wide = runs.pivot(index="seed", columns="cell", values="score")
    wide = wide[arms["cell"]].set_axis(
        pd.MultiIndex.from_frame(arms[["optimizer", "init"]]), axis=1
    )
    for row in shown[shown["factor"] == "init"].to_dict("records"):
        difference = (wide[row["optimizer"], row["a"]] - wide[row["optimizer"], row["b"]]).dropna()
        assert row["difference"] == pytest.approx(difference[np.isfinite(difference)].mean())
        assert row["probability"] == pytest.approx((difference > 0).mean())


def test_what_stands_in_the_readable_ones(reported):
    study, statistics, _ = reported
    found = tables.tables(study, statistics)
    assert list(found) == ["grid", "arms", "cells", "comparisons", "effects", "times"]
    grid = found["grid"]
    assert grid.header == ["init", "adam", "sgd"]
    assert [row[0] for row in grid.rows] == ["he", "xavier"]
    arms = statistics.arms.set_index(["init", "optimizer"])
    for i, init in enumerate(("he", "xavier")):
        for j, optimizer in enumerate(("adam", "sgd"), start=1):
            arm, text = arms.loc[init, optimizer], grid.rows[i][j]
            value, half = re.match(r"([\d.]+) ± ([\d.]+)", text).groups()
            assert float(value) == pytest.approx(100 * arm["mean"], abs=0.051)
            assert float(half) == pytest.approx(
                50 * (arm["mean_high"] - arm["mean_low"]), abs=0.051
            )
            assert ((i, j) in grid.bold) == arm["leading"]
    columns = found["cells"].header
    assert columns[:4] == ["optimizer", "init", "optimizer.lr", "test/acc (%)"]
    assert columns[-4:] == ["n", "diverged", "failed", "seconds"]
    counts = {tuple(row[:3]): row[-4:-1] for row in found["cells"].rows}
    assert counts["sgd", "he", "0.1"] == ["4", "1", "1"]
    assert counts["adam", "he", "0.1"] == ["6", "0", "0"]


def test_a_diverged_run_is_told_in_the_grid(made_up_study):
    def outcome(cell, seed):
        bad = cell == {"optimizer": "sgd", "init": "he"}
        return "diverged" if bad and seed < 2 else 0.9 + seed / 1000

    study = read([made_up_study(outcome, optimizer=["adam", "sgd"], init=["he", "xavier"])])
    grid = tables.tables(study, analyse(study))["grid"]
    assert grid.rows[0][2].endswith(" (2 diverged)")
    assert "diverged" not in grid.rows[0][1]


def test_the_best_and_those_not_significantly_worse_are_bold(made_up_study):
    rng = np.random.default_rng(1)
    shift = {"he": 0.0, "lecun": -0.001, "xavier": -0.2}
    folder = made_up_study(
        lambda cell, seed: 0.9 + shift[cell["init"]] + rng.normal(scale=0.01),
        init=list(shift), optimizer=["adam", "sgd"], seeds=range(10),
    )  # fmt: skip
    study = read([folder])
    lines = latex(tables.tables(study, analyse(study))["grid"]).splitlines()
    bold = {line.split(" & ")[0]: line.count(r"\textbf") for line in lines if " & " in line}
    assert bold == {"init": 0, "he": 2, "lecun": 2, "xavier": 0}


def test_latex_is_a_booktabs_tabular():
    table = Table("some % title\nhere", ["init", "a_b"], [["he", "1.0 ± 0.2"]], 1, {(0, 1)})
    assert latex(table) == (
        "% some % title here; needs \\usepackage{booktabs}\n"
        "\\begin{tabular}{lr}\n\\toprule\ninit & a\\_b \\\\\n\\midrule\n"
        "he & \\textbf{1.0 $\\pm$ 0.2} \\\\\n\\bottomrule\n\\end{tabular}\n"
    )


def test_latex_is_escaped():
    text = in_latex(NASTY + ' θ é "q"\nnext')
    assert text == (
        r"a\_b\&c\%d\$e\#f\{g\}\textasciitilde{}h\textasciicircum{}i\textbackslash{}j\textbar{}k*l`m"
        r"\textless{}n\textgreater{}o[p] [U+03B8] é \textquotedbl{}q\textquotedbl{} next"
    )


def test_markdown_is_escaped():
    assert in_markdown(NASTY + "\nnext") == (
        r"a\_b&amp;c%d$e#f{g}\~h^i\\j\|k\*l\`m&lt;n&gt;o\[p\] next"
    )
    table = Table("t", ["a|b", "n"], [["<script>alert(1)</script>", "1"]], 1, {(0, 1)})
    assert markdown(table) == (
        "| a\\|b | n |\n| --- | ---: |\n| &lt;script&gt;alert(1)&lt;/script&gt; | **1** |\n"
    )


def test_everything_from_a_config_is_escaped(made_up_study, tmp_path):
    study = read([made_up_study(init=["he", NASTY.replace("/", "")], optimizer=["adam", "s_gd"])])
    tables.write(study, analyse(study), tmp_path / "tables")
    for path in (tmp_path / "tables").glob("*.tex"):
        body = "\n".join(path.read_text().splitlines()[1:])
        assert not re.search(r"(?<!\\)[_#]|(?<!\\)%", body)
        assert NASTY not in body
    for path in (tmp_path / "tables").glob("*.md"):
        lines = path.read_text().splitlines()
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
        assert "<n>" not in path.read_text()


def test_tables_of_an_earlier_report_do_not_stay(made_up_study, tmp_path):
    folder = made_up_study(optimizer=["adam", "sgd"], init=["he", "xavier"], data=["a", "b"])
    names = lambda: {path.stem for path in (tmp_path / "tables").glob("*.tex")}  # noqa: E731
    study = read([folder])
    tables.write(study, analyse(study), tmp_path / "tables")
    assert {"grid", "grid-2", "overall"} <= names()
    (tmp_path / "tables" / "mine.tex").write_text("of the person")
    study = read([folder], where="data == 'a' and init == 'he'")
    tables.write(study, analyse(study), tmp_path / "tables")
    assert names() == {"arms", "comparisons", "effects", "times", "mine"}


def test_a_row_that_begins_with_a_bracket_is_no_argument():
    r"""Of the \\ before it, in LaTeX."""
    table = Table("widths", ["widths", "n"], [["[32,32]", "5"], ["*", "1"]], text=1)
    assert "\n{}[32,32] & 5 " in tables.latex(table)
    assert "\n{}* & 1 " in tables.latex(table)
