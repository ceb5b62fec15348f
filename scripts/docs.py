"""docs/catalogue.md from the headers and values of configs/: python scripts/docs.py [--check]

A header's lines `# paper:`, `# formula:` and `# differs:` (each may go on in lines that begin with
`#   `) become the columns of a table, with what the YAML itself says of rates and gains.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "catalogue.md"

TOP = """\
# The catalogue

Every option of `init`, `optimizer` and `remedy`: its formula, where it comes from, and where
implementations differ. `python scripts/docs.py` writes this page from the files in `configs/`.

In formulas g is the gradient, θ a parameter, lr the learning rate (with its schedule), λ the weight
decay, and m̂, v̂ are bias-corrected.
"""


def header(path: Path) -> dict[str, str]:
    """`paper`, `formula`, `differs` of a YAML file, as far as its first comment has them."""
    entries: dict[str, str] = {}
    key = ""
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        if match := re.match(r"# (paper|formula|differs): (.+)", line):
            key = match[1]
            entries[key] = match[2]
        elif key and (match := re.match(r"#   (.+)", line)):
            entries[key] += " " + match[1]
        else:
            key = ""
    return entries


def options(group: str) -> list[tuple[str, dict[str, str], dict[str, Any]]]:
    """(name, header, content) of each option of a group that does something."""
    files = sorted((ROOT / "configs" / group).glob("*.yaml"))
    return [
        (file.stem, header(file), yaml.safe_load(file.read_text()) or {})
        for file in files
        if file.stem != "none"
    ]


def optimizers() -> str:
    rows = []
    for name, head, content in options("optimizer"):
        low, high = content["search_space"]["lr"]
        rate = f"{number(content['optimizer']['lr'])} ({number(low)} to {number(high)})"
        rows.append([f"`{name}`", head["formula"], head["paper"], rate, head["differs"]])
    columns = ["option", "formula", "paper", "lr (search range)", "where implementations differ"]
    return table(columns, rows)


def inits() -> str:
    rows = []
    for name, head, content in options("init"):
        gain = str(content.get("gain", "–"))
        rows.append([f"`{name}`", head["formula"], gain, head["paper"], head["differs"]])
    columns = ["option", "formula", "gain", "paper", "where implementations differ"]
    return table(columns, rows)


def remedies() -> str:
    rows = [[f"`{name}`", head["formula"], head["paper"]] for name, head, _ in options("remedy")]
    return table(["option", "what it does", "paper"], rows)


def table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def number(value: float) -> str:
    return f"{value:g}"


def page() -> str:
    parts = [TOP]
    for title, body in (
        ("Initialisations", inits()),
        ("Optimizers", optimizers()),
        ("Remedies", remedies()),
    ):
        parts.append(f"## {title}\n\n{body}\n")
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say whether the page is current")
    if parser.parse_args().check:
        if PAGE.read_text() != page():
            sys.exit(f"{PAGE.relative_to(ROOT)} is out of date: python scripts/docs.py")
        return
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
