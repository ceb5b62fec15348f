"""Runs and sweeps against a W&B server: what each run becomes there."""

import csv
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, clean_environment
from waiting import until

HOOKS = '''
"""A user's callback that ends the program after a step, once: by an exception, or for good."""

import time
from pathlib import Path

import lightning


class Stop(lightning.Callback):
    def __init__(self, at, marker, wait=False):
        self.at, self.marker, self.wait = at, Path(marker), wait

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.at and not self.marker.exists():
            self.marker.touch()
            while self.wait:
                time.sleep(1)
            raise KeyboardInterrupt
'''


@pytest.fixture(scope="module")
def hooks(tmp_path_factory):
    """The folder of the user's module, on sys.path."""
    folder = tmp_path_factory.mktemp("hooks")
    (folder / "wandb_hooks.py").write_text(HOOKS)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


RUN = ("logger=wandb", "trainer.max_epochs=2", "trainer.log_every_n_steps=3", "study=s")


def stop(at, **more):
    words = "".join(f", {key}: {value}" for key, value in more.items())
    return f"+callbacks.stop={{_target_: wandb_hooks.Stop, at: {at}, marker: here{words}}}"


def metrics(folder):
    """metrics.csv as W&B's rows should be."""
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def history(run):
    rows = []
    for row in run.history:
        assert row.pop("_step") == row["trainer/global_step"]
        rows.append({"step": row.pop("trainer/global_step")})
        rows[-1] |= {k: v for k, v in row.items() if not k.startswith("_")}
    return rows


def test_each_job_of_a_sweep_is_a_run_of_its_own(in_process, wandb_server, broken_model, tmp_path):
    """One fails in its second epoch, the other diverges in its first."""
    model, _ = broken_model
    ran = in_process(
        tmp_path, "-m", *RUN, model, "++model.raise_at=40", "optimizer=sgd",
        "optimizer.lr=0.01,1e9", "model.widths=[16]", "tags=[mine]", env=wandb_server.environment,
    )  # fmt: skip
    results = {result.run: result for result in ran.results("s")}
    assert sorted(result.status for result in results.values()) == ["diverged", "failed"]
    runs = {run.name: run for run in wandb_server.runs.values()}
    assert runs.keys() == results.keys()
    for name, result in results.items():
        run = runs[name]
        assert (run.group, run.job_type, run.tags) == ("s", "train", ["mine"])
        assert run.config["optimizer"]["lr"] == result.config["optimizer"]["lr"]
        assert run.config["config_hash"] == result.config_hash
        assert history(run) == metrics(ran.folder(result))
        assert run.summary["status"] == result.status
        assert run.exit_codes == [1 if result.status == "failed" else 0]
    assert "wandb sync" not in ran.out
    no_key_anywhere(ran, wandb_server)


def test_a_run_that_was_stopped_goes_on_in_the_same_run(in_process, wandb_server, hooks, tmp_path):
    """At step 33; its checkpoint is of the first epoch's end, ten steps before."""
    words = (*RUN, stop(33))
    first = in_process(tmp_path, *words, env=wandb_server.environment)
    assert first.one().status == "interrupted"
    assert wandb_server.one.summary["status"] == "interrupted"
    held = history(wandb_server.one)
    assert held[-1]["step"] == 30
    ran = in_process(tmp_path, *words, env=wandb_server.environment)
    assert ran.one().status == "done"
    run = wandb_server.one
    assert history(run)[: len(held)] == held
    steps = [row["step"] for row in history(run)]
    assert steps == [row["step"] for row in metrics(ran.folder(ran.one()))]
    assert run.tags == ["continued"]
    assert run.summary["status"] == "done"
    assert run.exit_codes == [1, 0]


def test_offline_runs_and_the_command_for_them(in_process, wandb_server, tmp_path):
    environment = wandb_server.environment | {"WANDB_MODE": "offline"}
    one = in_process(tmp_path, *RUN, "trainer.max_epochs=1", env=environment)
    folder = one.folder(one.one()).relative_to(tmp_path)
    assert one.out.splitlines()[-1].endswith(f"wandb sync --yes {folder}/wandb/offline-run-*")
    two = in_process(tmp_path, "-m", *RUN, "trainer.max_epochs=1", "seed=0,1", env=environment)
    said = [line for line in two.out.splitlines() if "wandb sync" in line]
    assert len(said) == 1
    assert said[0].endswith(": wandb sync --yes logs/s/*/wandb/offline-run-*")
    no_key_anywhere(two, wandb_server)
    shell(said[0].partition(": ")[2], tmp_path, wandb_server)
    assert {run.name for run in wandb_server.runs.values()} == {r.run for r in two.results("s")}


def no_key_anywhere(ran, server):
    """Neither in a file, of whatever part of the run, nor on the screen."""
    files = [path for path in ran.here.rglob("*") if path.is_file()]
    assert {"result.json", "run.log", "config.yaml", "hydra.yaml"} <= {path.name for path in files}
    assert any(path.suffix == ".wandb" for path in files)
    assert [path for path in files if server.KEY.encode() in path.read_bytes()] == []
    assert server.KEY not in ran.out + ran.err


def shell(command, here, server, **more):
    """W&B's and this Python come first in the path, as in an activated environment."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = clean_environment() | server.environment | {"PATH": path} | more
    ran = subprocess.run(
        command, shell=True, cwd=here, env=environment, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("key", [True, False], ids=["online", "offline"])
def test_a_run_that_was_killed(start, wait, wandb_server, hooks, tmp_path, key):
    """SIGKILL, W&B's process too, after W&B was sent steps that come after the checkpoint."""
    environment = wandb_server.environment | {"PYTHONPATH": str(hooks)}
    environment |= {"WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1"}
    if not key:
        del environment["WANDB_API_KEY"]
    words = ("trainer=cpu", "data=digits", *RUN, stop(33, wait=True))
    process = start(tmp_path, *words, env=environment, own_group=True)
    until(lambda: (tmp_path / "here").exists())
    if key:
        until(lambda: wandb_server.runs and len(wandb_server.one.history) >= 11)
        assert wandb_server.one.summary["status"] == "running"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    ran = wait(tmp_path, start(tmp_path, *words, env=environment))
    assert ran.code == 0, ran.out + ran.err
    folder = ran.folder(ran.one())
    if not key:
        assert wandb_server.runs == {}
        assert len(list(folder.glob("wandb/offline-run-*"))) == 1
        shell(ran.out.splitlines()[-1].partition(": ")[2], tmp_path, wandb_server)
    steps = [row["step"] for row in history(wandb_server.one)]
    assert steps == [row["step"] for row in metrics(folder)]
    assert wandb_server.one.exit_codes == [0]
    assert wandb_server.one.tags == ["continued"]


@pytest.mark.slow
def test_the_sweep_file_that_w_and_b_takes(wandb_server, tmp_path):
    """The two commands of its head, as they stand there; with fewer seeds, on small data."""
    text = (ROOT / "scripts" / "wandb_sweep.yaml").read_text()
    shown = re.findall(r"^#   (wandb \S+ \S+)", text, flags=re.MULTILINE)
    assert shown == ["wandb sweep scripts/wandb_sweep.yaml", "wandb agent ENTITY/theta0/SWEEP"]
    small = "  - data=digits\n  - trainer=cpu\n  - trainer.max_epochs=2\n"
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "wandb_sweep.yaml").write_text(text.replace("[0, 1, 2]", "[3]") + small)
    for name in ("src", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    said = shell(shown[0], tmp_path, wandb_server)
    (sweep,) = wandb_server.sweeps
    (command,) = re.findall(r"wandb agent \S+", said)
    assert command == f"wandb agent {wandb_server.ENTITY}/theta0/{sweep}"
    shell(command, tmp_path, wandb_server)
    runs = wandb_server.runs.values()
    chosen = [run.config["choices"] for run in runs]
    assert sorted(c["optimizer"] + " " + c["init"] for c in chosen) == [
        "adamw he", "adamw xavier", "sgd he", "sgd xavier",
    ]  # fmt: skip
    for run in runs:
        assert (run.project, run.sweep, run.group) == ("theta0", sweep, f"wandb-{sweep}")
        assert run.id.startswith(f"{sweep}run")
        assert run.config["seed"] == 3
        assert run.exit_codes == [0]
        assert [row["epoch"] for row in run.history if "val/acc" in row] == [0, 1]
        assert run.summary["val/acc"] == run.history[-1]["val/acc"]
    assert len(list(tmp_path.glob(f"logs/wandb-{sweep}/*/result.json"))) == 4


@pytest.mark.slow
def test_two_processes_at_once(start, wait, wandb_server, tmp_path):
    """`hydra/launcher=joblib`: every job a run of its own, in whichever process."""
    words = ("-m", "trainer=cpu", "data=digits", *RUN, "seed=range(4)")
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    ran = wait(tmp_path, start(tmp_path, *words, *launcher, env=wandb_server.environment))
    assert ran.code == 0, ran.out + ran.err
    runs = {run.name: run for run in wandb_server.runs.values()}
    assert runs.keys() == {result.run for result in ran.results("s")}
    assert len(runs) == 4
    for result in ran.results("s"):
        run = runs[result.run]
        assert run.config["seed"] == result.config["seed"]
        assert history(run) == metrics(ran.folder(result))
        assert run.exit_codes == [0]
