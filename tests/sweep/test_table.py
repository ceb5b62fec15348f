"""The table and the CSV of a study, on made-up results whose numbers are known by hand."""

import csv
import io
import os
import statistics

import pytest
from rich.console import Console

from theta0.results import Cost, Error, Result
from theta0.sweep.table import cell_columns, cells, print_whole, summary, write_csv


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


def rows(results, folder):
    write_csv(results, folder / "results.csv")
    with open(folder / "results.csv", newline="") as file:
        return list(csv.DictReader(file))


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
    results = [made(), made(choices={"experiment": "example"})]
    assert cell_columns(results) == ["optimizer", "init", "experiment"]
    assert len(cells(results)) == 2


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


# ------------------------------------------------------------------------------------------ the CSV


def test_one_row_a_run(tmp_path):
    results = [
        made("sgd", seed=1, lr=0.1, acc=0.75, hashes={"init": "a", "final": "b", "data": "c"}),
        made("adam", seed=0, lr=0.2, acc=0.1 + 0.2, best={"epoch": 3, "step": 40}),
    ]
    first, second = rows(results, tmp_path)
    assert first == {
        "study": "first",
        "run": "sgd-he-s1-0123456789",
        "status": "done",
        "optimizer": "sgd",
        "init": "he",
        "data": "mnist5k",
        "optimizer.lr": "0.1",
        "seeds.split": "0",
        "seeds.init": "1",
        "seeds.order": "1",
        "seeds.noise": "1",
        "val/acc": "0.75",
        "test/acc": "0.74",
        "best.epoch": "",
        "best.step": "",
        "cost.steps": "10",
        "cost.epochs": "1",
        "cost.fit_seconds": "1.0",
        "cost.wall_seconds": "1.0",
        "cost.step_seconds": "0.1",
        "cost.parameters": "7",
        "cost.trained": "7",
        "hashes.init": "a",
        "hashes.final": "b",
        "hashes.data": "c",
        "config_hash": "0123456789",
        "error": "",
    }
    assert list(second) == list(first)
    assert second["optimizer.lr"] == "0.2"
    assert float(second["val/acc"]) == 0.1 + 0.2  # to the last bit
    assert (second["best.epoch"], second["best.step"]) == ("3", "40")
    assert second["hashes.init"] == ""


def test_columns_do_not_depend_on_which_run_comes_first(tmp_path):
    """A failed run, which has neither metrics nor cost, puts them nowhere else."""
    results = [
        made("sgd", status="failed", cost=None),
        made("adam", status="diverged"),
        made("adam", seed=1, best={"epoch": 0, "step": 1}),
    ]
    forward, backward = rows(results, tmp_path), rows(results[::-1], tmp_path)
    columns = list(forward[0])
    assert columns[:6] == ["study", "run", "status", "optimizer", "init", "data"]
    assert columns.index("seeds.noise") < columns.index("val/acc") < columns.index("best.epoch")
    assert columns[-2:] == ["config_hash", "error"]
    assert list(backward[0]) == columns
    assert backward == forward[::-1]
    assert [row["val/acc"] for row in forward] == ["", "", "0.9"]
    assert [row["cost.steps"] for row in forward] == ["", "10", "10"]


def test_an_error_is_one_line(tmp_path):
    message = '\n  the weights, they "exploded"\nat layer 3\n'
    error = Error(type="RuntimeError", message=message, traceback="a\nb\n")
    silent = Error(type="KeyError", message="", traceback="a\nb\n")
    results = [
        made(status="failed", error=error),
        made(seed=1, status="failed", error=silent),
        made(seed=2),
    ]
    found = rows(results, tmp_path)
    assert [row["error"] for row in found] == ['the weights, they "exploded"', "KeyError", ""]
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 4


def test_a_metric_that_is_null_is_an_empty_field(tmp_path):
    (row,) = rows([made(metrics={"val/acc": None, "val/loss": 0.5})], tmp_path)
    assert (row["val/acc"], row["val/loss"]) == ("", "0.5")


def test_a_list_is_one_field(tmp_path):
    results = [
        made(overrides=["model.widths=[8,8]"], config={"model": {"widths": [8, 8]}}),
        made(config={"model": {"widths": [256]}}),
    ]
    assert [row["model.widths"] for row in rows(results, tmp_path)] == ["[8, 8]", "[256]"]


def test_the_csv_is_replaced_in_one_step(tmp_path, monkeypatch):
    rows([made()], tmp_path)
    before = (tmp_path / "results.csv").read_bytes()

    def fail(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        write_csv([made(), made(seed=1)], tmp_path / "results.csv")
    assert (tmp_path / "results.csv").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["results.csv"]


def test_the_csv_of_nothing(tmp_path):
    assert rows([], tmp_path) == []
