"""Cells and the table of a study, on made-up results whose numbers are known by hand."""

import io
import statistics

import pytest
from rich.console import Console

from theta0.results import Cost, Result
from theta0.sweep.table import cell_columns, cells, print_whole, summary


def made(optimizer="adam", init="he", seed=0, status="done", **changes):
    """A finished run; `acc` is its val/acc, `lr` an override, `choices` adds to its groups."""
    acc = changes.pop("acc", 0.9)
    lr = changes.pop("lr", None)
    overrides = [f"optimizer={optimizer}", f"init={init}", f"seed={seed}"]
    overrides += [f"optimizer.lr={lr}"] if lr is not None else []
    known = status == "done"
    content = {
        "status": status,
        "run": f"{optimizer}-{init}-s{seed}-0123456789",
        "study": "first",
        "overrides": overrides + changes.pop("overrides", []),
        "choices": {"optimizer": optimizer, "init": init, "data": "mnist5k"}
        | changes.pop("choices", {}),
        "config": {"seed": seed, "optimizer": {"lr": 0.001 if lr is None else lr}}
        | changes.pop("config", {}),
        "config_hash": "0123456789",
        "seeds": {"split": 0, "init": seed, "order": seed, "noise": seed},
        "objective": {"metric": "val/acc", "mode": "max", "value": acc if known else None},
        "metrics": {"val/acc": acc, "test/acc": acc - 0.01} if known else {},
        "cost": cost(1.0),
    }
    return Result(**(content | changes))


def cost(wall):
    return Cost(
        steps=10,
        epochs=1,
        fit_seconds=1.0,
        wall_seconds=wall,
        step_seconds=0.1,
        parameters=7,
        trained=7,
    )


def table(results):
    """The rows of the table as dicts, by column."""
    shown = summary(results, title="study first")
    assert shown.title == "study first"
    columns = [(column.header, list(column.cells)) for column in shown.columns]
    return [{header: texts[i] for header, texts in columns} for i in range(len(shown.rows))]


# -------------------------------------------------------------------------------------------- cells


def test_a_cell_is_all_but_the_seeds():
    results = [made(o, i, s) for s in (1, 0, 2) for o in ("sgd", "adam") for i in ("xavier", "he")]
    grouped = cells(results)
    assert list(grouped) == [("adam", "he"), ("adam", "xavier"), ("sgd", "he"), ("sgd", "xavier")]
    for (optimizer, init), runs in grouped.items():
        assert {(r.choices["optimizer"], r.choices["init"]) for r in runs} == {(optimizer, init)}
        assert [r.config["seed"] for r in runs] == [1, 0, 2]


@pytest.mark.parametrize("key", ["seed", "seeds.init", "seeds.split", "seeds.order"])
def test_no_seed_opens_a_cell(key):
    name, _, stream = key.partition(".")
    other = made(overrides=[f"{key}=5"], config={name: {stream: 5} if stream else 5})
    assert list(cells([made(), other])) == [("adam", "he")]


@pytest.mark.parametrize("key", ["study=other", "tags=[a]", "threads=2", "logger=none"])
def test_nor_does_what_is_no_identity(key):
    name, _, value = key.partition("=")
    results = [made(config={name: "before"}), made(overrides=[key], config={name: value})]
    assert cell_columns(results) == ["optimizer", "init"]


def test_what_varies_becomes_a_column():
    results = [
        made(lr=0.1),
        made(lr=0.2),
        made(),
        made(choices={"data": "digits"}, overrides=["data=digits"]),
    ]
    assert cell_columns(results) == ["optimizer", "init", "data", "optimizer.lr"]
    assert list(cells(results)) == [
        ("adam", "he", "digits", "0.001"),
        ("adam", "he", "mnist5k", "0.001"),
        ("adam", "he", "mnist5k", "0.1"),
        ("adam", "he", "mnist5k", "0.2"),
    ]


def test_what_is_said_but_does_not_vary_is_no_column():
    assert cell_columns([made("sgd", lr=0.1), made("adam", lr=0.1)]) == ["optimizer", "init"]
    spoken = made(lr=0.001)  # the default, said aloud
    assert list(cells([made(), spoken])) == [("adam", "he")]


def test_a_group_that_only_some_runs_have():
    results = [made(), made(choices={"remedy": "dropout"})]
    assert cell_columns(results) == ["optimizer", "init", "remedy"]
    assert len(cells(results)) == 2


@pytest.mark.parametrize("group", ["logger", "trainer", "diagnostics", "search", "debug", "paths"])
def test_a_group_that_says_how_a_run_is_done_opens_no_cell(group):
    results = [made(), made(seed=1, choices={group: "other"}, overrides=[f"{group}=other"])]
    assert cell_columns(results) == ["optimizer", "init"]


def test_what_another_choice_brings_along_is_no_column():
    """Fixup brings its model; said by itself, a model is a choice like any other."""
    results = [made(choices={"model": "mlp"}), made(init="fixup", choices={"model": "fixup_mlp"})]
    assert cell_columns(results) == ["optimizer", "init"]
    for result in results:
        result.overrides.append(f"model={result.choices['model']}")
    assert cell_columns(results) == ["optimizer", "init", "model"]


def test_an_experiment_is_a_column_only_if_nothing_else_tells_its_runs_apart():
    choices = {"experiment": "example"}
    by_hand, same = made(seed=1), made(choices=choices)
    assert cell_columns([by_hand, same]) == ["optimizer", "init"]
    longer = made(choices=choices, config={"trainer": {"max_epochs": 9}})
    assert cell_columns([by_hand, longer]) == ["optimizer", "init", "experiment"]


def test_what_no_override_says_and_differs_within_a_cell_is_a_column():
    """As between studies with another default between them; where data lies is no difference."""

    def run(seed, epochs, place):
        data = {"root": place, "order_seed": seed}
        paths = {"data_dir": place}
        trainer = {"max_epochs": epochs}
        config = {"seed": seed, "optimizer": {"lr": 0.1}, "trainer": trainer}
        return made(seed=seed, config=config | {"data": data, "paths": paths})

    assert cell_columns([run(0, 5, "here"), run(1, 5, "there")]) == ["optimizer", "init"]
    columns = cell_columns([run(0, 5, "here"), run(1, 6, "there")])
    assert columns == ["optimizer", "init", "trainer.max_epochs"]


# ---------------------------------------------------------------------------------------- the table


def test_mean_and_sample_deviation():
    """0.90, 0.92, 0.97: mean 0.93, √((0.03² + 0.01² + 0.04²)/2) = 0.036056."""
    values = [0.90, 0.92, 0.97]
    assert statistics.stdev(values) == pytest.approx(0.036056, abs=1e-6)
    (row,) = table([made(seed=s, acc=acc, cost=cost(s + 1.0)) for s, acc in enumerate(values)])
    assert row == {
        "optimizer": "adam",
        "init": "he",
        "val/acc": "0.9300 ± 0.0361",
        "test/acc": "0.9200 ± 0.0361",
        "n": "3",
        "seconds": "2.0",
    }


def test_one_run_has_no_deviation():
    (row,) = table([made(acc=0.5)])
    assert (row["val/acc"], row["test/acc"], row["n"]) == ("0.5000", "0.4900", "1")


def test_only_runs_that_are_done_are_averaged():
    """Whatever the others' last metrics were; they are counted beside."""
    poor = {"val/acc": 0.1, "test/acc": 0.1}
    results = [
        made(seed=0, acc=0.8),
        made(seed=1, acc=0.9),
        made(seed=2, status="diverged", metrics=poor),
        made(seed=3, status="diverged", metrics=poor),
        made(seed=4, status="failed", metrics=poor, cost=None),
        made(seed=5, status="running", metrics=poor, cost=None),
        made(seed=6, status="interrupted", metrics=poor, cost=None),
    ]
    (row,) = table(results)
    assert row["val/acc"] == "0.8500 ± 0.0707"
    assert row["test/acc"] == "0.8400 ± 0.0707"
    assert (row["n"], row["diverged"], row["failed"]) == ("7", "2", "1")
    assert table(results[::-1]) == [row]


def test_a_cell_in_which_none_is_done():
    results = [made("sgd", status="diverged"), made("adam", acc=0.8)]
    adam, sgd = table(results)
    assert (adam["val/acc"], adam["diverged"]) == ("0.8000", "")
    assert (sgd["val/acc"], sgd["test/acc"], sgd["n"], sgd["diverged"]) == ("–", "–", "1", "1")


def test_a_metric_that_is_null():
    """NaN becomes null in result.json: not a number to average."""
    results = [made(seed=0, acc=0.8), made(seed=1, metrics={"val/acc": None, "test/acc": 0.5})]
    (row,) = table(results)
    assert row["val/acc"] == "0.8000"
    assert row["test/acc"] == f"{(0.79 + 0.5) / 2:.4f} ± {statistics.stdev([0.79, 0.5]):.4f}"


def test_a_regression_shows_its_losses():
    (row,) = table([made(metrics={"val/loss": 0.25, "test/loss": 0.5, "val/mse": 0.25})])
    assert [key for key in row if "/" in key] == ["val/loss", "test/loss"]
    assert (row["val/loss"], row["test/loss"]) == ("0.2500", "0.5000")


def test_what_varied_stands_in_the_table():
    results = [made(lr=0.1, acc=0.9), made(lr=0.2, acc=0.8)]
    assert [(row["optimizer.lr"], row["val/acc"]) for row in table(results)] == [
        ("0.1", "0.9000"),
        ("0.2", "0.8000"),
    ]


def test_the_table_of_nothing():
    assert table([]) == []


@pytest.mark.parametrize(("terminal", "width"), [(True, 60), (True, 105), (True, 106), (False, 80)])
def test_nothing_is_cut_off_where_there_is_no_room(terminal, width):
    """Cells are broken at spaces, and only where a terminal is too narrow."""
    choices = {"remedy": "dropout+label_smoothing"}
    results = [
        made("schedule_free_adamw", seed=seed, acc=0.8 + seed / 10, choices=choices)
        for seed in (0, 1)
    ]
    results += [made("schedule_free_adamw", seed=seed, acc=0.5) for seed in (0, 1)]
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=width, color_system=None)
    print_whole(summary(results, title="study first"), console)
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    words = {word for line in lines for word in line.strip("│┃").split()}
    assert words >= {"optimizer", "schedule_free_adamw", "dropout+label_smoothing", "seconds"}
    assert words >= {"0.8500", "0.0707", "0.8400", "0.5000", "val/acc", "test/acc", "1.0"}
    broken = terminal and width < 106
    assert any("0.8500 ± 0.0707" in line for line in lines) is not broken
    assert max(map(len, lines)) == (91 if broken else 106)


def test_values_are_shown_as_in_results_csv():
    """`true` and `none`, and 0.3 where a range gave 0.30000000000000004."""
    values = [True, None, 0.1 + 0.2]
    results = [made(seed=n) for n in range(len(values))]
    for result, value in zip(results, values, strict=True):
        result.config["optimizer"]["nesterov"] = value
        result.overrides.append(f"optimizer.nesterov={value}")
    shown = list(summary(results, "s").columns[2].cells)
    assert sorted(shown) == ["0.3", "none", "true"]


def test_what_is_not_finite_is_in_no_mean():
    results = [
        made(seed=0, acc=0.8),
        made(seed=1, acc=float("nan")),
        made(seed=2, acc=float("inf")),
    ]
    (row,) = zip(*(column.cells for column in summary(results, "s").columns), strict=True)
    assert row[2] == "0.8000"
