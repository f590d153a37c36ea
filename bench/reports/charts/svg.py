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
EDGE = 6
"""Pixels by which a tick's label may reach over the right end of its axis."""
LINE = 15
"""Pixels from one line of text to the next."""
CHARACTER = 6.4
"""Pixels of an average character at the charts' 12 px: enough to keep labels apart."""
CORNERS = {
    "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    "triangle": ((0, -1.15), (1.1, 0.8), (-1.1, 0.8)),
    "down": ((0, 1.15), (1.1, -0.8), (-1.1, -0.8)),
    "diamond": ((0, -1.25), (1.1, 0), (0, 1.25), (-1.1, 0)),
}


def element(name: str, content: str | Iterable[str] = "", **attributes: object) -> str:
    """Return an element. `content` is markup, already escaped; attribute values are escaped here,
    `class_` and `a_b` become `class` and `a-b`, None is left out.
    """
    pairs = ""
    for key, value in attributes.items():
        if value is not None:
            pairs += f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
    return f"<{name}{pairs}>{''.join(content)}</{name}>"


def text(words: str, x: float, y: float, class_: str, **attributes: str | None) -> str:
    """Return words at a place."""
    return element("text", escape(words), x=x, y=y, class_=class_, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    """Return a straight line from one place to another."""
    return element("line", x1=x1, x2=x2, y1=y1, y2=y2, class_=class_)


def polyline(
    points: Sequence[tuple[float, float]], class_: str, data_where: str | None = None
) -> str:
    corners = " ".join(f"{_text(x)},{_text(y)}" for x, y in points)
    return element("polyline", points=corners, fill="none", class_=class_, data_where=data_where)


def point(parts: Iterable[str], tip: str, data_where: str | None = None) -> str:
    """Return shapes that belong together, with a tooltip that is also read aloud."""
    return element(
        "g",
        parts,
        class_="point",
        tabindex=0,
        role="img",
        aria_label=tip.replace("\n", ", "),
        data_tip=tip,
        data_where=data_where,
    )


@dataclass(frozen=True)
class Scale:
    """From data to pixels, linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        transform: Callable[[float], float] = float
        if self.log:
            transform = math.log10
            value = max(value, self.low)
        low, high = transform(self.low), transform(self.high)
        share = (transform(value) - low) / ((high - low) or 1.0)
        return self.start + share * (self.end - self.start)

    def ticks(self, limit: int) -> list[float]:
        """Return about `limit` round numbers in the range, or fewer."""
        if self.log and self.high / self.low >= 3:
            return _log_ticks(self.low, self.high, limit)
        return _linear_ticks(self.low, self.high, limit)


@dataclass(frozen=True)
class Size:
    """A chart is drawn twice, for a desk and for a phone: one picture scaled to both would be too
    small to read on one of them. All in pixels; `left` to `bottom` are its margins.
    """

    name: str
    width: float
    height: float
    left: float = 52
    right: float = 14
    top: float = 26
    bottom: float = 44
    tick_limit: int = 8

    @property
    def edge(self) -> float:
        """Return where the area of the data ends on the right."""
        return self.width - self.right

    @property
    def floor(self) -> float:
        """Return where the area of the data ends below."""
        return self.height - self.bottom

    def across(self, low: float, high: float, *, log: bool = False) -> Scale:
        return Scale(low, high, self.left, self.edge, log)

    def upward(self, low: float, high: float) -> Scale:
        return Scale(low, high, self.floor, self.top)


WIDE = Size("wide", 960, 400)
NARROW = Size("narrow", 350, 320, left=46, right=8, tick_limit=5)


def span(values: Iterable[float], *, log: bool = False, pad: float = 0.08) -> tuple[float, float]:
    """Return a range around values with some air; never empty."""
    finite = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    low, high = min(finite, default=1.0), max(finite, default=10.0)
    if log:
        air = max(pad * math.log10(high / low), 0.12)
        return 10 ** (math.log10(low) - air), 10 ** (math.log10(high) + air)
    air = max(pad * (high - low), 1e-9 + 0.02 * abs(high))
    return low - air, high + air


def axes(
    size: Size, x: Scale, y: Scale, x_label: str, y_label: str, ticks: Sequence[float] = ()
) -> str:
    """Return grid, tick labels and axis titles; the vertical one is level above its axis, where it
    is read without turning the head.

    `ticks` are of the horizontal axis, where round numbers say less than the values that were
    measured.
    """
    parts = []
    for value in y.ticks(6):
        at = y(value)
        parts.append(line(size.left, at, size.edge, at, "grid"))
        parts.append(text(number(value), size.left - 8, at + 4, "tick", text_anchor="end"))
    parts += columns(x, ticks or x.ticks(size.tick_limit), size.top, size.floor)
    parts.append(x_axis(size))
    parts.append(text(y_label, 4, size.top - 12, "title"))
    parts.append(x_title(size, x_label))
    return element("g", parts, aria_hidden="true")


def x_axis(size: Size) -> str:
    """Return the line at the foot of a chart."""
    return line(size.left, size.floor, size.edge, size.floor, "axis")


def x_title(size: Size, words: str) -> str:
    """Return what the horizontal axis shows, below its right end."""
    return text(words, size.edge, size.height - 6, "title", text_anchor="end")


def columns(x: Scale, ticks: Sequence[float], top: float, floor: float) -> list[str]:
    """Return the upright lines of a grid with their labels; a label without room is left out."""
    parts = []
    free = -math.inf
    for value in ticks:
        at, label = x(value), number(value)
        half = len(label) * CHARACTER / 2
        parts.append(line(at, top, at, floor, "grid"))
        if at - half > free:
            place = min(at, x.end + EDGE - half)
            parts.append(text(label, place, floor + 18, "tick", text_anchor="middle"))
            free = at + half + 4
    return parts


def figure(size: Size, content: Iterable[str], label: str) -> str:
    """Return the whole picture."""
    box = f"0 0 {_text(size.width)} {_text(size.height)}"
    return element(
        "svg", content, viewBox=box, class_=f"chart {size.name}", role="group", aria_label=label
    )


def both_sizes(draw: Callable[[Size], str]) -> str:
    """Return a chart for a desk and for a phone; the style sheet shows one."""
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
        """Return the number of its colour. After seven rerankers colours begin anew with other
        shapes and dashed lines.
        """
        return self.index % COLOURS

    @property
    def turn(self) -> int:
        """Return how often the colours have begun anew: lines of one colour differ in it."""
        return self.index // COLOURS

    @property
    def shape(self) -> str:
        return SHAPES[(self.index + self.turn) % len(SHAPES)]

    @property
    def colour(self) -> str:
        return f"c{self.shade}"

    def at(self, x: float, y: float, r: float = 6) -> str:
        """Return the mark at a place."""
        style = f"mark {self.colour}"
        if self.hollow:
            style += " hollow"
        return element("path", d=_outline(self.shape, x, y, r), class_=style)

    def swatch(self) -> str:
        """Return the mark alone, for a legend or a table."""
        return element(
            "svg", self.at(8, 8, 5.5), viewBox="0 0 16 16", class_="swatch", aria_hidden="true"
        )


def crowded(heights: Sequence[float]) -> bool:
    """Return whether lines at these heights are so close that their labels would be on one another,
    and on every point near them.
    """
    ordered = sorted(heights)
    return any(below - above < LINE for above, below in pairwise(ordered))


def heading(size: Size, words: str) -> str:
    """Return words above the chart, at its right end, where no point is."""
    return text(words, size.edge, size.top - 12, "reference", text_anchor="end")


def width_of(words: str) -> float:
    """Return the pixels of words in a chart, about; East Asian letters are twice as wide."""
    wide = sum(east_asian_width(letter) in "WF" for letter in words)
    return CHARACTER * (len(words) + wide)


def fitted(words: str, room: float) -> str:
    """Return words as far as there is room for them, in pixels."""
    if width_of(words) <= room:
        return words
    length = len(words) - 1
    while length and width_of(words[:length]) + CHARACTER > room:
        length -= 1
    return f"{words[:length]}…"


def number(value: float) -> str:
    """Return a tick's label."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def _outline(shape: str, x: float, y: float, r: float) -> str:
    if shape == "circle":
        return f"M{_text(x - r)} {_text(y)}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0Z"
    corners = CORNERS.get(shape, ())
    if shape == "plus":
        corners = _cross(0.4, 1.15)
    elif shape == "cross":
        corners = tuple(((a - b) * 0.72, (a + b) * 0.72) for a, b in _cross(0.4, 1.25))
    return "M" + "L".join(f"{_text(x + a * r)} {_text(y + b * r)}" for a, b in corners) + "Z"


def _cross(thin: float, long: float) -> tuple[tuple[float, float], ...]:
    """Return the twelve corners of a plus: those of one arm, turned three times."""
    arm = [(-thin, -long), (thin, -long), (thin, -thin)]
    corners = list(arm)
    for _ in range(3):
        arm = [(-b, a) for a, b in arm]
        corners += arm
    return tuple(corners)


def _linear_ticks(low: float, high: float, limit: int) -> list[float]:
    raw = (high - low) / max(1, limit)
    power = 1.0
    if raw > 0:
        power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float, limit: int) -> list[float]:
    """Return round numbers of each decade: as many steps per decade as the limit allows."""
    ticks: list[float] = []
    for factors in ((1, 2, 3, 4, 6, 8), (1, 2, 5), (1, 3), (1,)):
        ticks = []
        for exponent in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
            ticks += [factor * 10.0**exponent for factor in factors]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= limit:
            return ticks
    return ticks[:: math.ceil(len(ticks) / limit)]


def _text(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
