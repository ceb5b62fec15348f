"""metrics.csv as text, line by line."""

import pytest

from theta0.tracking import CsvLogger


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.csv"


def test_rows_are_merged_by_step(path):
    logger = CsvLogger(path)
    logger.log_metrics({"a": 1.5}, step=0)
    logger.log_metrics({"a": 2.5}, step=10)
    logger.log_metrics({"b": 3}, step=10)
    logger.log_metrics({"a": 4}, step=20)
    logger.finalize("success")
    assert path.read_text() == "step,a,b\n0,1.5,\n10,2.5,3\n20,4,\n"


def test_a_row_is_on_disk_at_once(path):
    """The checkpoint of an epoch is written right after its row: a run killed then has both."""
    logger = CsvLogger(path)
    assert path.read_text() == "step\n"
    logger.log_metrics({"a": 1}, step=0)
    assert path.read_text() == "step,a\n0,1\n"
    logger.log_metrics({"b": 2}, step=0)
    logger.log_metrics({"a": 3}, step=1)
    assert path.read_text() == "step,a,b\n0,1,2\n1,3,\n"
    logger.finalize("failed")
    logger.finalize("failed")
    assert path.read_text() == "step,a,b\n0,1,2\n1,3,\n"


def test_new_columns_come_last_and_old_rows_stay(path):
    logger = CsvLogger(path)
    logger.log_metrics({"b": 1, "a": 2}, step=0)
    logger.log_metrics({"c": 3}, step=1)
    logger.log_metrics({"a": 4, "b": 5, "d": 6}, step=2)
    logger.finalize("success")
    assert path.read_text() == "step,b,a,c,d\n0,1,2,,\n1,,,3,\n2,5,4,,6\n"
    assert [p.name for p in path.parent.iterdir()] == ["metrics.csv"]


def test_a_number_reads_back_as_it_was(path):
    logger = CsvLogger(path)
    logger.log_metrics({"a": 0.1 + 0.2, "b": float("inf"), "c": 1e-45}, step=0)
    logger.finalize("success")
    row = path.read_text().splitlines()[1].split(",")
    assert [float(x) for x in row] == [0.0, 0.1 + 0.2, float("inf"), 1e-45]


def fill(path, steps):
    logger = CsvLogger(path)
    for step in steps:
        logger.log_metrics({"a": step}, step=step)
    logger.finalize("success")


def test_a_start_from_the_beginning_drops_every_row(path):
    fill(path, range(3))
    CsvLogger(path)
    assert path.read_text() == "step\n"


def test_a_continued_run_drops_the_rows_after_its_checkpoint(path):
    fill(path, [0, 10, 20, 30])
    logger = CsvLogger(path, continue_from_step=20)
    logger.log_metrics({"a": 25}, step=25)
    logger.log_metrics({"a": 30, "b": 1}, step=30)
    logger.finalize("success")
    assert path.read_text() == "step,a,b\n0,0,\n10,10,\n20,20,\n25,25,\n30,30,1\n"


def test_what_a_continued_run_logs_at_the_step_of_its_checkpoint_shares_the_row(path):
    """An epoch's row and the next step's loss have one step number: one row, before and after."""
    first = CsvLogger(path)
    first.log_metrics({"epoch": 0, "val/acc": 0.5}, step=20)
    first.log_metrics({"train/loss_step": 1.25}, step=20)
    first.log_metrics({"train/loss_step": 1.0}, step=30)
    first.finalize("success")
    whole = path.read_text()
    assert whole == "step,epoch,val/acc,train/loss_step\n20,0,0.5,1.25\n30,,,1.0\n"
    again = CsvLogger(path, continue_from_step=20)
    again.save()  # as Lightning does when fit starts
    again.log_metrics({"train/loss_step": 1.25}, step=20)
    again.log_metrics({"train/loss_step": 1.0}, step=30)
    again.finalize("success")
    assert path.read_text() == whole


def test_to_continue_without_a_file_is_a_start(path):
    logger = CsvLogger(path, continue_from_step=20)
    logger.log_metrics({"a": 1}, step=21)
    logger.finalize("success")
    assert path.read_text() == "step,a\n21,1\n"
