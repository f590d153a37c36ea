"""What all pictures share: colours and marks that a colour-blind reader can tell apart, sizes that
fit a page, files that repeat.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Sequence
from typing import Any

from bench.core.printable import one_line
from bench.reports.charts.svg import Mark
from bench.reports.judges import MARK

# Okabe & Ito's colour-blind-safe set.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = {
    "circle": "o",
    "square": "s",
    "triangle": "^",
    "diamond": "D",
    "down": "v",
    "plus": "P",
    "cross": "X",
}
LINES = ("-", "--", "-.")
"""Lines of one colour, in the order of its turns."""
LONGEST_NAME = 48
"""Characters of a name in a legend."""
GREY, FAINT = "#777777", "#dddddd"
WIDTH = 7.2
"""Inches of a picture."""
LABELS = 0.5
"""Inches below the axes that ticks and label take."""
COLUMNS = 115
"""Characters of a line below a picture."""


def empty_figure(width: float, height: float) -> Any:
    """Return a figure, in inches. No display is needed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def new_figure(title: str, height: float = 4.6) -> tuple[Any, Any]:
    """Return a figure and its axes, with a grid behind what is drawn."""
    figure = empty_figure(WIDTH, height)
    axes = figure.subplots()
    axes.set_title(title, fontsize=10, loc="left")
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def add_lines(figure: Any, lines: Sequence[str]) -> None:
    """Write below a figure that a model made the judgments behind it, a line per dataset; nothing
    without lines.
    """
    if not lines:
        return
    paragraphs = [textwrap.fill(f"{MARK} {line}.", COLUMNS) for line in lines]
    figure.supxlabel("\n".join(paragraphs), x=0.01, ha="left", fontsize=7, color=GREY)


def look(mark: Mark) -> dict[str, str]:
    """Return the colour and the marker of a mark, hollow where it is."""
    colour = COLOURS[mark.shade]
    return {
        "color": colour,
        "marker": MARKERS[mark.shape],
        "markerfacecolor": "white" if mark.hollow else colour,
    }


def line_of(mark: Mark) -> str:
    """Return how the line of a mark is drawn: its colour may be that of another one."""
    return LINES[mark.turn % len(LINES)]


def legend(axes: Any, **options: Any) -> None:
    """Draw a legend, by default where it covers least. A long name has its beginning and its end:
    the whole of it would leave no room for the picture.
    """
    handles, names = axes.get_legend_handles_labels()
    labels = [_short(name) for name in names]
    axes.legend(handles, labels, **{"fontsize": 8, "loc": "best", "framealpha": 0.9, **options})


def _short(name: str) -> str:
    line = one_line(name)
    if len(line) <= LONGEST_NAME:
        return line
    half = LONGEST_NAME // 2
    return f"{line[:half]}…{line[1 - half :]}"


def legend_below(axes: Any) -> None:
    """Draw a legend below the axes: inside them it covers intervals, which matplotlib's choice of
    a place does not see.
    """
    from matplotlib.transforms import ScaledTranslation

    below = axes.transAxes + ScaledTranslation(0, -LABELS, axes.figure.dpi_scale_trans)
    place = {"bbox_to_anchor": (0, 0), "bbox_transform": below, "borderaxespad": 0}
    legend(axes, loc="upper left", ncols=2, frameon=False, **place)


def plain_log_ticks(axis: Any) -> None:
    """Write plain numbers at 1, 2 and 5 of each decade: a log axis of less than a decade otherwise
    shows no number at all.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def image(figure: Any, form: str) -> bytes:
    """Return the figure as png, svg or pdf. Equal figures give equal bytes; text in an SVG stays
    text, and names are shown as they are: what is between two `$` is no formula.
    """
    from matplotlib import rc_context
    from matplotlib.text import Text

    stamps = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Producer": None},
    }
    settings = {
        "svg.hashsalt": "rerank-bench",
        "svg.fonttype": "none",
        "pdf.fonttype": 42,
        "text.parse_math": False,
    }
    # Texts that are made on saving follow the settings; those that are there do not.
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    buffer = io.BytesIO()
    with rc_context(settings), warnings.catch_warnings():
        # an emoji that no font here has is drawn as a box: nothing that a reader can mend
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(buffer, format=form, dpi=150, metadata=stamps[form])
    return buffer.getvalue()
