"""Charts as SVG text: scales, ticks, axes, markers. No library: a page must carry its pictures,
follow its theme, and be read aloud.

Colours are classes (c0 ... c6, Okabe & Ito's colour-blind-safe set) that the style sheet fills for
light and dark; shapes go with them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from unicodedata import east_asian_width

COLOURS = 7
SHAPES = ("circle", "square", "triangle", "diamond", "down", "plus", "cross")
LONGEST = 30
EDGE = 6
"""Pixels by which a tick's label may stand out to the right of its axis."""
LINE = 15
"""Pixels from one line of text to the next."""
CHARACTER = 6.4
"""Pixels of an average character at the charts' 12 px: enough to keep labels apart."""


def element(name: str, content: str | Iterable[str] = "", **attributes: object) -> str:
    """An element. `content` is markup, already escaped; attribute values are escaped here, `class_`
    and `a_b` become `class` and `a-b`.
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = content if isinstance(content, str) else "".join(content)
    return f"<{name}{told}>{inner}</{name}>"


def text(
    words: str,
    x: float,
    y: float,
    class_: str,
    text_anchor: str | None = None,
    data_where: str | None = None,
) -> str:
    """Words at a place."""
    return element(
        "text",
        escape(words),
        x=x,
        y=y,
        class_=class_,
        text_anchor=text_anchor,
        data_where=data_where,
    )


def polyline(
    points: Sequence[tuple[float, float]], class_: str, data_where: str | None = None
) -> str:
    corners = " ".join(f"{_text(x)},{_text(y)}" for x, y in points)
    return element("polyline", points=corners, fill="none", class_=class_, data_where=data_where)


@dataclass(frozen=True)
class Size:
    """A chart is drawn twice, for a desk and for a phone: one picture scaled to both would be too
    small to read on one of them.
    """

    name: str
    width: float
    height: float
    left: float = 52
    right: float = 14
    top: float = 26
    bottom: float = 44


WIDE = Size("wide", 960, 400)
NARROW = Size("narrow", 350, 320, left=46, right=8)


@dataclass(frozen=True)
class Scale:
    """From data to pixels, linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        transform: Callable[[float], float] = math.log10 if self.log else float
        low, high = transform(self.low), transform(self.high)
        share = (transform(max(value, self.low) if self.log else value) - low) / (
            (high - low) or 1.0
        )
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        """At most about `most` round numbers in the range."""
        return (
            _log_ticks(self.low, self.high, most)
            if self.log
            else _linear_ticks(self.low, self.high, most)
        )


def span(values: Iterable[float], *, log: bool = False, pad: float = 0.08) -> tuple[float, float]:
    """A range around values with some air; never empty."""
    found = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    low, high = (min(found), max(found)) if found else (1.0, 10.0)
    if log:
        air = max(pad * math.log10(high / low), 0.12)
        return 10 ** (math.log10(low) - air), 10 ** (math.log10(high) + air)
    air = max(pad * (high - low), 1e-9 + 0.02 * abs(high))
    return low - air, high + air


def axes(
    size: Size, x: Scale, y: Scale, x_label: str, y_label: str, ticks: Sequence[float] = ()
) -> str:
    """Grid, tick labels and axis titles; the vertical one stands level above its axis, where it is
    read without turning the head.

    `ticks` are of the horizontal axis, where round numbers say less than the values that were
    measured.
    """
    right, floor = size.width - size.right, size.height - size.bottom
    parts = []
    for value in y.ticks(6):
        parts.append(
            element("line", x1=size.left, x2=right, y1=y(value), y2=y(value), class_="grid")
        )
        parts.append(
            text(number(value), size.left - 8, y(value) + 4, class_="tick", text_anchor="end")
        )
    parts += columns(x, ticks or x.ticks(8 if size.width > 500 else 5), size.top, floor)
    parts.append(x_axis(size))
    parts.append(text(y_label, 4, size.top - 12, class_="title"))
    parts.append(x_title(size, x_label))
    return element("g", parts, aria_hidden="true")


def x_axis(size: Size) -> str:
    """The line at the foot of a chart."""
    right, floor = size.width - size.right, size.height - size.bottom
    return element("line", x1=size.left, x2=right, y1=floor, y2=floor, class_="axis")


def x_title(size: Size, words: str) -> str:
    """What the horizontal axis shows, below its right end."""
    right = size.width - size.right
    return text(words, right, size.height - 6, class_="title", text_anchor="end")


def columns(x: Scale, ticks: Sequence[float], top: float, floor: float) -> list[str]:
    """The lines of a grid that stand upright, with their labels; a label that has no room is left
    out.
    """
    parts = []
    free = -math.inf
    for value in ticks:
        at, label = x(value), number(value)
        parts.append(element("line", x1=at, x2=at, y1=top, y2=floor, class_="grid"))
        if at - len(label) * CHARACTER / 2 > free:
            edge = x.end + EDGE - len(label) * CHARACTER / 2
            parts.append(
                text(label, min(at, edge), floor + 18, class_="tick", text_anchor="middle")
            )
            free = at + len(label) * CHARACTER / 2 + 4
    return parts


def figure(size: Size, content: Iterable[str], label: str) -> str:
    """The whole picture."""
    box = f"0 0 {_text(size.width)} {_text(size.height)}"
    return element(
        "svg", content, viewBox=box, class_=f"chart {size.name}", role="group", aria_label=label
    )


def both_sizes(draw: Callable[[Size], str]) -> str:
    """A chart for a desk and for a phone; the style sheet shows one."""
    return draw(WIDE) + draw(NARROW)


@dataclass(frozen=True)
class Mark:
    """What tells a series apart on the whole page: a shape in a colour by its number; `hollow`
    tells a reranker's second device from its first.
    """

    index: int
    hollow: bool = False

    @property
    def shade(self) -> int:
        """The number of its colour. After seven rerankers colours begin anew with other shapes."""
        return self.index % COLOURS

    @property
    def shape(self) -> str:
        return SHAPES[(self.index + self.index // COLOURS) % len(SHAPES)]

    @property
    def colour(self) -> str:
        return f"c{self.shade}"

    def at(self, x: float, y: float, r: float = 6) -> str:
        """The mark at a place."""
        return element(
            "path",
            d=_outline(self.shape, x, y, r),
            class_=f"mark {self.colour}{' hollow' if self.hollow else ''}",
        )

    def swatch(self) -> str:
        """The mark alone, for a legend or a table."""
        return element(
            "svg", self.at(8, 8, 5.5), viewBox="0 0 16 16", class_="swatch", aria_hidden="true"
        )


def crowded(heights: Sequence[float]) -> bool:
    """Whether lines at these heights are so close that their labels would be on one another, and on
    every point near them.
    """
    ordered = sorted(heights)
    return any(below - above < LINE for above, below in pairwise(ordered))


def heading(size: Size, words: str) -> str:
    """Words above the chart, at its right end, where no point is."""
    right = size.width - size.right
    return text(words, right, size.top - 12, class_="reference", text_anchor="end")


def width_of(words: str) -> float:
    """Pixels that words take in a chart, about; those of East Asian scripts are twice as wide."""
    wide = sum(east_asian_width(letter) in "WF" for letter in words)
    return CHARACTER * (len(words) + wide)


def fitted(words: str, room: float) -> str:
    """Words as far as there is room for them, in pixels."""
    if width_of(words) <= room:
        return words
    most = len(words) - 1
    while most and width_of(words[:most]) + CHARACTER > room:
        most -= 1
    return f"{words[:most]}…"


def shortened(name: str) -> str:
    """A name as a chart has room for; the legend has it in full."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def number(value: float) -> str:
    """A tick's label."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def _outline(shape: str, x: float, y: float, r: float) -> str:
    if shape == "circle":
        return f"M{_text(x - r)} {_text(y)}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0Z"
    corners = {
        "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        "triangle": [(0, -1.15), (1.1, 0.8), (-1.1, 0.8)],
        "down": [(0, 1.15), (1.1, -0.8), (-1.1, -0.8)],
        "diamond": [(0, -1.25), (1.1, 0), (0, 1.25), (-1.1, 0)],
        "plus": _cross(0.4, 1.15),
        "cross": [((a - b) * 0.72, (a + b) * 0.72) for a, b in _cross(0.4, 1.25)],
    }[shape]
    return "M" + "L".join(f"{_text(x + a * r)} {_text(y + b * r)}" for a, b in corners) + "Z"


def _cross(thin: float, long: float) -> list[tuple[float, float]]:
    quarter = [(-thin, -long), (thin, -long), (thin, -thin)]
    turned = [quarter]
    for _ in range(3):
        turned.append([(-b, a) for a, b in turned[-1]])
    return [corner for one in turned for corner in one]


def _linear_ticks(low: float, high: float, most: int) -> list[float]:
    raw = (high - low) / max(1, most)
    power = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    if high / low < 3:
        return _linear_ticks(low, high, most)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 3, 4, 6, 8), (1, 2, 5), (1, 3), (1,)):
        found = [
            factor * 10.0**decade
            for decade in decades
            for factor in factors
            if low <= factor * 10.0**decade <= high
        ]
        if len(found) <= most:
            return found
    return found[:: math.ceil(len(found) / most)]


def _text(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
