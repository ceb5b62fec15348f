"""`hydra/launcher=ray`, on a Ray of its own."""

import signal

import pytest

from theta0.config import check
from theta0.errors import ConfigError

pytest.importorskip("ray")

RAY = ("-m", "hydra/launcher=ray", "study=s")
TINY = ("data=digits", "trainer=cpu", "logger=none", "trainer.max_epochs=2", "model.widths=[16]")


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("hydra.launcher.num_cpus=-1", r"hydra\.launcher\.num_cpus=-1: must be greater"),
        ("hydra.launcher.address=null", r"hydra\.launcher\.address=null: must be a valid string"),
    ],
)
def test_an_option_that_is_wrong_is_told_in_a_line(compose, option, line):
    with pytest.raises(ConfigError, match=f"^{line}"):
        check(compose("hydra/launcher=ray", option))


@pytest.mark.slow
def test_it_leaves_what_the_basic_launcher_leaves(
    start, wait, in_process, tmp_path, outcomes, killer, monkeypatch
):
    """Although one of its processes is killed; the run that it did goes on in another."""
    words = (*TINY, "checkpoint.every_n_seconds=0", "optimizer=sgd,adam", "seed=0,1")
    kill = "+callbacks.kill={_target_: killer.Kill, at: 33, marker: once}"
    ran = wait(tmp_path, start(tmp_path, *RAY, *words, kill, env=killer))
    assert (ran.code, "4 new\n" in ran.out) == (0, True), ran.out + ran.err
    assert (tmp_path / "once").exists()
    monkeypatch.syspath_prepend(killer["PYTHONPATH"])
    (tmp_path / "basic").mkdir()
    (tmp_path / "basic" / "once").touch()
    basic = in_process(tmp_path / "basic", "-m", "study=s", *words, kill)
    assert outcomes(ran) == outcomes(basic)


@pytest.mark.slow
def test_a_run_that_kills_its_process_each_time_is_listed(start, wait, tmp_path, killer):
    words = (*RAY, *TINY, "hydra.launcher.retries=1", "checkpoint.every_n_seconds=0")
    kill = ("+callbacks.kill={_target_: killer.Kill}", "+callbacks.kill.at=33,999")
    ran = wait(tmp_path, start(tmp_path, *words, *kill, env=killer))
    assert ran.code == 1
    by_step = {r.config["callbacks"]["kill"]["at"]: r for r in ran.results("s")}
    assert {at: r.status for at, r in by_step.items()} == {33: "interrupted", 999: "done"}
    assert f"unfinished: {by_step[33].run}: The worker died unexpectedly" in ran.out


@pytest.mark.slow
def test_a_sweep_that_is_told_to_stop(start, wait, tmp_path, trained, statuses):
    words = (*TINY, "trainer.max_epochs=3000", "seed=0,1,2")
    process = start(tmp_path, *RAY, *words)
    trained(tmp_path, 2)
    process.send_signal(signal.SIGTERM)
    ran = wait(tmp_path, process)
    assert ran.code == 143
    assert statuses(tmp_path) == ["interrupted", "interrupted"]
    assert "not started: seed=2\n" in ran.out
    assert "Traceback" not in ran.out + ran.err


@pytest.mark.slow
def test_a_refusal_is_one_line(start, wait, in_process, tmp_path):
    first = in_process(tmp_path, "-m", "study=s", *TINY).one("s")
    first.hashes.data = "another"
    first.write(tmp_path / "logs" / "s" / first.run)
    ran = wait(tmp_path, start(tmp_path, *RAY, *TINY))
    assert ran.code == 2
    lines = [line for line in ran.err.splitlines() if line.startswith("theta0: ")]
    assert len(lines) == 1
    assert "the data is not what the run in study s was done with" in lines[0]
    assert "Traceback" not in ran.err
