"""A value of a configuration as text, the same in every table."""

from typing import Any

import pandas as pd

from theta0.errors import shown


def plain(value: Any) -> str:
    """A value as it would be typed, to ten digits; `none` where a run has no such key.

    An empty text is an empty field.
    """
    if isinstance(value, str) and value == "":
        return value
    if pd.api.types.is_list_like(value):
        return shown(value)
    if pd.isna(value):
        return "none"
    if pd.api.types.is_bool(value):
        return shown(bool(value))
    return f"{value:.10g}" if pd.api.types.is_float(value) else shown(value)
