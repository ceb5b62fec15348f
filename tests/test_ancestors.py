"""Processes that end with those above them, and none of theta0's that outlives its program."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import alive, until, until_gone

from theta0 import ancestors

SOURCE = str(Path(ancestors.__file__).parents[1])

CHAIN = """
import os, signal, subprocess, sys, time
sys.path.insert(0, {source!r})
from theta0 import ancestors
ancestors.PATIENCE = 0.3
if {poll}:
    del os.pidfd_open
depth = int(sys.argv[1])
if depth < 3:
    ancestors.end_with_ancestors()
    {react}
print(os.getpid(), flush=True)
if depth > 1:
    told = os.environ | ancestors.named()
    child = subprocess.Popen([sys.executable, *sys.argv[:1], str(depth - 1)], env=told,
                             start_new_session=True)
while True:
    time.sleep(60)
"""
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@pytest.mark.parametrize("whom", [0, 1], ids=["the first", "the second"])
@pytest.mark.parametrize("react", ["pass", STUBBORN], ids=["in order", "by force"])
@pytest.mark.parametrize("poll", [False, True], ids=["told", "polling"])
def test_all_below_one_that_is_killed_end(tmp_path, whom, react, poll):
    """However deep, in sessions of their own, and where they do not listen."""
    if not poll and not hasattr(os, "pidfd_open"):
        pytest.skip("this system does not tell of a process's end")
    script = tmp_path / "chain.py"
    script.write_text(CHAIN.format(source=SOURCE, react=react, poll=poll))
    first = subprocess.Popen(
        [sys.executable, str(script), "3"], stdout=subprocess.PIPE, text=True, env=clean()
    )
    pids = []
    try:
        pids = [int(first.stdout.readline()) for _ in range(3)]
        os.kill(pids[whom], signal.SIGKILL)
        until_gone(pids[whom:])
        assert whom == 0 or alive(pids[0])
    finally:
        for pid in pids:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        first.kill()
        first.wait()


def test_a_parent_that_is_gone_already_counts(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    code = (
        f"import sys, time; sys.path.insert(0, {SOURCE!r})\n"
        "from theta0.ancestors import end_with_ancestors\n"
        "end_with_ancestors(); time.sleep(60)"
    )
    late = subprocess.run(
        [sys.executable, "-c", code], env=clean() | {ancestors.NAME: str(gone.pid)}, timeout=30
    )
    assert late.returncode == -signal.SIGTERM


def clean():
    return {key: value for key, value in os.environ.items() if key != ancestors.NAME}


def test_a_process_names_those_above_it(monkeypatch):
    monkeypatch.delenv(ancestors.NAME, raising=False)
    assert ancestors.named() == {ancestors.NAME: str(os.getpid())}
    monkeypatch.setenv(ancestors.NAME, "7,8")
    assert ancestors.named() == {ancestors.NAME: f"7,8,{os.getpid()}"}


LONG = (
    "data=digits", "trainer=cpu", "logger=none", "model.widths=[16]", "study=s",
    "trainer.max_epochs=100000",
)  # fmt: skip
TWO = ("seed=0,1",)
TRAIN = str(Path(__file__).parents[1] / "src" / "train.py")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", TRAIN)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "program"),
    [
        (("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *LONG, *TWO), (TRAIN,)),
        (
            (
                "-m",
                "hydra/launcher=stacked",
                "hydra.launcher.workers=2",
                "hydra.launcher.members=2",
                "checkpoint.every_n_seconds=1",
                *LONG,
                "seed=range(4)",
            ),
            (TRAIN,),
        ),
        (("-m", "hydra/launcher=ray", *LONG, *TWO), (TRAIN,)),
        (("-m", "hydra/launcher=submitit_local", *LONG, *TWO), (TRAIN,)),
        ((*LONG, "trainer=ddp_cpu"), (TRAIN,)),
        ((*LONG, "trainer=ddp_cpu"), TORCHRUN),
    ],
    ids=["joblib", "stacked", "ray", "submitit", "several processes", "torchrun from outside"],
)
def test_nothing_outlives_a_program_that_is_killed(start, tmp_path, family, words, program):
    """Alone: no signal reaches its children."""
    if "ray" in words[1]:
        pytest.importorskip("ray")
    process = start(tmp_path, *words, program=program, env=family.env)
    runs = 1 if "-m" not in words else 2

    def trained():
        assert process.poll() is None, process.communicate()
        return len(list(tmp_path.glob("logs/s/*/metrics.csv"))) == runs

    until(trained, 240)
    assert len(family()) > 2
    process.kill()
    process.wait()
    until_gone(family())
    assert not family()
    process.communicate()
