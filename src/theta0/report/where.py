"""A filter of runs, as a person writes it: init in ('he', 'xavier') and lr < 0.1"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_float_dtype

from theta0.errors import ConfigError, did_you_mean, first_line
from theta0.results import Result
from theta0.sweep.runs import column_of
from theta0.sweep.table import config_value

# A text, or a word that may be a column's name (val/acc, optimizer.lr).
_WORDS = re.compile(r"""'[^']*'|"[^"]*"|(?<!\w)[A-Za-z_][\w.]*(?:/[A-Za-z_][\w.]*)*""")
_GRAMMAR = {"and", "or", "not", "in", "True", "False"}


def matches(where: str, runs: pd.DataFrame, results: Sequence[Result]) -> pd.Series:
    """Whether the expression holds, a truth value a row.

    Names are those of the columns, or of keys of the configuration; their last words are enough
    where that is clear: `lr` for `optimizer.lr`. Operators are Python's: comparisons, `in`,
    arithmetic, `and`, `or`, `not`. No other name is known to the expression, so that it can call
    nothing. Where a run has no number, no comparison of it holds.

    Raises:
        ConfigError: the expression cannot be read, or names what is not there.
    """
    columns: dict[str, pd.Series] = {}
    words: dict[str, str] = {}

    def replaced(found: re.Match[str]) -> str:
        word = found[0]
        if word[0] in "'\"" or word in _GRAMMAR:
            return word
        name = f"column{len(columns)}"
        values, words[name] = _values(where, word, runs, results), word
        # With NA for what is not there, so that neither == nor != holds of it.
        columns[name] = values.astype("Float64") if is_float_dtype(values) else values
        return name

    expression = _WORDS.sub(replaced, where)
    try:
        if "@" in expression or "`" in expression:  # pandas would look elsewhere for the name
            raise ValueError("invalid syntax")
        mask = pd.DataFrame(columns, index=runs.index).eval(expression, engine="python")
    except Exception as error:  # of whatever kind: it depends on what pandas makes of the words
        told = re.sub(r" \(<.*", "", first_line(error))
        for name, word in words.items():
            told = told.replace(name, word)
        raise ConfigError(f"where={where}: cannot be read: {told}") from None
    if not (isinstance(mask, pd.Series) and is_bool_dtype(mask)):
        raise ConfigError(f"where={where}: must be a comparison, such as lr < 0.1")
    return mask.fillna(False).astype(bool)


def _values(where: str, word: str, runs: pd.DataFrame, results: Sequence[Result]) -> pd.Series:
    """The column that a word means, or the values of the configuration's key."""
    if name := _meant(where, word, list(runs.columns)):
        return runs[name]
    keys = dict.fromkeys(key for result in results for key in _keys(result.config))
    if name := _meant(where, word, list(keys)):
        values = column_of([config_value(result.config, name) for result in results])
        return values.set_axis(runs.index)
    near = did_you_mean(word, runs.columns)
    there = ", ".join(runs.columns)
    raise ConfigError(
        f"where={where}: no column {word} (a text stands in quotes); there are: {there}{near}"
    )


def _meant(where: str, word: str, names: list[str]) -> str | None:
    """The name itself, or the only one that ends with the word."""
    if word in names:
        return word
    found = [name for name in names if name.endswith(f".{word}")]
    if len(found) > 1:
        raise ConfigError(f"where={where}: {word} may be {' or '.join(found)}")
    return found[0] if found else None


def _keys(config: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted names of a configuration's values."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
