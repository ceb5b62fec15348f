"""results.csv and results.parquet on made-up results."""

import os

import numpy as np
import pandas as pd
import pytest

from theta0.results import Error, Result
from theta0.sweep.runs import table, write


def made(seed=0, status="done", acc=0.9, lr=0.1, **changes):
    done = status == "done"
    content = {
        "status": status,
        "run": f"adam-he-s{seed}-0123456789",
        "study": "first",
        "overrides": ["optimizer=adam", f"optimizer.lr={lr}", f"seed={seed}"],
        "choices": {"optimizer": "adam", "init": "he", "data": "mnist5k"},
        "config": {"seed": seed, "optimizer": {"lr": lr}},
        "config_hash": "0123456789",
        "seeds": {"split": 0, "init": seed, "order": seed, "noise": seed},
        "objective": {"metric": "val/acc", "mode": "max", "value": acc if done else None},
        "metrics": {"val/acc": acc, "test/acc": acc - 0.01} if done else {},
        "last_metrics": {"val/acc": acc} if done else {},
        "best": {"epoch": 3, "step": 40} if done else None,
        "hashes": {"init": "a", "final": "b", "data": "c"} if done else {},
        "environment": {
            "git": {"sha": "abc", "dirty": True},
            "python": "3.11",
            "packages": {"torch": "2.15.0"},
            "gpu": ["H100", "H100"],
        },
    }
    return Result(**(content | changes))


def written(results, folder) -> pd.DataFrame:
    write(table(results), folder)
    return pd.read_csv(folder / "results.csv", dtype=str, keep_default_na=False)


def test_one_row_a_run(tmp_path):
    rows = written([made(seed=1, lr=0.1, acc=0.1 + 0.2), made(lr=0.01)], tmp_path)
    assert rows.iloc[0].to_dict() == {
        "study": "first",
        "run": "adam-he-s1-0123456789",
        "status": "done",
        "cell": "adam|he|optimizer.lr=0.1",
        "optimizer": "adam",
        "init": "he",
        "data": "mnist5k",
        "optimizer.lr": "0.1",
        "seed": "1",
        "seeds.split": "0",
        "seeds.init": "1",
        "seeds.order": "1",
        "seeds.noise": "1",
        "objective.metric": "val/acc",
        "objective.mode": "max",
        "objective.value": "0.30000000000000004",  # to the last bit
        "val/acc": "0.30000000000000004",
        "test/acc": "0.29000000000000004",
        "last.val/acc": "0.30000000000000004",
        "best.epoch": "3",
        "best.step": "40",
        "cost.steps": "",
        "cost.epochs": "",
        "cost.fit_seconds": "",
        "cost.wall_seconds": "",
        "cost.step_seconds": "",
        "cost.parameters": "",
        "cost.trained": "",
        "hashes.init": "a",
        "hashes.final": "b",
        "hashes.data": "c",
        "config_hash": "0123456789",
        "environment.git.sha": "abc",
        "environment.git.dirty": "True",
        "environment.python": "3.11",
        "environment.packages.torch": "2.15.0",
        "environment.cpu.model": "",
        "environment.threads": "",
        "environment.gpu": "H100, H100",
        "error.type": "",
        "error": "",
    }
    assert rows["cell"].tolist() == ["adam|he|optimizer.lr=0.1", "adam|he|optimizer.lr=0.01"]


def test_parquet_holds_the_same(tmp_path):
    frame = table([made(), made(seed=1, status="failed"), made(seed=2, lr=1)])
    write(frame, tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "results.parquet"), frame)
    assert frame["optimizer.lr"].tolist() == [0.1, 0.1, 1.0]
    assert frame["val/acc"].dtype == np.float64


def test_a_number_too_large_for_parquet_is_text(tmp_path):
    write(table([made(lr=2**70), made(seed=1, lr=1)]), tmp_path)
    assert pd.read_parquet(tmp_path / "results.parquet")["optimizer.lr"].tolist() == [
        "1180591620717411303424", "1",
    ]  # fmt: skip


def test_columns_do_not_depend_on_which_run_comes_first(tmp_path):
    results = [made(status="failed"), made(seed=1, status="diverged"), made(seed=2)]
    forward, backward = table(results), table(results[::-1])
    assert list(backward.columns) == list(forward.columns)
    columns = list(forward.columns)
    assert columns.index("seeds.noise") < columns.index("val/acc") < columns.index("best.epoch")
    pd.testing.assert_frame_equal(backward[::-1].reset_index(drop=True), forward, check_dtype=False)


def test_an_error_is_one_line(tmp_path):
    message = '\n  the weights, they "exploded"\nat layer 3\n'
    error = Error(type="RuntimeError", message=message, traceback="a\nb\n")
    silent = Error(type="KeyError", message="", traceback="a\nb\n")
    results = [made(status="failed", error=e) for e in (error, silent)] + [made(seed=2)]
    rows = written(results, tmp_path)
    assert rows["error"].tolist() == ['the weights, they "exploded"', "KeyError", ""]
    assert rows["error.type"].tolist() == ["RuntimeError", "KeyError", ""]
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 4


def test_a_metric_that_is_null_is_no_number(tmp_path):
    rows = written([made(metrics={"val/acc": None, "val/loss": 0.5})], tmp_path)
    assert (rows["val/acc"][0], rows["val/loss"][0]) == ("", "0.5")


def test_lists_and_truth_values_are_told_as_they_are_typed():
    results = [
        made(overrides=[f"model.widths={w}", f"optimizer.fused={f}"],
             config={"seed": 0, "model": {"widths": w}, "optimizer": {"fused": f}})
        for w, f in (([8, 8], True), ([256], False))
    ]  # fmt: skip
    frame = table(results)
    assert frame["model.widths"].tolist() == ["[8,8]", "[256]"]
    assert frame["optimizer.fused"].tolist() == [True, False]
    assert frame["cell"].tolist() == [
        "adam|he|model.widths=[8,8]|optimizer.fused=true",
        "adam|he|model.widths=[256]|optimizer.fused=false",
    ]


def test_what_a_run_does_not_have():
    results = [made(choices={"optimizer": "adam", "init": "he", "remedy": "ema"}), made(seed=1)]
    results[1].config["optimizer"].pop("lr")
    frame = table(results)
    assert frame["remedy"].tolist() == ["ema", "none"]
    assert frame["optimizer.lr"].isna().tolist() == [False, True]


@pytest.mark.parametrize("name", ["results.csv", "results.parquet"])
def test_a_file_is_replaced_in_one_step(tmp_path, monkeypatch, name):
    write(table([made()]), tmp_path)
    before = (tmp_path / name).read_bytes()

    def fail(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        write(table([made(), made(seed=1)]), tmp_path)
    assert (tmp_path / name).read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["results.csv", "results.parquet"]


def test_the_table_of_nothing(tmp_path):
    write(table([]), tmp_path)
    assert (tmp_path / "results.csv").read_text() == "\n"
    assert len(pd.read_parquet(tmp_path / "results.parquet")) == 0
