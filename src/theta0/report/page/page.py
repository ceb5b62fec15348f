"""index.html: template, style, program and data in one file."""

import base64
import hashlib
import html
import json
import re
from functools import cache
from importlib.resources import files

from theta0.report.page.content import content
from theta0.report.report import Report
from theta0.results import write_atomically

PROGRAM = (
    "elements", "data", "filter", "statistics", "summary", "heat_map", "charts", "curves",
    "parallel", "runs", "run", "main",
)  # fmt: skip
"""Files in program/, each of which uses what those before it define."""


def write(report: Report) -> None:
    """Write index.html into the report's folder."""
    text = render(report.study.name, embedded(report))
    write_atomically(report.folder / "index.html", text)


def embedded(report: Report) -> str:
    """The page's data as JSON in which no `<` can end the element around it."""
    text = json.dumps(content(report), allow_nan=False, separators=(",", ":"))
    return text.replace("<", r"\u003c")


def render(title: str, data: str) -> str:
    """The whole file. Nothing but its own style and program may act in it, by their hashes."""
    style, program = _source("page.css"), _program()
    parts = {
        "title": html.escape(title),
        "policy": f"default-src 'none'; style-src {_allowed(style)}; script-src {_allowed(program)}"
        "; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'",
        "style": style,
        "program": program,
        "version": version(data),
        "data": data,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _source("page.html"))


def version(data: str) -> str:
    """By which the page knows whether it shows what is there."""
    return hashlib.sha256(data.encode()).hexdigest()[:16]


@cache
def _program() -> str:
    """All parts in one scope, which nothing else on the page can reach."""
    parts = "\n".join(_source(f"program/{part}.js") for part in PROGRAM)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


@cache
def _source(name: str) -> str:
    return (files("theta0.report.page") / name).read_text(encoding="utf-8")


def _allowed(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
