#!/usr/bin/env python3
"""SLURM as far as submitit knows it, on this machine: sbatch, srun, scontrol, scancel, sacct.

Called by one of these names. What it knows of its jobs are files in $FAKE_SLURM: <job>.script as it
was submitted, <job>.state, <job>.pid of the process that srun started, <job>.requeue if there is to
be another start, and a line of <job>.starts for each.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(os.environ["FAKE_SLURM"])


def sbatch(path: str) -> None:
    """Submit a script: a job, or one for each number of its array; they all start at once."""
    number = str(100 + len(list(HERE.glob("*.script"))))
    text = Path(path).read_text()
    (HERE / f"{number}.script").write_text(text)
    array = re.search(r"--array=0-(\d+)%", text)
    jobs = [f"{number}_{task}" for task in range(int(array[1]) + 1)] if array else [number]
    for job in jobs:
        (HERE / f"{job}.state").write_text("RUNNING")
        command = [sys.executable, str(Path(__file__).resolve()), "job", job]
        quiet = subprocess.DEVNULL
        subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    print(f"Submitted batch job {number}")


def job(name: str) -> None:
    """Do a job, and again where it was requeued."""
    number, _, task = name.partition("_")
    environment = os.environ | {
        "SLURM_JOB_ID": number,
        "SLURM_JOB_NAME": "theta0",
        "SLURM_NTASKS": "1",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "0",
        "SLURM_NNODES": "1",
        "SLURM_JOB_NUM_NODES": "1",
        "FAKE_JOB": name,
    }
    if task:
        environment |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": task}
    requeue = HERE / f"{name}.requeue"
    while True:
        with (HERE / f"{name}.starts").open("a") as file:
            file.write("start\n")
        code = subprocess.call(["bash", HERE / f"{number}.script"], env=environment)
        if not requeue.exists():
            break
        requeue.unlink()
    (HERE / f"{name}.state").write_text("FAILED" if code else "COMPLETED")


def srun(*words: str) -> None:
    """Become the command, its output in the files that were named."""
    command = list(words)
    while command[0].startswith("--"):
        flag, _, value = command.pop(0).partition("=")
        if flag in ("--output", "--error"):
            file = value or command.pop(0)
            array, _, task = os.environ["FAKE_JOB"].partition("_")
            for sign, word in {"%A": array, "%a": task, "%j": array, "%t": "0"}.items():
                file = file.replace(sign, word)
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(descriptor, 1 if flag == "--output" else 2)
    (HERE / f"{os.environ['FAKE_JOB']}.pid").write_text(str(os.getpid()))
    os.execvp(command[0], command)


def scontrol(verb: str, name: str) -> None:
    """`requeue`: SLURM ends what runs and puts the job into the queue again."""
    assert verb == "requeue"
    (HERE / f"{name}.requeue").touch()
    scancel(name)


def scancel(*words: str) -> None:
    """Send a signal (SIGTERM unless another is named) to the processes of jobs."""
    number = signal.SIGTERM
    for word in words:
        if word.startswith("--signal="):
            number = signal.Signals[f"SIG{word.partition('=')[2]}"]
    for name in words:
        pid = HERE / f"{name}.pid"
        if not name.startswith("-") and pid.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid.read_text()), number)


def sacct(*words: str) -> None:
    print("JobID|State|NodeList")
    for state in HERE.glob("*.state"):
        print(f"{state.stem}|{state.read_text()}|here")


if __name__ == "__main__":
    name = Path(sys.argv[0]).name
    words = sys.argv[1:]
    if name == Path(__file__).resolve().name:
        name = words.pop(0)
    globals()[name](*words)
