"""result.json: what is written is read again, whole, or refused in one line."""

import json
import os
from pathlib import Path

import pytest

from theta0.results import FINISHED, Error, Objective, Result, read_study, write_atomically

FULL = {
    "schema": 1,
    "status": "done",
    "run": "adamw-he-s0-0123456789",
    "study": "first",
    "overrides": ["optimizer=adamw", "seed=0"],
    "choices": {"optimizer": "adamw", "init": "he"},
    "config": {"seed": 0, "model": {"widths": [256, 256]}, "ckpt_path": None, "θ": 0.1},
    "config_hash": "0123456789abcdef",
    "seeds": {"split": 0, "init": 1, "order": 2, "noise": 3},
    "objective": {"metric": "val/acc", "mode": "max", "value": 0.914},
    "metrics": {"val/acc": 0.914, "test/acc": 0.1 + 0.2},
    "start": {"how": "continue", "checkpoint": "a/last.ckpt", "why": "its settings are the same"},
    "best": {"epoch": 3, "step": 220},
    "last_metrics": {"val/acc": 0.9},
    "cost": {
        "steps": 550,
        "epochs": 10,
        "fit_seconds": 1.25,
        "wall_seconds": 1.5,
        "step_seconds": 1.25 / 550,
        "parameters": 269322,
        "trained": 269322,
    },
    "hashes": {"init": "a", "final": "b", "data": "c"},
    "warnings": ["init leaves 9 % of the weights as constructed"],
    "environment": {"python": "3.11", "gpu": [], "git": {"dirty": False}},
    "error": {"type": "ValueError", "message": "bad\nworse", "traceback": "Traceback ..."},
}
REQUIRED = (
    "run", "study", "overrides", "choices", "config", "config_hash", "seeds", "objective",
)  # fmt: skip


def result(**changes):
    return Result.model_validate(FULL | changes)


def on_disk(folder):
    """The file as strict JSON: Python's own reader would take NaN."""

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads((folder / "result.json").read_text(), parse_constant=refuse)


# -------------------------------------------------------------------------------------- round trip


def test_round_trip(tmp_path):
    result().write(tmp_path)
    assert on_disk(tmp_path) == FULL
    assert Result.read(tmp_path) == result()
    assert Result.read(tmp_path).metrics["test/acc"] == 0.1 + 0.2  # to the last bit
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]
    assert (tmp_path / "result.json").read_text().endswith("}\n")


def test_at_the_start(tmp_path):
    """What a run knows before it runs is enough; what it does not know is null or empty."""
    Result(**{key: FULL[key] for key in REQUIRED}).write(tmp_path)
    content = on_disk(tmp_path)
    assert content.keys() == FULL.keys()
    assert content["schema"] == 1
    assert content["status"] == "running"
    assert content["status"] not in FINISHED
    assert content["hashes"] == {"init": None, "final": None, "data": None}
    for key in ("best", "cost", "error"):
        assert content[key] is None
    for key in ("metrics", "last_metrics", "environment"):
        assert content[key] == {}


def test_each_result_has_metrics_of_its_own():
    first = Result(**{key: FULL[key] for key in REQUIRED})
    second = Result(**{key: FULL[key] for key in REQUIRED})
    first.metrics["val/acc"] = 1.0
    first.hashes.init = "a"
    assert second.metrics == {}
    assert second.hashes.init is None


def test_what_is_not_finite_becomes_null(tmp_path):
    nan, inf = float("nan"), float("inf")
    diverged = result(
        metrics={"train/loss": nan, "val/loss": inf, "val/acc": 0.5},
        last_metrics={"val/loss": -inf},
        objective={"metric": "val/loss", "mode": "min", "value": nan},
        config={"a": [1.0, inf, {"b": (nan, 2)}]},
    )
    diverged.write(tmp_path)
    content = on_disk(tmp_path)
    assert content["metrics"] == {"train/loss": None, "val/loss": None, "val/acc": 0.5}
    assert content["last_metrics"] == {"val/loss": None}
    assert content["objective"]["value"] is None
    assert content["config"] == {"a": [1.0, None, {"b": [None, 2]}]}
    assert Result.read(tmp_path).metrics["train/loss"] is None


def test_the_worst_objective():
    assert Objective(metric="val/loss", mode="min").worst == float("inf")
    assert Objective(metric="val/acc", mode="max").worst == -float("inf")


def test_the_line_of_an_error():
    error = Error(type="ValueError", message="\nthe first\nthe second", traceback="")
    assert error.line == "the first"
    assert Error(type="KeyboardInterrupt", message=" \n", traceback="").line == "KeyboardInterrupt"


# ------------------------------------------------------------------------------------------- atomic


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path, monkeypatch, call, error):
    result(status="running").write(tmp_path)
    before = (tmp_path / "result.json").read_bytes()

    def fail(*arguments, **keywords):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(type(error)):
            result(status="done", config={"long": "x" * 10**5}).write(tmp_path)
    assert (tmp_path / "result.json").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]
    result(status="done").write(tmp_path)
    assert Result.read(tmp_path).status == "done"


def test_a_first_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        result().write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_never_sees_half_a_file(tmp_path, monkeypatch):
    """The whole text lies on disk before it takes the old one's place."""
    seen = []
    replace = os.replace

    def look(source, target):
        seen.append((Path(source).read_text(), Path(target).read_text()))
        replace(source, target)

    write_atomically(tmp_path / "a.txt", "old")
    monkeypatch.setattr(os, "replace", look)
    write_atomically(tmp_path / "a.txt", "new" * 10**5)
    assert seen == [("new" * 10**5, "old")]
    assert (tmp_path / "a.txt").read_text() == "new" * 10**5


def test_others_may_read_a_result(tmp_path):
    result().write(tmp_path)
    assert (tmp_path / "result.json").stat().st_mode & 0o777 == 0o644


# ------------------------------------------------------------------------------------------ reading


def refusal(folder):
    with pytest.raises(ValueError) as error:
        Result.read(folder)
    line = str(error.value)
    assert type(error.value) is ValueError
    assert "\n" not in line
    assert line.startswith(f"{folder}")
    return line


def test_no_result(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}: no run here (result.json is missing)"
    assert "no run here" in refusal(tmp_path / "nowhere")


TEXT = json.dumps(FULL)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        TEXT.encode()[: len(TEXT) // 2],
        b"not json",
        b"\xff\xfe",
        b"[]",
        json.dumps(FULL | {"surprise": 1}).encode(),
        json.dumps(FULL | {"status": "finished"}).encode(),
        json.dumps(FULL | {"seeds": {"split": 0}}).encode(),
        json.dumps({k: v for k, v in FULL.items() if k != "run"}).encode(),
    ],
    ids=["empty", "cut", "text", "bytes", "list", "key", "status", "seeds", "missing"],
)
def test_a_broken_result(tmp_path, content):
    (tmp_path / "result.json").write_bytes(content)
    assert refusal(tmp_path).startswith(f"{tmp_path / 'result.json'}: cannot be read: ")


def test_read_study(tmp_path):
    for name, status in (("b", "done"), ("a", "failed"), ("c", "running")):
        (tmp_path / name).mkdir()
        result(run=name, status=status).write(tmp_path / name)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "result.json").write_text("{")
    (tmp_path / "report").mkdir()
    results, broken = read_study(tmp_path)
    assert [(r.run, r.status) for r in results] == [
        ("a", "failed"),
        ("b", "done"),
        ("c", "running"),
    ]
    assert len(broken) == 1
    assert broken[0].startswith(f"{tmp_path / 'broken' / 'result.json'}: cannot be read: ")
    assert read_study(tmp_path / "nowhere") == ([], [])


def test_runs_share_what_is_the_same_in_their_configurations(tmp_path):
    configs = [{"lr": lr, "model": {"widths": [16, width]}} for lr, width in ((1, 1), (1.0, 1.0))]
    configs += [configs[0] | {"lr": 2}]
    for number, config in enumerate(configs):
        (tmp_path / f"{number}").mkdir()
        result(config=config).write(tmp_path / f"{number}")
    read = [r.config for r in read_study(tmp_path)[0]]
    assert repr(read) == repr(configs)
    assert read[0]["model"] is read[2]["model"] is not read[1]["model"]
