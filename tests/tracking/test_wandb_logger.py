"""What a logger tells a W&B server, and what it leaves on disk: no run, CSV files by hand."""

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import wandb
from conftest import clean_environment
from lightning.pytorch.loggers import WandbLogger
from pydantic import ValidationError
from waiting import until
from wandb.sdk import wandb_setup

from theta0.results import Cost, Error, Objective, Result, Seeds
from theta0.sweep.offline import sync_command
from theta0.tracking import CsvLogger, finish, wandb_logger
from theta0.tracking.wandb import _mode

slow = pytest.mark.slow


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "logs" / "s" / "adamw-he-s0-0123456789"
    path.mkdir(parents=True)
    return path


class Start:
    """One start of a run: metrics.csv and W&B are told the same."""

    def __init__(self, folder, step=None, **changes):
        self.folder = folder
        self.result = Result(
            run=folder.name, study="s", overrides=["optimizer.lr=0.1"],
            choices={"optimizer": "adamw", "init": "he"},
            config={"optimizer": {"lr": 0.1}, "seed": 0}, config_hash=folder.name[-10:] + "0" * 54,
            seeds=Seeds(split=0, init=0, order=0, noise=0),
            objective=Objective(metric="val/acc", mode="max"),
        )  # fmt: skip
        self.csv = CsvLogger(folder / "metrics.csv", continue_from_step=step)
        settings = {"project": "p", "entity": None, "group": "s", "tags": ["mine"]} | changes
        self.wandb = wandb_logger(folder, self.result, **settings, continue_from_step=step)

    def log(self, *steps):
        for step in steps:
            for logger in (self.csv, self.wandb):
                logger.log_metrics({"train/loss_step": 1 / (1 + step)}, step)
                if step % 20 == 0:
                    logger.log_metrics({"val/acc": step / 100}, step)
        return self

    def end(self, status="done", steps=1000):
        self.result.status = status
        cost = {"fit_seconds": 1, "wall_seconds": 1, "step_seconds": 1}
        self.result.cost = Cost(steps=steps, epochs=1, parameters=1, trained=1, **cost)
        self.result.metrics = {"val/acc": 0.5}
        self.wandb.end(self.result)
        return self


def row(step):
    loss = {"train/loss_step": 1 / (1 + step), "_step": step, "trainer/global_step": step}
    return loss | ({"val/acc": step / 100} if step % 20 == 0 else {})


def told(run):
    """The rows of a run's history, without W&B's clock."""
    return [
        {k: v for k, v in r.items() if k not in ("_runtime", "_timestamp")} for r in run.history
    ]


def offline(folder):
    return sorted(path.name for path in folder.glob("wandb/offline-run-*"))


def test_a_run_as_w_and_b_sees_it(wandb_server, folder):
    Start(folder).log(0, 10, 20, 30).end()
    run = wandb_server.one
    assert (run.project, run.group, run.job_type) == ("p", "s", "train")
    assert (run.name, run.tags) == (folder.name, ["mine"])
    assert run.config["optimizer"] == {"lr": 0.1}
    assert run.config["choices"] == {"optimizer": "adamw", "init": "he"}
    assert run.config["cell"] == "adamw|he|optimizer.lr=0.1"
    assert run.config["config_hash"] == "0123456789" + "0" * 54
    assert told(run) == [row(0), row(10), row(20), row(30)]
    assert run.summary["status"] == "done"
    assert run.summary["chosen/val/acc"] == 0.5
    assert run.summary["val/acc"] == 0.2
    assert run.exit_codes == [0]
    assert offline(folder) == []


@pytest.mark.parametrize(
    ("status", "code"),
    [("done", 0), ("diverged", 0), ("pruned", 0), ("failed", 1), ("interrupted", 1)],
)
def test_how_a_run_ended(wandb_server, folder, status, code):
    Start(folder).log(0).end(status)
    assert wandb_server.one.summary["status"] == status
    assert wandb_server.one.exit_codes == [code]


def test_what_is_logged_for_an_earlier_step_joins_the_present_row(wandb_server, folder):
    start = Start(folder).log(0, 10)
    start.wandb.log_metrics({"mine": 1.0}, step=3)  # some callback's own count
    start.wandb.log_metrics({"other": 2.0})
    start.log(20).end()
    assert told(wandb_server.one) == [row(0), row(10) | {"mine": 1.0, "other": 2.0}, row(20)]


def test_a_continued_run_goes_on_in_the_same_w_and_b_run(wandb_server, folder):
    """Its checkpoint is of step 20; W&B holds two rows more, and does not get them again."""
    Start(folder).log(0, 10, 20, 30, 40).end("interrupted")
    assert wandb_server.one.tags == ["mine"]
    before = told(wandb_server.one)
    Start(folder, step=20).log(30, 40, 50, 60).end()
    assert before == [row(step) for step in (0, 10, 20, 30, 40)]
    assert told(wandb_server.one) == [row(step) for step in (0, 10, 20, 30, 40, 50, 60)]
    assert wandb_server.one.tags == ["mine", "continued"]
    assert wandb_server.one.exit_codes == [1, 0]
    assert wandb_server.one.summary["status"] == "done"


def test_what_a_kill_has_kept_from_w_and_b_is_sent_later(wandb_server, folder):
    """The row being filled, and those that were on their way."""
    Start(folder).log(0, 10, 20, 30, 40).wandb.experiment.finish(exit_code=1)
    lines = wandb_server.one.lines
    assert len(lines["wandb-history.jsonl"]) == 4
    del lines["wandb-history.jsonl"][2], lines["wandb-history.jsonl"][3]
    lines["wandb-summary.json"] = {0: '{"_step": 10}'}
    Start(folder, step=30).log(40, 50).end()
    assert told(wandb_server.one) == [row(step) for step in (0, 10, 20, 30, 40, 50)]


def test_half_a_row_is_left_to_the_run_that_continues(wandb_server, folder):
    """Stopped after the loss of step 40 was logged, before its accuracy was."""
    first = Start(folder).log(0, 10, 20, 30)
    first.wandb.log_metrics({"train/loss_step": 1 / 41}, 40)
    first.end("interrupted", steps=40)
    Start(folder, step=30).log(40, 50).end()
    assert told(wandb_server.one) == [row(step) for step in (0, 10, 20, 30, 40, 50)]


def test_the_row_of_the_checkpoint_is_joined_by_the_next_loss(wandb_server, folder):
    """As in metrics.csv: the steps done are counted before and after the checkpoint."""
    Start(folder).log(0, 10, 20).end("interrupted", steps=20)
    second = Start(folder, step=20)
    second.wandb.log_metrics({"late": 1.0}, 20)
    second.log(30).end()
    assert told(wandb_server.one) == [row(0), row(10), row(20) | {"late": 1.0}, row(30)]


def test_a_run_killed_before_its_first_checkpoint_repeats_nothing(wandb_server, folder):
    Start(folder).log(0, 10, 20).end("interrupted")
    Start(folder).log(0, 10, 20, 30).end()
    assert told(wandb_server.one) == [row(step) for step in (0, 10, 20, 30)]


def test_diagnostics_are_sent_again_too(wandb_server, folder):
    (folder / "diagnostics.csv").write_text(
        "step,layer,loss,weight_std\n0,,2.5,\n0,layers.0,,0.25\n20,,1.5,\n20,layers.0,,0.5\n"
        "30,,9,\n30,laye"
    )
    Start(folder).log(0, 10, 20).wandb.experiment.finish()
    wandb_server.runs.clear()
    Start(folder, step=20).log(30).end()
    rows = told(wandb_server.one)
    diagnosed = [{k: v for k, v in r.items() if k.startswith("diagnostics")} for r in rows]
    loss, std = "diagnostics/loss", "diagnostics/layers.0/weight_std"
    assert diagnosed == [{loss: 2.5, std: 0.25}, {}, {loss: 1.5, std: 0.5}, {}]


def test_a_run_done_again_is_another_w_and_b_run(wandb_server, folder):
    """`rerun` moves the folder's files away, wandb/ too; and so does a person who deletes them."""
    Start(folder).log(0, 10).end()
    (folder / "wandb").rename(folder.parent / "aside")
    Start(folder).log(0).end()
    first, second = wandb_server.runs.values()
    assert told(first) == [row(0), row(10)]
    assert told(second) == [row(0)]
    assert second.tags == ["mine"]
    assert first.id != second.id


def test_a_run_s_id_is_that_of_its_study_and_configuration(wandb_server, folder):
    Start(folder).log(0).end()
    digest = hashlib.sha256(("s 0123456789" + "0" * 54).encode()).hexdigest()
    assert wandb_server.one.id == digest[:16]


def test_lightning_s_own_logger_is_ended_too(wandb_server, folder):
    """Else the next job of a sweep would write into its run."""
    result = Start(folder).result
    own = WandbLogger(project="own", save_dir=folder)
    assert own.experiment.id in wandb_server.runs
    finish([own], result.model_copy(update={"status": "failed"}))
    assert wandb_server.runs[own.experiment.id].exit_codes == [1]


def test_a_logger_that_cannot_be_ended_undoes_no_run(no_key, folder, caplog):
    class Broken(CsvLogger):
        def finalize(self, status):
            raise ConnectionError(f"no {status}")

    result = Start(folder).result.model_copy(update={"status": "done"})
    finish([Broken(folder / "metrics.csv")], result)
    assert caplog.messages[-1] == f"{folder.name}  Broken: ConnectionError: no success"


# ------------------------------------------------------------------------------------- offline


@pytest.fixture
def no_key(wandb_server, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY")
    return wandb_server


def sync(folder, server, runs=""):
    """The printed command, in a shell that finds W&B's program."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(
        sync_command(folder, runs),
        shell=True,
        check=True,
        cwd=folder,  # where it keeps a log of its own
        env=clean_environment() | server.environment | {"PATH": path},
    )


def test_offline_a_continued_run_has_one_folder(no_key, folder):
    Start(folder).log(0, 10, 20, 30, 40).end("interrupted")
    (first,) = offline(folder)
    Start(folder, step=20).log(30, 40, 50).end()
    (second,) = offline(folder)
    assert first != second
    assert first[28:44] == second[28:44]  # the id; behind it "-1", if in the same second
    sync(folder, no_key)
    assert told(no_key.one) == [row(step) for step in (0, 10, 20, 30, 40, 50)]
    assert no_key.one.tags == ["mine", "continued"]
    assert no_key.one.exit_codes == [0]


def test_offline_what_was_uploaded_stays_and_the_rest_is_another_run(no_key, folder):
    """`wandb sync` appends, and does not know what W&B holds: every row would be there twice."""
    Start(folder).log(0, 10, 20).end("interrupted")
    sync(folder, no_key)
    first = no_key.one
    Start(folder, step=20).log(30).end()
    assert len(offline(folder)) == 2
    sync(folder, no_key)
    assert told(first) == [row(0), row(10), row(20)]
    assert first.summary["status"] == "interrupted"
    (second,) = (run for run in no_key.runs.values() if run is not first)
    assert told(second) == [row(0), row(10), row(20), row(30)]
    assert second.tags == ["mine", "continued"]
    assert sync_command(folder, runs="") is None


def test_offline_then_online(no_key, folder, monkeypatch):
    """The offline folder need not be uploaded any more."""
    Start(folder).log(0, 10, 20, 30).end("interrupted")
    (name,) = offline(folder)
    monkeypatch.setenv("WANDB_API_KEY", no_key.KEY)
    Start(folder, step=20).log(30, 40).end()
    assert told(no_key.one) == [row(step) for step in (0, 10, 20, 30, 40)]
    assert no_key.one.id in name
    assert offline(folder) == []


def test_uploaded_then_online(no_key, folder, monkeypatch):
    Start(folder).log(0, 10, 20, 30).end("interrupted")
    sync(folder, no_key)
    monkeypatch.setenv("WANDB_API_KEY", no_key.KEY)
    Start(folder, step=20).log(30, 40).end()
    assert told(no_key.one) == [row(step) for step in (0, 10, 20, 30, 40)]
    assert len(offline(folder)) == 1


def test_online_then_offline(wandb_server, folder, monkeypatch):
    Start(folder).log(0, 10, 20).end("interrupted")
    monkeypatch.setenv("WANDB_MODE", "offline")
    Start(folder, step=20).log(30).end()
    (name,) = offline(folder)
    assert wandb_server.one.id not in name


def test_online_without_a_key_nobody_is_asked_for_one(no_key, folder, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_MODE", "online")
    Start(folder).log(0).end()
    reason = "W&B cannot be reached: WANDB_MODE is online, and no key is set"
    assert f"{folder.name}  offline, since {reason}" in caplog.messages
    assert len(offline(folder)) == 1


def test_disabled_leaves_offline_runs_alone(no_key, folder, monkeypatch):
    Start(folder).log(0).end("interrupted")
    before = offline(folder)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    Start(folder, step=0).log(10).end()
    assert offline(folder) == before
    assert len(before) == 1


@pytest.mark.parametrize("how", ["offline", "disabled", "WANDB_DISABLED", "user"])
def test_wandb_offline_and_disabled_are_obeyed(wandb_server, folder, monkeypatch, tmp_path, how):
    """`wandb offline` leaves a file in the folder where it is typed; nothing leaves the machine."""
    monkeypatch.chdir(tmp_path)
    settings = tmp_path / "wandb" / "settings"
    if how == "WANDB_DISABLED":
        monkeypatch.setenv("WANDB_DISABLED", "true")
    else:
        if how == "user":
            monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb"))
            monkeypatch.chdir(folder)
        settings.parent.mkdir()
        settings.write_text(f"[default]\nmode = {'offline' if how == 'user' else how}\n")
    Start(folder).log(0, 10).end()
    assert len(offline(folder)) == (how in ("offline", "user"))
    assert wandb_server.requests == []


def test_the_server_of_wandb_login_is_looked_for_in_netrc(wandb_server, monkeypatch, tmp_path):
    for name in ("WANDB_BASE_URL", "WANDB_API_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "netrc").write_text("machine w.example login user password x\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert _mode() == "offline"
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "settings").write_text("[default]\nbase_url = https://w.example\n")
    assert _mode() == "online"


def test_what_w_and_b_refuses_offline_too_is_told_by_its_reason(wandb_server, folder):
    with pytest.raises(ValidationError) as refused:
        Start(folder, tags=["x" * 65])
    line = Error.of(refused.value).line
    assert line.startswith("Settings.run_tags: Value error, Tag 'xxx")
    assert line.endswith("is 65 characters. Tags must be between 1 and 64 characters")


# ------------------------------------------------------------------------------ W&B out of order


@pytest.mark.parametrize(
    "outage",
    [
        "refused",
        pytest.param("silent", marks=slow),
        pytest.param(500, marks=slow),
        pytest.param(401, marks=slow),
    ],
)
def test_without_a_server_runs_go_on_offline(wandb_server, folder, monkeypatch, caplog, outage):
    """Two runs of one program: the second does not wait for the server again."""
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "1")
    wandb_server.outage = outage
    if outage == "refused":
        monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    Start(folder).log(0, 10).end()
    asked = len(wandb_server.requests)
    second = folder.with_name("sgd-he-s0-9876543210")
    second.mkdir()
    Start(second).log(0).end()
    lines = [record.getMessage() for record in caplog.records if record.name == "theta0"]
    assert lines[0].startswith(f"{folder.name}  offline, since W&B cannot be reached: ")
    assert lines[1:] == [f"{second.name}  offline, since W&B could not be reached before"]
    assert wandb_server.KEY not in lines[0]
    assert len(wandb_server.requests) == asked
    wandb_server.outage = None
    sync(folder.parent, wandb_server, runs="*/")
    first, second = sorted(wandb_server.runs.values(), key=lambda run: run.name)
    assert told(first) == [row(0), row(10)]
    assert told(second) == [row(0)]
    assert (first.exit_codes, second.exit_codes) == ([0], [0])


@pytest.mark.parametrize("outage", [pytest.param("drop", marks=slow), 500])
def test_a_server_out_of_order_for_a_while(wandb_server, folder, outage):
    start = Start(folder).log(0, 10)
    before = len(wandb_server.requests)
    wandb_server.outage = outage

    def refuse_some():
        until(lambda: len(wandb_server.requests) > before + 1)
        wandb_server.outage = None

    start.log(20, 30)
    refusing = threading.Thread(target=refuse_some)
    refusing.start()
    start.end()
    refusing.join()
    assert told(wandb_server.one) == [row(0), row(10), row(20), row(30)]
    assert wandb_server.one.exit_codes == [0]


def test_a_server_that_goes_and_stays_away(wandb_server, folder, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "1")
    start = Start(folder).log(0, 10, 20)
    wandb_server.outage = 500
    start.log(30).end("diverged")
    (record,) = (record for record in caplog.records if record.name == "theta0")
    reason = "W&B cannot be reached: Timed out finishing run."
    assert record.getMessage() == f"{folder.name}  offline, since {reason}"
    wandb_server.outage = None
    cut = wandb_server.one
    sync(folder, wandb_server)
    (whole,) = (run for run in wandb_server.runs.values() if run is not cut)
    assert cut.exit_codes == []
    assert told(whole) == [row(0), row(10), row(20), row(30)]
    assert whole.summary["status"] == "diverged"
    assert whole.exit_codes == [0]


@pytest.mark.parametrize("key", [True, pytest.param(False, marks=slow)])
def test_w_and_b_s_process_is_killed(wandb_server, folder, monkeypatch, key):
    """Short of memory, a machine may end it. The run goes on, and so does the next."""
    if not key:
        monkeypatch.delenv("WANDB_API_KEY")
    start = Start(folder).log(0, 10)
    process = wandb_setup.singleton().ensure_service()._proc._process
    process.kill()
    process.wait()
    start.log(20, 30, 40).end()
    second = folder.with_name("sgd-he-s0-9876543210")
    second.mkdir()
    Start(second).log(0, 10).end()
    sync(folder.parent, wandb_server, runs="*/")
    whole = {run.name: told(run) for run in wandb_server.runs.values() if 0 in run.exit_codes}
    assert whole == {
        folder.name: [row(step) for step in (0, 10, 20, 30, 40)],
        second.name: [row(0), row(10)],
    }


# ----------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_the_key_is_in_no_file(wandb_server, tmp_path, folder, monkeypatch, capfd, mode):
    """In those of the run and in those that W&B writes to the home; nor is it printed."""
    monkeypatch.setenv("WANDB_MODE", mode)
    Start(folder).log(0, 10).end()
    wandb.teardown()
    key = wandb_server.KEY.encode()
    files = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(path.suffix == ".wandb" for path in files)
    assert any(path.is_relative_to(tmp_path / "home") for path in files)
    assert [path for path in files if key in path.read_bytes()] == []
    assert wandb_server.KEY not in "".join(capfd.readouterr())
    sent = [request for request in wandb_server.requests if key in request.body]
    assert sent == []
