"""`hydra/launcher=submitit_local` for real, and `submitit_slurm` on a SLURM that is played."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import lightning
import pytest

from theta0.config import check
from theta0.errors import ConfigError

pytest.importorskip("submitit")

TINY = ("data=digits", "trainer=cpu", "logger=none", "model.widths=[16]", "study=s")
SLURM = ("-m", "hydra/launcher=submitit_slurm")
LOCAL = ("-m", "hydra/launcher=submitit_local")
USR2 = f"+callbacks.kill.number={int(signal.SIGUSR2)}"


@pytest.fixture
def slurm(tmp_path):
    """The environment in which there are sbatch and the others, as tests/launchers/slurm.py."""
    programs, state = tmp_path / "bin", tmp_path / "slurm"
    programs.mkdir()
    state.mkdir()
    text = (Path(__file__).parent / "slurm.py").read_text()
    (programs / "slurm.py").write_text(f"#!{sys.executable}\n{text}")
    (programs / "slurm.py").chmod(0o755)
    for name in ("sbatch", "srun", "scontrol", "scancel", "sacct"):
        (programs / name).symlink_to("slurm.py")
    return {"PATH": f"{programs}:{os.environ['PATH']}", "FAKE_SLURM": str(state)}


def told(slurm, *words):
    subprocess.run(words, env=os.environ | slurm, check=True)


def starts(slurm):
    files = sorted(Path(slurm["FAKE_SLURM"]).glob("*.starts"))
    return {file.stem: file.read_text().count("start") for file in files}


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("hydra.launcher.time=0", r"hydra\.launcher\.time=0: must be greater"),
        ("hydra.launcher.setup=module", r"hydra\.launcher\.setup=module: must be a valid list"),
        ("+hydra.launcher.partitoin=gpu", r"hydra\.launcher\.partitoin=gpu: unknown key; .*"),
    ],
)
def test_an_option_that_is_wrong_is_told_in_a_line(compose, option, line):
    with pytest.raises(ConfigError, match=f"^{line}"):
        check(compose("hydra/launcher=submitit_slurm", option))


def test_without_slurm_there_is_a_line(in_process, tmp_path):
    ran = in_process(tmp_path, *SLURM, *TINY, env={"PATH": str(tmp_path)})
    assert ran.code == 2
    assert ran.err == "theta0: hydra/launcher=submitit_slurm: there is no srun: no SLURM cluster\n"


def test_lightning_does_not_requeue(monkeypatch):
    """There is one who does: submitit. Processes that torchrun started are torchrun's."""
    from theta0 import launch

    for name in ("SLURM_NTASKS", "SLURM_JOB_NAME", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    assert launch.slurm() == []
    monkeypatch.setenv("SLURM_NTASKS", "1")
    (environment,) = launch.slurm()
    trainer = lightning.Trainer(plugins=[environment], logger=False, accelerator="cpu", devices=1)
    assert trainer._accelerator_connector.cluster_environment is environment
    assert environment.auto_requeue is False
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "r")
    assert launch.slurm() == []


@pytest.mark.slow
def test_a_requeued_job_goes_on(
    start, wait, in_process, tmp_path, slurm, killer, monkeypatch, outcomes
):
    """SLURM takes its node away; the run ends as one that was never disturbed."""
    monkeypatch.syspath_prepend(killer["PYTHONPATH"])
    kill = ("+callbacks.kill={_target_: killer.Kill, marker: once}", USR2)
    words = (*TINY, "trainer.max_epochs=2", *kill, "+callbacks.kill.at=33,999")
    options = (
        "hydra.launcher.partition=gpu", "hydra.launcher.mem=8GB",
        "hydra.launcher.additional_parameters={mail-type: FAIL}",
    )  # fmt: skip
    ran = wait(tmp_path, start(tmp_path, *SLURM, *words, *options, env=slurm | killer))
    assert ran.code == 0, ran.out + ran.err
    assert ran.out.startswith("submitted: 100_0 to 100_1; ")
    assert "2 new\n" in ran.out
    assert starts(slurm) == {"100_0": 2, "100_1": 1}
    logs = [(ran.folder(result) / "run.log").read_text() for result in ran.results("s")]
    assert sorted(log.count("  continued\n") for log in logs) == [0, 1]
    script = (tmp_path / "slurm" / "100.script").read_text()
    told_of = set(re.findall(r"^#SBATCH --(\S+)$", script, re.MULTILINE))
    assert told_of >= {
        "array=0-1%2", "cpus-per-task=1", "mem=8GB", "partition=gpu", "time=60",
        "signal=USR2@120", "mail-type=FAIL", "job-name=theta0",
    }  # fmt: skip
    (tmp_path / "basic").mkdir()
    (tmp_path / "basic" / "once").touch()
    basic = in_process(tmp_path / "basic", "-m", *words)
    assert outcomes(ran) == outcomes(basic)


@pytest.mark.slow
def test_a_job_that_is_lost_is_listed_and_the_others_end(start, wait, tmp_path, slurm, killer):
    kill = f"+callbacks.kill={{_target_: killer.Kill, marker: {tmp_path}/once}}"
    words = (*TINY, "trainer.max_epochs=2", kill, "+callbacks.kill.at=33,999")
    ran = wait(tmp_path, start(tmp_path, *SLURM, *words, env=slurm | killer))
    assert ran.code == 1
    lost, other = sorted(ran.results("s"), key=lambda r: r.config["callbacks"]["kill"]["at"])
    assert (lost.status, other.status) == ("interrupted", "done")
    assert f"unfinished: {lost.run}: job 100_0 left no result (FAILED): " in ran.out
    again = wait(tmp_path, start(tmp_path, *SLURM, *words, env=slurm | killer))
    assert again.code == 0
    assert "1 done, 1 continued\n" in again.out


@pytest.mark.slow
def test_time_that_runs_out_too_often_is_a_failure_with_a_reason(
    start, wait, tmp_path, slurm, trained
):
    words = (*TINY, "trainer.max_epochs=3000", "hydra.launcher.max_num_timeout=0")
    # Of one minute a job is guaranteed none, by submitit's reckoning: any signal means time out.
    process = start(tmp_path, *SLURM, *words, "hydra.launcher.time=1", env=slurm)
    trained(tmp_path, 1)
    told(slurm, "scancel", "--signal=USR2", "100")
    ran = wait(tmp_path, process)
    assert ran.code == 1
    assert ran.one("s").status == "failed"
    assert "timed-out too many times" in ran.out


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [SLURM, LOCAL], ids=["slurm", "local"])
def test_a_sweep_that_is_told_to_stop(start, wait, tmp_path, slurm, trained, statuses, launcher):
    process = start(tmp_path, *launcher, *TINY, "trainer.max_epochs=3000", "seed=0,1", env=slurm)
    trained(tmp_path, 2)
    process.send_signal(signal.SIGINT)
    ran = wait(tmp_path, process)
    assert ran.code == 130
    assert statuses(tmp_path) == ["interrupted", "interrupted"]
    assert ran.err == "theta0: stopped by SIGINT\n"


@pytest.mark.slow
def test_the_local_stand_in_starts_a_run_again_too(
    start, wait, in_process, tmp_path, killer, monkeypatch, outcomes
):
    monkeypatch.syspath_prepend(killer["PYTHONPATH"])
    kill = ("+callbacks.kill={_target_: killer.Kill, marker: once}", USR2)
    words = (*TINY, "trainer.max_epochs=2", *kill, "+callbacks.kill.at=33,999")
    ran = wait(tmp_path, start(tmp_path, *LOCAL, *words, env=killer))
    assert ran.code == 0, ran.out + ran.err
    logs = [(ran.folder(result) / "run.log").read_text() for result in ran.results("s")]
    assert sorted(log.count("  continued\n") for log in logs) == [0, 1]
    (tmp_path / "basic").mkdir()
    (tmp_path / "basic" / "once").touch()
    assert outcomes(ran) == outcomes(in_process(tmp_path / "basic", "-m", *words))


@pytest.mark.slow
def test_a_refusal_is_one_line(start, wait, in_process, tmp_path):
    words = (*TINY, "trainer.max_epochs=1")
    first = in_process(tmp_path, "-m", *words).one("s")
    first.hashes.data = "another"
    first.write(tmp_path / "logs" / "s" / first.run)
    ran = wait(tmp_path, start(tmp_path, *LOCAL, *words))
    assert ran.code == 2
    assert ran.err.startswith(f"theta0: {first.run}: the data is not what the run in study s")
    assert ran.err.count("\n") == 1
