"""Full disks, damaged files, other data, no memory: a line, a true table, and nothing lost."""

import contextlib
import csv
import dataclasses
import errno
import gc
import io
import json
import os
import re
import resource
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from theta0.checkpoints import CheckpointFiles, read_checkpoint
from theta0.results import Result
from theta0.tracking import CsvLogger

SHORT = ("trainer.max_epochs=2", "study=s", "model.widths=[16]")

PARTS = '''
"""A user's parts, which bring a bad day about."""

import resource
import shutil
import weakref
from pathlib import Path

import lightning
import numpy as np
import torch

from theta0.models import MLP


class Fill(lightning.Callback):
    """From the second epoch on no file may become larger than so many bytes, once."""

    def __init__(self, most, marker):
        self.most, self.marker = most, Path(marker)

    def on_train_epoch_start(self, trainer, *_):
        if trainer.current_epoch == 1 and not self.marker.exists():
            self.marker.touch()
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.most, resource.RLIM_INFINITY))


class Stop(lightning.Callback):
    """Keeps what is on record after the first batch, and stops the program there, once."""

    def __init__(self, record):
        self.record = Path(record)

    def on_train_batch_end(self, trainer, *_):
        if not self.record.exists():
            shutil.copytree(trainer.default_root_dir, self.record)
            raise KeyboardInterrupt


class Hungry(MLP):
    """Asks for more memory than there is."""

    alive = []

    def __init__(self, appetite, **settings):
        super().__init__(**settings)
        self.appetite = appetite
        self.before = sum(net() is not None for net in self.alive)
        self.alive.append(weakref.ref(self))

    def forward(self, x):
        if self.appetite == "torch":
            torch.empty(10**15)
        if self.appetite == "numpy":
            np.empty(10**15)
        if self.appetite == "gpu":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        assert self.before == 0, f"{self.before} networks of failed runs are in memory still"
        return super().forward(x)
'''


@pytest.fixture(scope="module", autouse=True)
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    (folder / "bad_days_parts.py").write_text(PARTS)
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def three(in_process, tmp_path_factory):
    """A sweep of three on a good day."""
    return in_process(tmp_path_factory.mktemp("three"), "-m", *SHORT, "seed=0,1,2")


@contextlib.contextmanager
def full(most):
    """A disk that has no room for a file's bytes beyond so many. (Python ignores SIGXFSZ.)"""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def room_again():
    """Give the room back that a run's Fill has taken."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    give_back = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)  # noqa: E731
    yield give_back
    give_back()


def rows(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def edit(folder, **changes):
    told = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(told | changes))


# --------------------------------------------------------------------------------------- full disk


def test_a_disk_that_fills_up_while_a_checkpoint_is_written(in_process, tmp_path, room_again):
    """From the second epoch on: one cell's checkpoints have room, the other's have not."""
    words = (
        "study=s", "trainer.max_epochs=3",
        "+callbacks.fill={_target_: bad_days_parts.Fill, most: 50000, marker: here}",
    )  # fmt: skip
    cells = "model.widths=[64],[8]"
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "here").touch()
    whole = in_process(tmp_path / "whole", *words, "model.widths=[64]")
    ran = in_process(tmp_path / "full", "-m", *words, cells)
    room_again()
    results = {len(str(r.config["model"]["widths"])): r for r in ran.results()}
    small, large = results[3], results[4]
    assert (ran.code, small.status, large.status) == (1, "done", "failed")
    folder = ran.folder(large)
    line = f"[Errno 27] File too large: '{folder}/checkpoints/.temporary.ckpt'"
    assert large.error.line == line
    assert f"failed: {large.run}: {line}\n" in ran.out
    assert "Traceback" not in ran.out + ran.err
    assert files(folder / "checkpoints") == ["best.ckpt", "last.ckpt"]
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["epoch"] == 0
    assert read_checkpoint(folder / "checkpoints" / "best.ckpt")["epoch"] == 0
    with (tmp_path / "full" / "logs" / "s" / "results.csv").open() as file:
        assert {row["run"]: row["status"] for row in csv.DictReader(file)} == {
            large.run: "failed",
            small.run: "done",
        }
    again = in_process(tmp_path / "full", "-m", *words, cells, "rerun=failed")
    assert again.code == 0
    assert "\n1 done, 1 continued\n" in again.out
    (large,) = (r for r in again.results() if r.run == large.run)
    assert large.hashes == whole.one().hashes
    assert large.metrics == whole.one().metrics
    assert rows(folder) == rows(whole.folder(whole.one()))


@pytest.mark.parametrize("most", [0, 1000])
def test_half_a_checkpoint_is_an_error_that_names_the_file(tmp_path, most):
    path = tmp_path / "new" / "a.ckpt"
    with full(most), pytest.raises(OSError, match=r"File too large: .*a\.ckpt") as error:
        CheckpointFiles().save_checkpoint({"x": torch.zeros(1000)}, path)
    assert error.value.errno == errno.EFBIG
    assert list(tmp_path.rglob("*.ckpt")) == [path]  # nothing beside it; who asked removes it


def test_a_disk_that_says_only_later_that_it_is_full(tmp_path, monkeypatch):
    def fsync(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match=r"No space left on device: .*a\.ckpt"):
        CheckpointFiles().save_checkpoint({}, tmp_path / "a.ckpt")


def test_a_result_that_cannot_be_written_is_found_out_by_the_next_start(
    in_process, three, tmp_path, monkeypatch
):
    words = ("-m", *SHORT, "seed=0,1")
    original = Result.write

    def write(self, folder):
        if self.status == "done" and self.seeds.init == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(self, folder)

    with monkeypatch.context() as patch:
        patch.setattr(Result, "write", write)
        ran = in_process(tmp_path / "full", *words)
    lost, done = ran.results()
    assert (ran.code, lost.status, done.status) == (1, "running", "done")
    line = f"{lost.run}  result.json cannot be written: [Errno 28] No space left on device"
    assert line in ran.out
    assert f"unfinished: {lost.run}" in ran.out
    again = in_process(tmp_path / "full", *words)
    assert again.code == 0
    assert [r.status for r in again.results()] == ["done", "done"]
    assert [r.hashes for r in again.results()] == [r.hashes for r in three.results()[:2]]
    assert [r.metrics for r in again.results()] == [r.metrics for r in three.results()[:2]]


@pytest.mark.slow
def test_a_run_that_cannot_be_started_and_a_table_that_cannot_be_written(
    in_process, three, tmp_path
):
    """Where the second run's record should go there is a folder; results.csv is one too."""
    first, second, third = three.results()
    logs = tmp_path / "here" / "logs" / "s"
    (logs / second.run / "config.resolved.yaml").mkdir(parents=True)
    (logs / "results.csv").mkdir()
    ran = in_process(tmp_path / "here", "-m", *SHORT, "seed=0,1,2")
    assert ran.code == 1
    assert [r.run for r in ran.results()] == [first.run, third.run]
    assert f"{second.run}  cannot be done: [Errno 21] Is a directory: " in ran.out
    assert "results.csv cannot be written: [Errno 21] Is a directory" in ran.out
    assert "Traceback" not in ran.out + ran.err


def test_a_folder_that_cannot_be_made_ends_the_sweep_with_its_table(in_process, three, tmp_path):
    """Hydra makes it before the run is asked."""
    first, second, _ = three.results()
    logs = tmp_path / "here" / "logs" / "s"
    logs.mkdir(parents=True)
    (logs / second.run).touch()
    ran = in_process(tmp_path / "here", "-m", *SHORT, "seed=0,1,2")
    assert ran.code == 1
    assert [r.run for r in ran.results()] == [first.run]
    assert "\n1 new\n" in ran.out
    assert "not started: seed=1\nnot started: seed=2\n" in ran.out
    assert ran.err == f"theta0: logs/s/{second.run}: File exists\n"


def test_no_row_of_the_metrics_is_lost(tmp_path):
    path = tmp_path / "metrics.csv"
    logger = CsvLogger(path)
    logger.log_metrics({"a": 1.0, "b": 2.0}, step=1)
    logger.log_metrics({"a": 3.0}, step=2)
    before = path.read_text()
    for metrics, step in (({"b": 4.0}, 2), ({"c": 5.0}, 2), ({"a": 6.0}, 3)):
        again = CsvLogger(path, continue_from_step=2)
        with full(len(before)), pytest.raises(OSError, match="File too large"):
            again.log_metrics(metrics, step=step)
        assert path.read_text() == before
        assert files(tmp_path) == ["metrics.csv"]
    with full(0), pytest.raises(OSError, match="File too large"):
        CsvLogger(path, continue_from_step=2)
    assert path.read_text() == before


def test_half_a_row_is_no_row(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,a,b\n10,0.5,1\n20,0.25,2\n2")
    CsvLogger(path, continue_from_step=20)
    assert path.read_text() == "step,a,b\n10,0.5,1\n20,0.25,2\n"
    path.write_text("step,a,b\n10,0.5,1\n20,0.2")
    CsvLogger(path, continue_from_step=20)
    assert path.read_text() == "step,a,b\n10,0.5,1\n"


# ----------------------------------------------------------------------------------- damaged files


@pytest.fixture(scope="module")
def finished(in_process, tmp_path_factory):
    return in_process(tmp_path_factory.mktemp("finished"), *SHORT)


@pytest.fixture
def ran(finished, tmp_path):
    """The finished run in a folder of the test's own; `ran.here` is where its program is run."""
    shutil.copytree(finished.here / "logs", tmp_path / "logs")
    return dataclasses.replace(finished, here=tmp_path)


@pytest.mark.parametrize("name", ["last", pytest.param("best", marks=pytest.mark.slow)])
def test_a_truncated_checkpoint_is_told_and_not_passed_over(in_process, finished, ran, name):
    folder = ran.folder(ran.one())
    before = rows(folder)
    path = folder / "checkpoints" / f"{name}.ckpt"
    content = path.read_bytes()
    path.unlink()  # `best` may be the same file as `last`
    path.write_bytes(content[:-1000])
    edit(folder, status="interrupted")
    second = in_process(ran.here, *SHORT)
    line = (
        f"{path} is truncated or holds more than plain tensors; to begin anew delete"
        f" {path.parent}, and say rerun=failed"
    )
    assert (second.code, second.one().error.line) == (1, line)
    assert second.out.count(line) == 1
    assert rows(folder) == before
    for left in path.parent.iterdir():
        left.unlink()
    path.parent.rmdir()
    assert in_process(ran.here, *SHORT).one().status == "failed"
    third = in_process(ran.here, *SHORT, "rerun=failed")
    assert third.code == 0
    assert third.one().hashes == finished.one().hashes
    assert rows(folder) == before


@pytest.mark.parametrize("content", ["", pytest.param('{"schema": 2}', marks=pytest.mark.slow)])
def test_a_finished_run_whose_result_is_unreadable(in_process, finished, ran, content):
    """Its last checkpoint is at its end: nothing is trained again, all is measured again."""
    folder = ran.folder(ran.one())
    before = (folder / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    (folder / "result.json").write_text(content)
    second = in_process(ran.here, *SHORT)
    assert second.code == 0
    assert (folder / "checkpoints" / "last.ckpt").stat().st_mtime_ns == before
    first, again = finished.one(), second.one()
    for part in ("status", "hashes", "metrics", "best", "last_metrics", "objective"):
        assert getattr(again, part) == getattr(first, part)
    assert (again.cost.steps, again.cost.epochs) == (first.cost.steps, first.cost.epochs)
    assert rows(folder) == rows(finished.folder(first))


@pytest.mark.slow
def test_an_unreadable_result_is_listed_by_a_sweep_that_leaves_it(in_process, ran):
    folder = ran.folder(ran.one())
    (folder / "result.json").write_text("{")
    second = in_process(ran.here, "-m", *SHORT, "seed=1")
    assert second.code == 1
    assert f"logs/s/{folder.name}/result.json: cannot be read: " in second.out
    assert in_process(ran.here, "-m", *SHORT, "seed=0,1").code == 0


def test_other_data_does_not_continue_a_run(in_process, tmp_path):
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    draws = np.random.default_rng(0)
    for split, size in (("train", 100), ("t10k", 20)):
        write_idx(raw / f"{split}-images-idx3-ubyte", draws.integers(0, 256, (size, 28, 28)))
        write_idx(raw / f"{split}-labels-idx1-ubyte", np.arange(size) % 10)
    words = (
        *SHORT, "data=mnist", "data.samples={train: 80, val: 20, test: 20}", "data.batch_size=20",
        "checkpoint.every_n_seconds=0",
        "+callbacks.stop={_target_: bad_days_parts.Stop, record: then}",
    )  # fmt: skip
    first = in_process(tmp_path, *words)
    digest = first.one().hashes.data
    assert (first.one().status, len(digest)) == ("interrupted", 64)
    killed = Result.read(tmp_path / "then")  # what a kill after the first step would have left
    assert (killed.status, killed.hashes.data) == ("running", digest)
    assert killed.hashes.init == first.one().hashes.init
    folder = first.folder(first.one())
    for status in ("running", "failed"):
        edit(folder, status=status)
        old = (raw / "train-labels-idx1-ubyte").read_bytes()
        write_idx(raw / "train-labels-idx1-ubyte", (np.arange(100) + 1) % 10)
        before = files(folder), (folder / "result.json").read_text()
        second = in_process(tmp_path, *words)
        assert second.code == 2
        assert second.err == (
            f"theta0: {folder.name}: the data is not what the run in study s was done with;"
            " rerun=changed does it anew, another study=... beside it\n"
        )
        assert (files(folder), (folder / "result.json").read_text()) == before
        (raw / "train-labels-idx1-ubyte").write_bytes(old)
    write_idx(raw / "train-labels-idx1-ubyte", (np.arange(100) + 1) % 10)
    third = in_process(tmp_path, *words, "rerun=changed")
    assert third.one().status == "done"
    assert third.one().hashes.data != digest
    assert rows(folder)[0]["step"] == "0"


def write_idx(path, array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def test_a_checkpoint_path_that_is_none(in_process, tmp_path):
    (tmp_path / "notes.txt").write_text("no checkpoint")
    buffer = io.BytesIO()
    torch.save(torch.nn.Linear(2, 2).state_dict(), buffer)
    (tmp_path / "weights.pt").write_bytes(buffer.getvalue())
    (tmp_path / "half.pt").write_bytes(buffer.getvalue()[:-100])
    before = files(tmp_path)
    for name, reason in (
        ("notes.txt", "not a checkpoint, or a truncated one"),
        ("half.pt", "not a checkpoint, or a truncated one"),
    ):
        ran = in_process(tmp_path, *SHORT, f"ckpt_path={name}")
        assert (ran.code, ran.err) == (2, f"theta0: ckpt_path={name}: {reason}\n")
    assert files(tmp_path) == before
    ran = in_process(tmp_path, *SHORT, "ckpt_path=weights.pt")
    assert ran.code == 1
    line = "weights.pt is no checkpoint of a run (init=pretrained takes bare weights)"
    assert ran.one().error.line == line


@pytest.mark.slow
def test_a_run_that_began_from_another_s_checkpoint_continues_from_its_own(in_process, ran):
    path = ran.folder(ran.one()) / "checkpoints" / "last.ckpt"
    words = ("trainer.max_epochs=4", "study=more", "model.widths=[16]", f"ckpt_path={path}")
    first = in_process(ran.here, *words)
    folder = first.folder(first.one("more"))
    edit(folder, status="interrupted")
    own = (folder / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    second = in_process(ran.here, *words)
    assert second.one("more").hashes == first.one("more").hashes
    assert (folder / "checkpoints" / "last.ckpt").stat().st_mtime_ns == own


# ------------------------------------------------------------------------------ memory, and folders


def test_a_cell_out_of_memory(in_process, tmp_path):
    """The others have its memory; told by what a person can do about it."""
    gc.disable()
    try:
        ran = in_process(
            tmp_path, "-m", *SHORT, "model._target_=bad_days_parts.Hungry",
            "++model.appetite=torch,numpy,gpu,none",
        )  # fmt: skip
    finally:
        gc.enable()
    assert ran.code == 1
    results = {r.config["model"]["appetite"]: r for r in ran.results()}
    assert results.pop("none").status == "done", ran.out
    told = {appetite: result.error for appetite, result in results.items()}
    assert {result.status for result in results.values()} == {"failed"}
    for appetite, word in (
        ("torch", "you tried to allocate 4000000000000000 bytes"),
        ("numpy", "Unable to allocate 7.11 PiB"),
        ("gpu", "CUDA out of memory. Tried to allocate 20.00 GiB."),
    ):
        line = told[appetite].line
        assert line.startswith("out of memory: take a smaller data.batch_size or model; ")
        assert word in line
        assert f"failed: {results[appetite].run}: {line}\n" in ran.out


def read_only_folder(tmp_path):
    """`/sys` for root, whom permissions do not bind."""
    if os.geteuid() == 0:
        return Path("/sys")
    folder = tmp_path / "logs"
    folder.mkdir()
    folder.chmod(0o555)
    return folder


@pytest.mark.parametrize(
    ("many", "kind"), [((), "read-only"), (("-m",), "read-only"), ((), "a file")]
)
def test_a_folder_that_nothing_can_be_written_to(in_process, tmp_path, many, kind):
    folder = read_only_folder(tmp_path) if kind == "read-only" else tmp_path / "logs"
    if kind == "a file":
        folder.touch()
    ran = in_process(tmp_path, *many, *SHORT, f"paths.log_dir={folder}")
    reason = (
        "Not a directory" if kind == "a file" else "(Operation not permitted|Permission denied)"
    )
    assert ran.code == 1
    assert ran.out == ""
    assert re.fullmatch(f"theta0: {folder}/s: {reason}\n", ran.err)
