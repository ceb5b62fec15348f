"""CSV that a spreadsheet may open: what it would take for a formula stays text."""

import re

import pandas as pd

from theta0.terminal import printable

FORMULA = re.compile(r"[=+\-@]")
"""How a cell begins that a spreadsheet computes (OWASP, "CSV Injection")."""


def as_text(value: object) -> object:
    """The value itself; of a text control characters are written out, and where it is no number
    and would be a formula, a `'` stands before it."""
    if not isinstance(value, str):
        return value
    text = printable(value).replace("\n", r"\n")
    if not FORMULA.match(text):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def to_csv(frame: pd.DataFrame) -> str:
    """The table as CSV, its column names too."""
    safe = frame.rename(columns=as_text)
    for name in safe.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in safe.dtypes]]:
        safe[name] = safe[name].map(as_text)
    return str(safe.to_csv(index=False, lineterminator="\n"))
