"""A run stopped anywhere and continued ends as one that was never stopped, to the last bit."""

import csv
import sys

import pytest

STOPPER = '''
"""A user's callback that stops the program after a step, once."""

from pathlib import Path

import lightning


class Stop(lightning.Callback):
    def __init__(self, at, marker):
        self.at, self.marker = at, Path(marker)

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.at and not self.marker.exists():
            self.marker.touch()
            raise KeyboardInterrupt
'''


@pytest.fixture(scope="module", autouse=True)
def stopper(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopper")
    (folder / "stopper.py").write_text(STOPPER)
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))


def rows(ran) -> list[dict[str, str]]:
    with (ran.folder(ran.one()) / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


CASES = {
    "adamw": (),
    "dropout, batch norm": ("model.dropout=0.2", "model.norm=batch"),
    "schedule-free": ("optimizer=schedule_free_adamw",),
    "ema, gradient noise": ("remedy=[ema,gradient_noise]",),
    "swa, mixup": ("remedy=[swa,mixup]",),
    "plateau, muon": ("scheduler=plateau", "optimizer=muon"),
    "accumulation": ("accumulate=2", "optimizer=momentum"),
    "diagnostics": ("diagnostics=economy", "callbacks.diagnostics.schedule=3"),
    "regression": ("data=linear", "optimizer=adam", "model=mlp"),
}


@pytest.mark.parametrize("words", CASES.values(), ids=CASES.keys())
def test_stopped_in_the_middle_of_an_epoch(in_process, tmp_path, words):
    """`checkpoint.every_n_seconds=0`: nothing is lost; `metrics.csv` is the same file."""
    words = (
        "trainer.max_epochs=2", "trainer.log_every_n_steps=3", "checkpoint.every_n_seconds=0",
        "trainer.limit_train_batches=8", "model.widths=[16,16]",
        "+callbacks.stop={_target_: stopper.Stop, at: 5, marker: here}", *words,
    )  # fmt: skip
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "here").touch()
    whole = in_process(tmp_path / "whole", *words, "study=s")
    assert in_process(tmp_path / "cut", *words, "study=s").one().status == "interrupted"
    ran = in_process(tmp_path / "cut", *words, "study=s")
    first, second = whole.one(), ran.one()
    assert (first.status, second.status) == ("done", "done")
    assert second.hashes == first.hashes
    assert second.metrics == first.metrics
    assert second.best == first.best
    assert rows(ran) == rows(whole)
    if "diagnostics=economy" in words:
        files = [(r.folder(r.one()) / "diagnostics.csv").read_text() for r in (whole, ran)]
        assert files[0] == files[1]


def test_a_longer_interval_loses_what_came_after_the_last_checkpoint(in_process, tmp_path):
    """And does it again: the end is the same all the same."""
    words = (
        "trainer.max_epochs=2",
        "trainer.limit_train_batches=8",
        "+callbacks.stop={_target_: stopper.Stop, at: 11, marker: here}",
    )
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "here").touch()
    whole = in_process(tmp_path / "whole", *words, "study=s")
    assert in_process(tmp_path / "cut", *words, "study=s").one().status == "interrupted"
    ran = in_process(tmp_path / "cut", *words, "study=s")
    assert ran.one().hashes == whole.one().hashes
    assert rows(ran) == rows(whole)
