"""Processor seconds of a start over those of the imports that it cannot do without."""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRAIN = str(ROOT / "src" / "train.py")
FIRST_STEP = '''
"""Ends the process at the end of the first training step."""

import os

import lightning


class FirstStep(lightning.Callback):
    def __init__(self, folder, result):
        pass

    def on_train_batch_end(self, *args):
        os._exit(7)
'''
STOP = "+callbacks.first={_target_: first_step.FirstStep}"
IMPORTS = {
    "import hydra": (
        ("--help", [TRAIN, "--help"], 0),
        ("an unknown option", [TRAIN, "optimizer=adm"], 2),
        ("an unknown key", [TRAIN, "optimizer.lrr=1"], 2),
        ("a bad value", [TRAIN, "optimizer.lr=-1"], 2),
    ),
    "import torch, lightning": (
        ("the first step", [TRAIN, "data=digits", "logger=none", STOP], 7),
        ("the first step, W&B offline", [TRAIN, "data=digits", STOP], 7),
    ),
}
"""Import: programs (name, words, exit code) that are measured against it."""


def startup(repetitions: int) -> None:
    """Print what each start costs, as a ratio: the programs take turns, the median counts."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "first_step.py").write_text(FIRST_STEP)
        for base, programs in IMPORTS.items():
            turns = []
            for _ in range(repetitions):
                spent = [_spent(words, code, folder) for _, words, code in programs]
                turns.append([_spent(["-c", base], 0, folder), *spent])
            imports, *starts = map(statistics.median, zip(*turns, strict=True))
            print(f"{base}: {imports:.2f} s of the processor (median of {repetitions})")
            for (name, *_), seconds in zip(programs, starts, strict=True):
                print(f"  {name}: {seconds:.2f} s, {seconds / imports:.2f} times", flush=True)


def _spent(words: list[str], expected: int, folder: str) -> float:
    """Processor seconds, of the user's and the system's, of a program that ends as expected."""
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": folder, "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if (code := os.waitstatus_to_exitcode(status)) != expected:
        sys.exit(f"{' '.join(words)} ended with {code} and not {expected}")
    return usage.ru_utime + usage.ru_stime
