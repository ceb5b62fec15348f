"""The house style: sizes, colours and marks."""

from typing import Any

import numpy as np
from matplotlib.colors import to_rgb

ONE, TWO = 3.35, 6.9
"""Inches: the width of one column of a paper, and of two."""

INK, GREY, FAINT = "#222222", "#767676", "#EEEEEE"

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
"""Okabe and Ito (2008), Color universal design, those that stand out most first; their yellow is
not seen on white."""

DASHES = ["-", "--", ":", "-."]
"""Of the second, third and fourth seven lines."""

MARKERS = ["o", "s", "^", "D", "v", "P", "p", "<", "h", ">", "d", "*"]

COLOUR_MAP = "cividis"

STYLE = {
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # TrueType: journals refuse Type 3
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 7,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "text.color": INK,
    "axes.labelsize": 7,
    "axes.labelcolor": INK,
    "axes.titlesize": 7.5,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 6.5,
    "ytick.major.width": 0.6,
    "figure.titlesize": 8,
    "figure.labelsize": 7,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "hatch.linewidth": 0.5,
}
"""For `matplotlib.style.context`, on top of matplotlib's own defaults."""

MEAN: dict[str, Any] = {"zorder": 3, "markeredgecolor": "white", "markeredgewidth": 0.5}
SEED: dict[str, Any] = {"s": 7, "alpha": 0.45, "linewidths": 0, "zorder": 2}
STRIP: dict[str, Any] = {"color": FAINT, "linewidth": 0, "zorder": 3.5}
LOST: dict[str, Any] = {"s": 11, "marker": "x", "linewidths": 0.8, "zorder": 4, "clip_on": False}
"""How a mean is drawn, a seed's run behind it, the strip over whatever goes beyond the axis, and a
run that diverged."""


def text_colour(background: Any) -> str:
    """Black or white, whichever is read more easily."""
    return "black" if contrast("black", background) > contrast("white", background) else "white"


def contrast(a: Any, b: Any) -> float:
    """The ratio of two colours' luminance, from 1 to 21 (WCAG 2.2)."""

    def luminance(colour: Any) -> float:
        parts = np.array(to_rgb(colour))
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    darker, lighter = sorted((luminance(a), luminance(b)))
    return (lighter + 0.05) / (darker + 0.05)
