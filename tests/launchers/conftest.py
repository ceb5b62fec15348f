"""What launchers are compared by, and a user's code that makes trouble in their processes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from waiting import until

KILLER = '''
"""A user's callback that kills its process after a step: once for a marker, else each time.

Or sends it another signal, by its number.
"""

import os
import signal
from pathlib import Path

import lightning


class Kill(lightning.Callback):
    def __init__(self, at, marker=None, number=signal.SIGKILL):
        self.at, self.marker, self.number = at, marker and Path(marker), number

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.at and not (self.marker and self.marker.exists()):
            if self.marker:
                self.marker.touch()
            os.kill(os.getpid(), self.number)
'''
KILL = "+callbacks.kill={{_target_: killer.Kill, at: {at}, marker: {marker}}}"


@pytest.fixture
def killer(tmp_path: Path) -> dict[str, str]:
    """The environment in which `killer.Kill` can be imported."""
    folder = tmp_path / "user"
    folder.mkdir()
    (folder / "killer.py").write_text(KILLER)
    return {"PYTHONPATH": str(folder)}


@pytest.fixture(scope="session")
def outcomes() -> Callable[..., list[dict[str, Any]]]:
    """All that came out of each run and is not a time, nor says where and how it was done."""

    def outcomes(ran: Any, study: str = "s") -> list[dict[str, Any]]:
        told = [r.model_dump(exclude={"config", "environment"}) for r in ran.results(study)]
        for result in told:
            result["overrides"].sort()
            if result["cost"]:
                for key in ("fit_seconds", "wall_seconds", "step_seconds"):
                    del result["cost"][key]
            if result["error"]:
                del result["error"]["traceback"]
        return told

    return outcomes


@pytest.fixture(scope="session")
def statuses() -> Callable[[Path], list[str]]:
    def statuses(here: Path) -> list[str]:
        files = sorted(here.glob("logs/s/*/result.json"))
        return [json.loads(file.read_text())["status"] for file in files]

    return statuses


@pytest.fixture(scope="session")
def trained() -> Callable[[Path, int], None]:
    """`trained(folder, 2)`: wait until two runs of study s there have come to a checkpoint."""

    def trained(here: Path, runs: int) -> None:
        until(lambda: len(list(here.glob("logs/s/*/checkpoints/last.ckpt"))) >= runs)

    return trained
