"""A stranger's studies through every program: no code runs, nothing elsewhere changes, no server is
called, and each is answered in lines, not in a traceback."""

import hashlib
import json
import os
import pickle
import socket
import sqlite3
from pathlib import Path

import pytest
import yaml

import theta0.run
from theta0.identity import choices_of, resolve
from theta0.results import Cost, Result

TRAIN = str(Path(__file__).parents[1] / "src" / "train.py")
WORDS = ("data=digits", "trainer=cpu", "logger=none", "study=s")
ESCAPE = "\x1b[2J\x1b]52;c;aGk=\x07"


class Touch:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.fixture
def study(compose, tmp_path):
    """A study of two runs without training, beside a folder that no one may change."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").write_text("kept")
    folder = tmp_path / "here" / "logs" / "s"
    for seed in (0, 1):
        words = [*WORDS, f"seed={seed}"]
        config = compose(*words)
        plain = resolve(config)
        run = folder / config.hydra.sweep.subdir
        run.mkdir(parents=True)
        Result(
            status="done",
            run=run.name,
            study="s",
            overrides=words,
            choices=choices_of(config.hydra),
            config=plain,
            config_hash="0" * 64,
            seeds=plain["seeds"],
            objective=plain["objective"] | {"value": 0.5 + seed / 10},
            metrics={"val/acc": 0.5, "test/acc": 0.5 + seed / 10, "val/loss": 1.0},
            cost=Cost(
                steps=1, epochs=1, fit_seconds=1.0, wall_seconds=1.0, step_seconds=1.0,
                parameters=1, trained=1,
            ),
        ).write(run)  # fmt: skip
        (run / "config.resolved.yaml").write_text(yaml.safe_dump(plain))
        (run / "metrics.csv").write_text("epoch,step,val/acc,seconds\n0,1,0.5,1.0\n")
        (run / "run.log").write_text("a line\n")
    commands(folder, *WORDS)
    return folder


def commands(study, *words):
    entry = {"multirun": True, "overrides": list(words), "time": "now"}
    (study / "commands.yaml").write_text(yaml.safe_dump([entry]))


def edited(study, **changes):
    """Every record with these entries changed, those of dictionaries one by one."""
    for path in study.glob("*/result.json"):
        told = json.loads(path.read_text())
        for key, value in changes.items():
            told[key] = (told[key] or {}) | value if isinstance(value, dict) else value
        path.write_text(json.dumps(told))


def evil(study):
    return {"_target_": "os.system", "command": f"touch {outside(study)}/touched"}


def outside(study):
    return study.parents[2] / "outside"


def replayed_interpolation(study):
    text = rf"$\{{oc.decode:'{{_target_: os.system, command: touch {outside(study)}/touched}}'\}}"
    commands(study, *WORDS, f"+callbacks.x={text}")


def replayed_cluster(study):
    commands(study, *WORDS, "hydra/launcher=ray", "hydra.launcher.address=evil.example:1")


def replayed_without_end(study):
    (study / "commands.yaml").write_text("[" * 20_000)


def replayed_from_a_pipe(study):
    (study / "commands.yaml").unlink()
    os.mkfifo(study / "commands.yaml")


def target_in_a_record(study):
    edited(study, config={"callbacks": {"x": evil(study)}})


def logger_as_callback(study):
    edited(study, config={"callbacks": {"x": {"_target_": "theta0.tracking.wandb_logger"}}})


def option_that_is_a_path(study):
    (outside(study) / "x.yaml").write_text(yaml.safe_dump(evil(study)))
    edited(study, choices={"optimizer": "../../../outside/x", "+hydra.callbacks.x": "y"})


def interpolation_in_a_record(study):
    edited(study, config={"tags": ["${oc.env:HOME}", "${oc.decode:'{_target_: os.system}'}"]})


def escapes_in_a_record(study):
    edited(
        study,
        status="failed",
        overrides=[*WORDS, f"tags=['{ESCAPE}']"],
        config={"tags": [ESCAPE]},
        error={"type": "E", "message": f"{ESCAPE}\nmore", "traceback": ESCAPE},
    )


def escapes_in_a_choice(study):
    edited(study, choices={"optimizer": ESCAPE, ESCAPE: "x"})


def markup_and_formulas(study):
    edited(
        study,
        choices={"optimizer": "=cmd|' /C calc'!A0", "model": "</script><script>alert(1)</script>"},
        error={"type": "[red]", "message": "<img src=x onerror=alert(1)> $\\frac", "traceback": ""},
    )


def name_that_is_a_path(study):
    edited(study, run="../../../outside", status="running")


def links(study):
    for run in study.iterdir():
        if run.is_dir():
            (run / "run.log").unlink()
            (run / "run.log").symlink_to(outside(study) / "kept")


def linked_report(study):
    (study / "report").symlink_to(outside(study))


def linked_commands(study):
    (study / "commands.yaml").unlink()
    (study / "commands.yaml").symlink_to(outside(study) / "kept")


def linked_run(study):
    (study / "linked").symlink_to(next(p for p in study.iterdir() if p.is_dir()))


def pipes(study):
    for run in study.iterdir():
        if run.is_dir():
            for name in ("result.json", "metrics.csv", "run.log"):
                (run / name).unlink()
                os.mkfifo(run / name)


def copies_without_end(study):
    for path in study.glob("*/config.resolved.yaml"):
        path.write_text("[" * 20_000)


def records_without_end(study):
    for path in study.glob("*/result.json"):
        path.write_text('{"config": ' + "[" * 100_000)


def numbers_without_end(study):
    for path in study.glob("*/result.json"):
        path.write_text(path.read_text().replace('"seed": ', '"seed": 1' + "0" * 5000))


def database(study):
    with sqlite3.connect(study / "optuna.db") as file:
        file.execute("CREATE TABLE x (y)")
        file.execute("INSERT INTO x VALUES (?)", (pickle.dumps(Touch(outside(study) / "t")),))
    commands(study, *WORDS, "hydra/sweeper=optuna", "optimizer.lr=interval(1e-3,1e-1)")


HOSTILE = [
    replayed_interpolation, replayed_cluster, replayed_without_end, replayed_from_a_pipe,
    target_in_a_record, logger_as_callback, option_that_is_a_path, interpolation_in_a_record,
    escapes_in_a_record, escapes_in_a_choice, markup_and_formulas, name_that_is_a_path, links,
    linked_report, linked_commands, linked_run, pipes, copies_without_end, records_without_end,
    numbers_without_end, database,
]  # fmt: skip


def tree(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.__name__)
def test_a_hostile_study(in_process, study, monkeypatch, hostile):
    def perform(folder, config, result):
        result.status = "done"
        result.write(folder)
        return result

    called = []
    monkeypatch.setattr(theta0.run, "perform", perform)
    monkeypatch.setattr("theta0.report.figures.draw", lambda *_: None)  # seconds, of words alone
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: called.append(address))
    hostile(study)
    before, here = tree(outside(study)), study.parents[1]
    run = next(path for path in sorted(study.iterdir()) if path.is_dir())
    for program, words in {
        TRAIN: ("-m", "study=s"),
        "eval.py": (f"run={run}",),
        "reproduce.py": (f"run={run}", "folder=again"),
        "report.py": ("study=s",),
    }.items():
        ran = in_process(here, *words, program=program)
        assert ran.code in (0, 1, 2)
        assert "Traceback" not in ran.out + ran.err, ran.err
        assert "\x1b" not in ran.out + ran.err
        assert all(line.startswith("theta0: ") for line in ran.err.splitlines()), ran.err
        assert ran.code != 2 or ran.err.count("\n") == 1
        assert tree(outside(study)) == before
        assert called == []
    if (study / "report" / "index.html").exists():
        page = (study / "report" / "index.html").read_text()
        assert "kept" not in page
        assert "<script>alert" not in page
    for path in study.rglob("recommended.yaml"):
        assert "os.system" not in path.read_text()
        assert "${" not in path.read_text()
    for path in filter(Path.is_file, study.rglob("*.csv")):
        assert not any(cell.startswith("=") for cell in path.read_text().split(","))
