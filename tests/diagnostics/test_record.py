"""When it is measured, and diagnostics.csv as text."""

import pytest

from theta0.diagnostics import QUANTITIES, Statistics
from theta0.diagnostics.record import Record
from theta0.diagnostics.schedule import check_schedule, due

HEADER = f"step,layer,{','.join(QUANTITIES)}\n"


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [
        ("start", [0]),
        ("log", [0, 1, 2, 5, 10, 20, 50, 100, 200, 500]),
        (100, [0, 100, 200, 300, 400, 500]),
        (1, list(range(501))),
    ],
)
def test_schedules(schedule, steps):
    check_schedule(schedule)
    assert [step for step in range(501) if due(schedule, step)] == steps


@pytest.mark.parametrize("schedule", ["linear", 0, -3, 1.5])
def test_no_schedules(schedule):
    with pytest.raises(ValueError, match=r"schedule=.*: allowed are log, start or a number"):
        check_schedule(schedule)


def row(layer, value):
    return Statistics(layer=layer, activation_mean=value)


def line(step, layer, value):
    return f"{step},{layer},{value}" + "," * (len(QUANTITIES) - 1) + "\n"


def test_a_row_a_step_and_layer_is_on_disk_at_once(tmp_path):
    path = tmp_path / "diagnostics.csv"
    record = Record(path)
    assert path.read_text() == HEADER
    record.add(0, [row("one", 0.1 + 0.2), row("two", -1.0)])
    text = HEADER + line(0, "one", 0.1 + 0.2) + line(0, "two", -1.0)
    assert path.read_text() == text
    record.add(5, [row("one", 1e-45)])
    assert path.read_text() == text + line(5, "one", 1e-45)
    assert [p.name for p in tmp_path.iterdir()] == ["diagnostics.csv"]


def test_a_continued_run_drops_the_rows_after_its_checkpoint(tmp_path):
    path = tmp_path / "diagnostics.csv"
    first = Record(path)
    for step in (0, 10, 20, 30):
        first.add(step, [row("one", step)])
    again = Record(path, continue_from_step=25)
    assert again.last_step == 20
    assert path.read_text() == HEADER + "".join(line(s, "one", s) for s in (0, 10, 20))
    again.add(30, [row("one", 3.5)])
    assert path.read_text().endswith(line(20, "one", 20) + line(30, "one", 3.5))


def test_half_a_row_is_dropped(tmp_path):
    path = tmp_path / "diagnostics.csv"
    Record(path).add(1, [row("one", 1.0)])
    whole = path.read_text()
    path.write_text(whole + "2")  # of step 20
    assert Record(path, continue_from_step=10).last_step == 1
    assert path.read_text() == whole


def test_a_start_from_the_beginning_drops_every_row(tmp_path):
    path = tmp_path / "diagnostics.csv"
    Record(path).add(0, [row("one", 1.0)])
    assert Record(path).last_step is None
    assert path.read_text() == HEADER
    assert Record(tmp_path / "other.csv", continue_from_step=7).last_step is None
