"""Figures: what is drawn are the numbers of the statistics and of the files."""

import csv
import struct
from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color, to_rgb
from scipy import stats

from theta0.report.figures import FIGURES, draw
from theta0.report.figures.cost import cost
from theta0.report.figures.curves import curves
from theta0.report.figures.decay import decay
from theta0.report.figures.grid import Colours, grid
from theta0.report.figures.looks import Looks
from theta0.report.figures.problem import problems
from theta0.report.figures.profiles import profiles
from theta0.report.figures.seeds import seeds
from theta0.report.figures.sensitivity import sensitivity
from theta0.report.figures.signal import signal
from theta0.report.figures.style import COLOURS, contrast
from theta0.report.figures.times import times
from theta0.report.make import make
from theta0.report.statistics import analyse
from theta0.report.study import read

GRID = {"optimizer": ["adam", "sgd"], "init": ["he", "xavier"]}
RATES = [0.001, 0.01, 0.1]
SCALE = 100
"""Accuracies are drawn in percent."""


def outcome(cell, seed):
    """He is best, 0.01 the best rate; at 0.1 all of sgd + xavier and one of adam + he diverge."""
    at = cell["optimizer"], cell["init"], cell.get("optimizer.lr", 0.01)
    if at == ("sgd", "xavier", 0.1) or (at == ("adam", "he", 0.1) and seed == 3):
        return "diverged"
    if at == ("sgd", "he", 0.01) and seed == 4:
        return "failed"
    value = 0.9 + 0.03 * (at[1] == "he") - 0.05 * abs(np.log10(at[2] / 0.01))
    value += 0.002 * ((3 * seed + len(at[0])) % 5)
    return value, value - 0.01


def only(folder):
    """The problem of a study with a single one."""
    study = read([folder])
    (problem,) = problems(study, analyse(study))
    return problem


@pytest.fixture(scope="module")
def rated(making_up, tmp_path_factory):
    """2 × 2 × 3 rates × 5 seeds; the diverged runs have one epoch."""
    folder = making_up(
        tmp_path_factory.mktemp("logs") / "first", outcome, optimizer__lr=RATES, **GRID
    )
    problem = only(folder)
    for path, status in zip(problem.study.paths, problem.study.runs["status"], strict=True):
        if status == "diverged":
            (path / "metrics.csv").write_text("step,epoch,val/acc,seconds\n10,0,0.25,1.5\n")
    return only(folder)


def texts(axes):
    """The lines of text in each cell of a heat map, by its place."""
    found = {}
    for text in axes.texts:
        x, y = text.get_position()
        found.setdefault((round(x), round(y)), []).append(text)
    return found


def marks(axes, marker="dot"):
    """Offsets [n, 2] of seeds' dots, or of crosses."""
    crosses = [c for c in axes.collections if c.get_paths() and hasattr(c, "get_sizes")]
    wanted = [c for c in crosses if (len(c.get_paths()[0].vertices) == 4) == (marker == "cross")]
    return np.concatenate([np.asarray(c.get_offsets()).reshape(-1, 2) for c in wanted])


def tick(axis, label):
    """Where on an axis a label stands."""
    labels = [text.get_text() for text in axis.get_ticklabels()]
    return axis.get_ticklocs()[labels.index(label)]


def means(axes):
    """(x, y) of each line with a mean's marker."""
    return [line.get_xydata() for line in axes.lines if line.get_marker() in ("o", "s")]


# ------------------------------------------------------------------------------------ what is drawn


def test_the_grid_tells_value_interval_runs_and_losses(rated):
    (axes, bar) = grid(rated).axes
    assert [t.get_text() for t in axes.get_xticklabels()] == ["adam", "sgd"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["he", "xavier"]
    found = texts(axes)
    assert len(found) == len(rated.statistics.arms) == 4
    for _, arm in rated.statistics.arms.iterrows():
        place = ["adam", "sgd"].index(arm["optimizer"]), ["he", "xavier"].index(arm["init"])
        value, rest = found[place]
        assert float(value.get_text()) == pytest.approx(SCALE * arm["mean"], abs=0.05)
        assert (value.get_fontweight() == "bold") == arm["leading"]
        interval, n, *lost = rest.get_text().split("\n")
        ends = [float(end) for end in interval.strip("[]").split(", ")]
        assert ends == pytest.approx([SCALE * arm["mean_low"], SCALE * arm["mean_high"]], abs=0.051)
        assert n == f"n = {arm['n']}"
        assert lost == (["1 failed"] if place == (1, 0) else [])
    assert bar.get_ylabel() == "test/acc (%)"


def test_texts_of_the_grid_can_be_read(rated):
    axes = grid(rated).axes[0]
    faces = {
        (round(p.get_x() + 0.5), round(p.get_y() + 0.5)): p.get_facecolor()
        for p in axes.patches
        if p.get_width() == 1
    }
    found = texts(axes)
    assert faces.keys() == found.keys()
    for place, some in found.items():
        assert all(contrast(text.get_color(), faces[place]) >= 4.5 for text in some)
    colours = Colours(np.arange(101), "max")
    for value in [*range(101), np.nan]:
        assert contrast(colours.ink(value), colours.of(value)) >= 4.5


def test_the_lighter_the_better(rated):
    def lightness(problem):
        patches = [p for p in grid(problem).axes[0].patches if p.get_width() == 1]
        order = problem.statistics.arms["mean"].to_numpy()
        return np.corrcoef([sum(to_rgb(p.get_facecolor())) for p in patches], order)[0, 1]

    assert lightness(rated) > 0.9
    assert lightness(replace(rated, study=replace(rated.study, mode="min"))) < -0.9


def test_what_is_not_there_stays_hatched(made_up_study):
    def three(cell, seed):
        gone = cell == {"optimizer": "sgd", "init": "xavier"}
        return None if gone else "diverged" if cell["optimizer"] == "sgd" else 0.9 + 0.01 * seed

    axes = grid(only(made_up_study(three, **GRID))).axes[0]
    found = texts(axes)
    assert found.keys() == {(0, 0), (0, 1), (1, 0)}
    assert [t.get_text() for t in found[1, 0]] == ["–", "n = 0\n5 diverged"]
    (hatched,) = [p for p in axes.patches if p.get_hatch()]
    assert (hatched.get_width(), hatched.get_height()) == (2, 2)


def test_every_seed_is_a_dot_behind_its_mean(making_up, tmp_path):
    def some(cell, seed):
        return "diverged" if cell["optimizer"] == "sgd" and seed < 2 else 0.8 + 0.01 * seed

    problem = only(making_up(tmp_path / "first", some, **GRID))
    (axes,) = seeds(problem).axes
    arms = problem.statistics.arms
    runs = problem.study.runs
    assert [t.get_text() for t in axes.get_yticklabels()] == [
        f"{arm['optimizer']} + {arm['init']}" for _, arm in arms.iterrows()
    ]
    dots, crosses = marks(axes), marks(axes, "cross")
    for y, (_, arm) in enumerate(arms.iterrows()):
        drawn = np.sort(dots[np.round(dots[:, 1]) == y, 0])
        same = runs[(runs["cell"] == arm["cell"]) & (runs["status"] == "done")]
        assert drawn == pytest.approx(np.sort(SCALE * same["test/acc"]))
        assert (crosses[:, 1] == y).sum() == arm["diverged"] == 2 * (arm["optimizer"] == "sgd")
        bar = axes.containers[y]
        assert bar.lines[0].get_xdata() == pytest.approx([SCALE * arm["mean"]])
        segment = bar.lines[2][0].get_segments()[0][:, 0]
        assert segment == pytest.approx([SCALE * arm["mean_low"], SCALE * arm["mean_high"]])
    gutter = tick(axes.xaxis, "diverged")
    assert (crosses[:, 0] < dots[:, 0].min()).all()
    assert abs(crosses[:, 0] - gutter).max() < dots[:, 0].min() - gutter


@pytest.mark.parametrize("by", ["epoch", "step", "seconds"])
def test_curves_are_means_of_the_runs_with_students_bands(rated, by):
    figure = curves(rated, by)
    assert [axes.get_title() for axes in figure.axes] == ["adam", "sgd"]
    table = rated.study.curves.merge(rated.study.runs[["study", "run", "cell", "status"]])
    table = table[table["status"] == "done"]
    for axes in figure.axes:
        for number, init in enumerate(["he", "xavier"]):
            (arm,) = [
                arm
                for _, arm in rated.statistics.arms.iterrows()
                if (arm["optimizer"], arm["init"]) == (axes.get_title(), init)
            ]
            grouped = table[table["cell"] == arm["cell"]].groupby("epoch")
            mean = SCALE * grouped["val/acc"].mean()
            n = grouped.size()
            assert set(n) == {arm["n"]}
            line = axes.lines[number]
            assert line.get_xdata() == pytest.approx(grouped[by].mean().to_numpy(float))
            assert line.get_ydata() == pytest.approx(mean.to_numpy())
            assert same_color(line.get_color(), COLOURS[number])
            spread = np.array([stats.sem(SCALE * values) for _, values in grouped["val/acc"]])
            half = stats.t.ppf(0.975, n - 1) * spread
            band = axes.collections[2 * number].get_paths()[0].vertices
            for x, middle, reach in zip(line.get_xdata(), mean, half, strict=True):
                there = band[np.isclose(band[:, 0], x), 1]
                assert [there.min(), there.max()] == pytest.approx([middle - reach, middle + reach])


def test_there_is_nothing_between_epochs(made_up_study):
    (axes,) = curves(only(made_up_study(epochs=3)), "epoch").axes
    assert axes.get_xticks().tolist() == [0, 1, 2]


def test_a_run_that_diverged_ends_in_a_cross(making_up, tmp_path):
    folder = making_up(
        tmp_path / "first", lambda cell, seed: "diverged" if seed == 0 else 0.9, epochs=4
    )
    (lost,) = folder.glob("*-s0-*")
    (lost / "metrics.csv").write_text(
        "step,epoch,val/acc,seconds\n10,0,0.25,1.5\n20,1,0.125,3.5\n30,2,,4.5\n"
    )
    for by, x in {"epoch": 1, "step": 20, "seconds": 3.5}.items():
        (axes,) = curves(only(folder), by).axes
        assert marks(axes, "cross").tolist() == [[x, 12.5]]
        assert len(axes.lines[0].get_xdata()) == 4


def test_sensitivity_draws_each_rate_and_divergence_as_such(rated):
    figure = sensitivity(rated)
    cells = rated.statistics.cells
    assert [axes.get_title() for axes in figure.axes] == ["adam", "sgd"]

    def rate(x):
        """Marks stand beside their rate so that they do not hide each other."""
        return np.array(RATES)[np.abs(np.log(np.asarray(x)[:, None] / RATES)).argmin(1)]

    for axes in figure.axes:
        part = cells[cells["optimizer"] == axes.get_title()]
        assert len(axes.containers) == 2
        for bar, (_, arm) in zip(axes.containers, part.groupby("init"), strict=True):
            x, y = bar.lines[0].get_data()
            assert rate(x).tolist() == RATES
            np.testing.assert_allclose(y, SCALE * arm["mean"])
            segments = bar.lines[2][0].get_segments()
            for segment, (_, cell) in zip(segments, arm.iterrows(), strict=True):
                if cell["n"]:
                    ends = [SCALE * cell["mean_low"], SCALE * cell["mean_high"]]
                    assert segment[:, 1] == pytest.approx(ends)
        crosses = marks(axes, "cross")
        assert sorted(rate(crosses[:, 0])) == {"adam": [0.1], "sgd": [0.1] * 5}[axes.get_title()]
        low = axes.get_ylim()[0]
        assert ((low < crosses[:, 1]) & (crosses[:, 1] < SCALE * cells["mean"].min())).all()
        assert len(marks(axes)) == part["n"].sum()
        (strip,) = [patch for patch in axes.patches if patch.get_y() == low]
        under = [bar.lines[2][0].get_zorder() for bar in axes.containers]
        assert max(under) < strip.get_zorder()  # no interval reaches into it
    _, xavier = [line for line in figure.axes[1].lines if line.is_dashed()]
    assert tick(figure.axes[0].yaxis, "diverged") == pytest.approx(xavier.get_ydata()[-1])


def test_a_diverged_loss_is_above_all_others(rated):
    axes = sensitivity(replace(rated, study=replace(rated.study, mode="min"))).axes[1]
    crosses = marks(axes, "cross")
    assert (crosses[:, 1] > marks(axes)[:, 1].max()).all()


def test_decay_tells_the_mean_of_each_pair_and_frames_what_was_chosen(making_up, tmp_path):
    def some(cell, seed):
        if cell["optimizer.lr"] == 0.1 and cell["optimizer.weight_decay"] == 0.0 and seed == 0:
            return "diverged"
        return 0.8 + cell["optimizer.lr"] + 5 * cell["optimizer.weight_decay"] + 0.001 * seed

    decays = [0.0, 0.001]
    axes = {"optimizer__lr": [0.01, 0.1], "optimizer__weight_decay": decays, "model__p": [0, 1]}
    problem = only(making_up(tmp_path / "first", some, init=["he", "xavier"], **axes))
    figure = decay(problem)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["he", "xavier"]
    cells = problem.statistics.cells.groupby(["optimizer.lr", "optimizer.weight_decay"])
    found = texts(figure.axes[0])
    for (rate, value), part in cells:
        (text,) = found[[0.01, 0.1].index(rate), decays.index(value)]
        mean, *lost = text.get_text().split("\n")
        assert float(mean) == pytest.approx(SCALE * part["mean"].iloc[0], abs=0.05)
        assert lost == (["1 div."] if (rate, value) == (0.1, 0.0) else [])
    (frame,) = [p for p in figure.axes[0].patches if not p.get_fill()]
    assert (round(frame.get_x() + 0.46), round(frame.get_y() + 0.43)) == (1, 1)


def measure(folder, steps=(0, 10)):
    """Writes diagnostics.csv of every run: activations grow by its init's factor a layer."""
    for path in folder.glob("*/result.json"):
        run = path.parent.name
        gain = (0.5 if "-xavier-" in run else 1.0) + 0.01 * int(run.split("-s")[1][0])
        with (path.parent / "diagnostics.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["step", "layer", "activation_std", "grad_std", "sharpness"])
            for step in steps:
                rows.writerow([step, "", "", "", 3.0])
                for depth in range(1, 5):
                    rows.writerow([step, f"hidden.{depth}", gain**depth + step, 0.0, ""])


def test_signal_is_the_median_over_seeds_layer_by_layer(made_up_study):
    folder = made_up_study(**GRID)
    measure(folder)
    figure = signal(only(folder))
    assert [axes.get_title() for axes in figure.axes[::2]] == [
        "θ₀", "adam, after 10 steps", "sgd, after 10 steps",
    ]  # fmt: skip
    for axes, step in zip(figure.axes[::2], (0, 10, 10), strict=True):
        for line, gain in zip(axes.lines, (1.0, 0.5), strict=True):
            depth = np.arange(1, 5)
            assert line.get_xdata().tolist() == depth.tolist()
            assert line.get_ydata() == pytest.approx((gain + 0.02) ** depth + step)
        band = axes.collections[1].get_paths()[0].vertices
        last = band[band[:, 0] == 4, 1]
        assert [last.min(), last.max()] == pytest.approx([0.5**4 + step, 0.54**4 + step])
    assert np.isnan(figure.axes[1].lines[0].get_ydata()).all()  # 0 has no place


def test_signal_at_the_start_alone(made_up_study):
    folder = made_up_study(**GRID)
    measure(folder, steps=(0,))
    assert [axes.get_title() for axes in signal(only(folder)).axes] == ["θ₀", "θ₀"]


def test_diagnostics_that_cannot_be_read_are_told(made_up_study):
    folder = made_up_study(**GRID)
    measure(folder)
    broken = next(folder.glob("adam-he-s0-*")) / "diagnostics.csv"
    broken.write_text("step,layer\n0,hidden\n")
    problem = only(folder)
    line = signal(problem).axes[0].lines[0]
    assert line.get_ydata()[0] == pytest.approx(1.02)  # the median of the nine others
    (told,) = problem.study.broken
    assert told.startswith(f"{broken}: cannot be read: ")


def test_times_of_every_run_and_those_that_never_came(rated):
    figure = times(rated)
    targets = rated.statistics.targets[rated.statistics.targets["chosen"]]
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    order = rated.statistics.times.sort_values(["step", "seconds"])
    assert names == [f"{row['optimizer']} + {row['init']}" for _, row in order.iterrows()]
    assert 0 < targets["reached"].sum() < len(targets)
    for axes, measure in zip(figure.axes, ("step", "seconds"), strict=True):
        dots, crosses = marks(axes), marks(axes, "cross")
        for y, (_, arm) in enumerate(order.iterrows()):
            same = (targets["optimizer"] == arm["optimizer"]) & (targets["init"] == arm["init"])
            drawn = np.sort(dots[np.round(dots[:, 1]) == y, 0])
            assert drawn == pytest.approx(np.sort(targets.loc[same, measure].dropna()))
            assert (crosses[:, 1] == y).sum() == arm["n"] - arm["reached"]
        medians = order[measure][np.isfinite(order[measure])]
        assert [xy[0, 0] for xy in means(axes)] == pytest.approx(medians.tolist())
        assert (crosses[:, 0] > dots[:, 0].max()).all()
    told = figure.get_suptitle()
    assert told == f"until val/acc ≥ {SCALE * targets['target'].iloc[0]:.4g} %"


def test_accuracy_against_cost(making_up, tmp_path):
    def change(content):
        slow = content["choices"]["optimizer"] == "sgd"
        content["cost"].fit_seconds = 2.0 + slow + 0.1 * content["config"]["seed"]

    def some(cell, seed):
        he, sgd = cell["init"] == "he", cell["optimizer"] == "sgd"
        return 0.8 + 0.05 * he + 0.02 * sgd + 0.001 * seed

    problem = only(making_up(tmp_path / "first", some, change=change, **GRID))
    (axes,) = cost(problem).axes
    runs = problem.study.runs
    dots = marks(axes)
    expected = runs[["cost.fit_seconds", "test/acc"]] * [1, SCALE]
    np.testing.assert_allclose(np.sort(dots, 0), np.sort(expected.to_numpy(), 0))
    arms = problem.statistics.arms.sort_values(["optimizer", "init"])
    drawn = np.concatenate(means(axes))
    np.testing.assert_allclose(drawn, arms[["fit_seconds", "mean"]].to_numpy() * [1, SCALE])
    assert axes.lines[0].get_xydata() == pytest.approx(np.array([[2.2, 85.2], [3.2, 87.2]]))


def test_profiles_step_where_shares_rise(rated):
    table = rated.statistics.profiles
    figure = profiles(rated)
    for axes, measure in zip(figure.axes, ("step", "seconds"), strict=True):
        lines = table[table["measure"] == measure].groupby(["optimizer", "init"])
        asides = []
        for line, (_, part) in zip(axes.lines, lines, strict=True):
            assert line.get_xdata()[:-1] == pytest.approx(part["tau"].to_numpy(float))
            aside = line.get_ydata()[:-1] - part["share"].to_numpy(float)
            assert aside == pytest.approx(aside[0])
            asides.append(aside[0])
            assert line.get_drawstyle() == "steps-post"
        assert np.diff(asides) == pytest.approx(0.06 / len(asides))  # none hides another
        assert sum(asides) == pytest.approx(0)


# ------------------------------------------------------------------------------------ what is there


def test_a_study_gets_the_figures_that_it_has_something_for(made_up_study):
    one = only(made_up_study(optimizer__lr=[0.01], seeds=[0], epochs=1, name="one"))
    assert [name for name, figure in FIGURES.items() if figure(one)] == ["seeds", "times"]
    assert profiles(one) is None
    lost = only(made_up_study(lambda cell, seed: "diverged", name="lost", **GRID))
    assert [name for name, figure in FIGURES.items() if figure(lost)] == ["grid"]
    row = only(made_up_study(name="row", optimizer=["adam", "sgd"]))
    assert grid(row) is None and signal(row) is None and sensitivity(row) is None


def test_rates_that_are_compared_are_methods(making_up, tmp_path):
    folder = making_up(tmp_path / "first", outcome, optimizer__lr=RATES, **GRID)
    study = read([folder], compare=["optimizer.lr"])
    (problem,) = problems(study, analyse(study))
    assert sensitivity(problem) is None
    (axes,) = seeds(problem).axes
    assert len(axes.containers) == 12
    assert [a.get_title() for a in grid(problem).axes[:3]] == [f"optimizer.lr={r}" for r in RATES]


def test_settings_drawn_at_random_are_no_grid(made_up_study):
    pairs = {0.001: 0.1, 0.003: 0.2, 0.01: 0.3, 0.1: 0.4, 0.3: 0.5}

    def some(cell, seed):
        return 0.9 if pairs[cell["optimizer.lr"]] == cell["optimizer.weight_decay"] else None

    axes = {"optimizer__lr": list(pairs), "optimizer__weight_decay": list(pairs.values())}
    problem = only(made_up_study(some, **axes))
    assert decay(problem) is None
    assert sensitivity(problem) is not None


def test_each_problem_has_its_own(made_up_study):
    def some(cell, seed):
        return 0.5 + 0.4 * (cell["data"] == "mnist5k") + 0.001 * seed

    study = read([made_up_study(some, data=["digits", "mnist5k"], **GRID)])
    digits, mnist = problems(study, analyse(study))
    assert (digits.title, mnist.title) == ("data=digits", "data=mnist5k")
    for problem, value in ((digits, 50.2), (mnist, 90.2)):
        figure = grid(problem)
        assert figure.get_suptitle() == problem.title
        values = [some[0].get_text() for some in texts(figure.axes[0]).values()]
        assert [float(text) for text in values] == pytest.approx([value] * 4, abs=0.01)
        for run, path in zip(problem.study.runs["run"], problem.study.paths, strict=True):
            assert path.name == run
        for by in ("epoch", "step"):
            assert curves(problem, by).axes[0].lines[0].get_ydata()[-1] == pytest.approx(value)


def test_other_choices_of_a_method_are_panels_of_the_grid(made_up_study):
    figure = grid(only(made_up_study(remedy=["none", "sam"], **GRID)))
    assert [axes.get_title() for axes in figure.axes[:2]] == ["remedy=none", "remedy=sam"]
    assert [len(texts(axes)) for axes in figure.axes[:2]] == [4, 4]


def test_a_method_looks_the_same_in_every_figure(made_up_study):
    inits = [f"init{number}" for number in range(9)]
    study = read([made_up_study(seeds=[0, 1], optimizer=["adam", "sgd"], init=inits)])
    looks = Looks(study)
    found = {(o, i): looks.of({"optimizer": o, "init": i}) for o in ("adam", "sgd") for i in inits}
    assert len(set(found.values())) == 18
    assert {look.marker for (o, _), look in found.items() if o == "sgd"} == {"s"}
    assert {found["adam", i].colour for i in inits} == set(COLOURS)
    assert all(found["adam", i].colour == found["sgd", i].colour for i in inits)
    alone = Looks(read([made_up_study(name="alone", optimizer=["adam", "sgd"])]))
    first, second = (alone.of({"optimizer": o, "init": "he"}) for o in ("adam", "sgd"))
    assert (first.colour, second.colour) == (COLOURS[0], COLOURS[1])


def test_colours_differ_for_the_colour_blind():
    """Deuteranopia as Viénot, Brettel and Mollon (1999) simulate it, and plain luminance."""
    to_lms = np.array(
        [[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.02996, 0.18431, 1.46709]]
    )
    blind = np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])
    seen = [np.linalg.inv(to_lms) @ blind @ to_lms @ np.power(to_rgb(c), 2.2) for c in COLOURS]
    distances = [np.abs(a - b).max() for i, a in enumerate(seen) for b in seen[:i]]
    assert min(distances) > 0.05
    assert min(contrast(colour, "white") for colour in COLOURS) > 2


# -------------------------------------------------------------------------------------- the files


def test_the_files(made_up_study, tmp_path):
    study = read([made_up_study(epochs=1, optimizer=["adam", "sgd"], init=["he", "$x$_{<b>}"])])
    statistics = analyse(study)
    folder = tmp_path / "figures"
    folder.mkdir()
    for name in ("decay.pdf", "curves-step.png", "grid-data=digits.pdf", "grid-mine.pdf", "a.png"):
        (folder / name).write_text("earlier")
    before = dict(matplotlib.rcParams)
    names = draw(study, statistics, folder)
    assert names == ["grid", "seeds", "times", "cost", "profiles"]
    assert dict(matplotlib.rcParams) == before
    written = {path.name: path.read_bytes() for path in folder.iterdir()}
    expected = {f"{name}.{kind}" for name in names for kind in ("pdf", "png")}
    assert set(written) == expected | {"grid-mine.pdf", "a.png"}
    for name in names:
        pdf, png = written[f"{name}.pdf"], written[f"{name}.png"]
        assert pdf.startswith(b"%PDF") and b"CreationDate" not in pdf
        assert b"/Type3" not in pdf and b"/CIDFontType2" in pdf
        assert png.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", png[16:24])
        assert width in (670, 1380) if name != "grid" else 670 <= width <= 1380
        assert height > 150


def test_the_same_study_gives_the_same_bytes(made_up_study, tmp_path, monkeypatch):
    monkeypatch.setattr("theta0.report.figures.FIGURES", {"seeds": seeds, "cost": cost})
    study = read([made_up_study(epochs=1, seeds=[0], init=["he", "xavier"])])
    statistics = analyse(study)
    first, second = tmp_path / "a", tmp_path / "b"
    assert draw(study, statistics, first) == draw(study, statistics, second)
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_a_problem_is_in_the_name_of_its_files(made_up_study, tmp_path, monkeypatch):
    monkeypatch.setattr("theta0.report.figures.FIGURES", {"seeds": seeds})
    study = read([made_up_study(seeds=[0], data=["digits", "a/b"], epochs=1)])
    names = draw(study, analyse(study), tmp_path / "figures")
    assert names == ["seeds-data=a-b", "seeds-data=digits"]


def test_statistics_are_not_needed_in_any_order(rated):
    """Panels stand in the order of names, whatever the best is."""
    arms = rated.statistics.arms.iloc[::-1].reset_index(drop=True)
    other = replace(rated, statistics=replace(rated.statistics, arms=arms))
    lines = [line.get_ydata() for axes in curves(rated, "step").axes for line in axes.lines]
    again = [line.get_ydata() for axes in curves(other, "step").axes for line in axes.lines]
    assert len(lines) == 4
    for a, b in zip(lines, again, strict=True):
        pd.testing.assert_series_equal(pd.Series(a), pd.Series(b))


def test_the_report_draws_them_and_a_sweeps_end_does_not(
    made_up_study, in_process, tmp_path, monkeypatch
):
    folder = made_up_study(seeds=[0], **GRID)
    study = read([folder])
    monkeypatch.setattr("theta0.report.make.recommend", lambda *_: [])
    make(study, folder / "report", lambda overrides: None)
    monkeypatch.undo()
    monkeypatch.setattr("theta0.report.figures.FIGURES", {"grid": grid})
    assert not (folder / "report" / "figures").exists()
    assert in_process(tmp_path, "study=first", program="report.py").code == 0
    names = {path.name for path in (folder / "report" / "figures").iterdir()}
    assert names == {"grid.pdf", "grid.png"}
