"""metrics.csv of every run as one table."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from theta0.errors import first_line
from theta0.files import open_plain
from theta0.results import Result

KEYS = {"study": "str", "run": "str", "epoch": "int64", "step": "int64", "seconds": "float64"}


def curves(results: Sequence[Result], folders: Sequence[Path]) -> tuple[pd.DataFrame, list[str]]:
    """One row a run and epoch, and a line for each file that cannot be read.

    Columns: study and run; epoch, from 0; optimizer steps done; seconds of fit, over all starts of
    the run; then each metric under its name. A run without metrics.csv has no rows, one that
    diverged those up to there. `folders` are those of the runs.
    """
    parts: dict[int, pd.DataFrame] = {}
    broken = []
    for number, folder in enumerate(folders):
        path = folder / "metrics.csv"
        try:
            with open_plain(path) as file:
                rows = pd.read_csv(file)
            # Before the first epoch there is none; a header alone would make columns of objects.
            if "epoch" in rows and len(rows):
                rows = rows[rows["epoch"].notna()].apply(pd.to_numeric)
                parts[number] = rows.astype({key: KEYS[key] for key in ("epoch", "step")})
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            broken.append(f"{path}: cannot be read: {first_line(error)}")
    whole = pd.concat(parts, names=["number"]) if parts else pd.DataFrame()
    if whole.empty:
        return pd.DataFrame(columns=list(KEYS)).astype(KEYS), broken
    whole = whole.reset_index("number")
    number = whole.pop("number")
    for name in ("study", "run"):
        names = pd.Series([getattr(result, name) for result in results], dtype="str")
        whole[name] = names[number].array
    others = whole.columns.difference(list(KEYS), sort=False)
    others = others[whole[others].notna().any()]
    return whole.reindex(columns=[*KEYS, *others]).astype(KEYS).reset_index(drop=True), broken
