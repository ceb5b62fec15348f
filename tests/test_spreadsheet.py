"""CSV in which a spreadsheet finds nothing to compute."""

import csv
import io

import pandas as pd
import pytest

from theta0.spreadsheet import as_text, to_csv


@pytest.mark.parametrize("value", ["=cmd|' /C calc'!A0", "+1+1", "-x", "@SUM(1)"])
def test_a_formula_stays_text(value):
    frame = pd.DataFrame({value: [value, "he"], "n": [-1.5, 2.0]})
    header, first, second = csv.reader(io.StringIO(to_csv(frame), newline=""))
    assert header == [f"'{value}", "n"]
    assert first == [f"'{value}", "-1.5"]
    assert second == ["he", "2.0"]


@pytest.mark.parametrize("value", ["-1", "+0.5", "-inf", "he", "", "a=b", None, -1, 1.5, True])
def test_all_else_stays_as_it_is(value):
    assert as_text(value) == value


@pytest.mark.parametrize("value", ["a\r=1", "\t=1", "a\n=1", "\x1b[2J"])
def test_a_text_is_one_cell(value):
    (_, row) = csv.reader(io.StringIO(to_csv(pd.DataFrame({"a": [value]})), newline=""))
    assert row == [value.encode("unicode_escape").decode()]
