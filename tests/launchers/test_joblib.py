"""`hydra/launcher=joblib` on runs that train: as the basic launcher, and when processes die."""

import os
import signal

import pytest
from waiting import until

from theta0.config import check
from theta0.errors import ConfigError

JOBLIB = ("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "study=s")
TINY = ("data=digits", "trainer=cpu", "logger=none", "trainer.max_epochs=2", "model.widths=[16]")
LONG = ("data=digits", "trainer=cpu", "logger=none", "trainer.max_epochs=3000", "seed=0,1,2")


@pytest.mark.slow
def test_it_leaves_what_the_basic_launcher_leaves(in_process, tmp_path, outcomes, broken_model):
    """Two runs that end well, one that diverges, one that fails; and the same words again."""
    words = (
        *TINY, "optimizer=sgd", broken_model[0], "++model.raise_at=0,1", "optimizer.lr=0.1,1e9",
        "model.activation=identity",
    )  # fmt: skip
    basic = in_process(tmp_path / "basic", "-m", "study=s", *words)
    joblib = in_process(tmp_path / "joblib", *JOBLIB, *words)
    told = outcomes(basic)
    assert sorted(result["status"] for result in told) == ["diverged", "done", "failed", "failed"]
    assert outcomes(joblib) == told
    assert (joblib.code, basic.code) == (1, 1)
    assert joblib.returned == []  # none was done here
    for line in basic.out.splitlines():
        if line.startswith(("4 new", "failed: ", "study ")):
            assert line in joblib.out


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("hydra.launcher.n_jobs=0", r"hydra\.launcher\.n_jobs=0: must be greater"),
        ("hydra.launcher.retries=-1", r"hydra\.launcher\.retries=-1: must be greater"),
        ("+hydra.launcher.jobs=2", r"hydra\.launcher\.jobs=2: unknown key; .*mean n_jobs\?"),
    ],
)
def test_an_option_that_is_wrong_is_told_in_a_line(compose, option, line):
    config = compose("hydra/launcher=joblib", option)
    with pytest.raises(ConfigError, match=f"^{line}"):
        check(config)


@pytest.fixture
def launcher(compose):
    """`launcher("threads=2")`: what would launch, set up as by Hydra."""
    from hydra.types import HydraContext

    from hydra_plugins.joblib_launcher import JoblibLauncher

    def launcher(*overrides):
        config = compose("hydra/launcher=joblib", *overrides)
        made = JoblibLauncher()
        made.setup(hydra_context=HydraContext(None, None), task_function=print, config=config)
        return made

    return launcher


def test_as_many_workers_as_cores_allow_each_with_its_share(launcher, monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    monkeypatch.setattr("theta0.launchers.gpus.visible", lambda: [])
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert launcher().environments() == [{"OMP_NUM_THREADS": "1"}] * 8
    assert launcher("threads=3").environments() == [{"OMP_NUM_THREADS": "4"}] * 2
    assert launcher("threads=9").environments() == [{"OMP_NUM_THREADS": "8"}]
    assert len(launcher("hydra.launcher.n_jobs=3").environments()) == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "5")  # the user's own
    assert launcher("threads=3").environments() == [{"OMP_NUM_THREADS": "5"}] * 2


def test_as_many_workers_as_gpus_each_with_its_own(launcher, monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    monkeypatch.setattr("theta0.launchers.gpus.visible", lambda: ["a", "b"])

    def seen(*overrides):
        there = launcher(*overrides).environments()
        return [environment.get("CUDA_VISIBLE_DEVICES") for environment in there]

    assert seen() == ["a", "b"]
    assert seen("hydra.launcher.gpus=2") == ["a,b"]
    assert seen("hydra.launcher.n_jobs=3") == ["a", "b", "a"]
    assert seen("trainer=cpu") == [None] * 8
    assert seen("hydra.launcher.gpus=0", "threads=2") == [None] * 4
    with pytest.raises(ConfigError, match="at most 2"):
        seen("hydra.launcher.gpus=3")


@pytest.mark.slow
def test_a_run_that_kills_its_process_each_time_is_listed(start, wait, tmp_path, killer):
    words = (*JOBLIB, *TINY, "hydra.launcher.retries=1", "checkpoint.every_n_seconds=0")
    kill = ("+callbacks.kill={_target_: killer.Kill}", "+callbacks.kill.at=33,999")
    ran = wait(tmp_path, start(tmp_path, *words, *kill, env=killer))
    assert ran.code == 1
    by_step = {r.config["callbacks"]["kill"]["at"]: r for r in ran.results("s")}
    assert {at: r.status for at, r in by_step.items()} == {33: "interrupted", 999: "done"}
    assert f"unfinished: {by_step[33].run}: its process ended 2 times: killed" in ran.out
    assert f"{by_step[999].metrics['val/acc']:.4f}" in ran.out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "group", "code"),
    [(signal.SIGINT, True, 130), (signal.SIGTERM, False, 143)],
    ids=["ctrl-c", "term"],
)
def test_a_sweep_that_is_told_to_stop(
    start, wait, tmp_path, trained, statuses, number, group, code
):
    """`group`: the signal reaches the workers, too, as Ctrl-C in a terminal does."""
    process = start(tmp_path, *JOBLIB, *LONG, own_group=True)
    trained(tmp_path, 2)
    (os.killpg if group else os.kill)(process.pid, number)
    ran = wait(tmp_path, process)
    assert ran.code == code
    assert statuses(tmp_path) == ["interrupted", "interrupted"]
    assert "not started: seed=2\n" in ran.out
    assert ran.err == f"theta0: stopped by {number.name}\n"
    until(lambda: is_gone(process.pid), 60)


@pytest.mark.slow
def test_a_refusal_in_a_worker_is_one_line(in_process, tmp_path):
    first = in_process(tmp_path, "-m", "study=s", *TINY, "seed=0,1")
    for result in first.results("s"):
        result.hashes.data = "another"
        result.write(first.folder(result))
    again = in_process(tmp_path, *JOBLIB, *TINY, "seed=0,1")
    assert again.code == 2
    assert again.err.startswith("theta0: adamw-he-s")
    assert "the data is not what the run in study s was done with" in again.err
    assert again.err.count("\n") == 1


def is_gone(group):
    """Whether a process group has no process."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False
