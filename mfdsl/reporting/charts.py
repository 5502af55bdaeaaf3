"""Charts as inline SVG: lines over an axis, and heat maps. Nothing is loaded.

Sizes are in units of the drawing, which scales with the page.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 76, 170, 12, 42  # margins; names of lines stand on the right
MOST_POINTS = 1000  # of a line
MOST_CELLS = 100  # along a side of a heat map
TICKS = 5
COLORS = (
    "#4269d0 #d2691e #3ca951 #c2416b #8a63d2 #0f8b8d #9c6b4e #6b7280 #b8860b #1f6fb4 #7a9a01"
    " #d6336c".split()
)


@dataclass(frozen=True)
class Line:
    """A named line through points; a number that is not finite leaves a gap."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high` on a stretch of the drawing, by their logarithm if asked."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Where a number lies."""
        low, high, value = (
            map(math.log10, (self.low, self.high, value))
            if self.log
            else (self.low, self.high, value)
        )
        part = (value - low) / (high - low) if high > low else 0.5
        return self.begin + part * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """Round numbers on the scale."""
        if self.log:
            low, high = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            step = max(1, math.ceil((high - low) / TICKS))
            if high > low:
                return [10.0**k for k in range(low, high + 1, step)]
            rounds = [m * 10.0**k for k in range(low - 2, high + 2) for m in (1, 2, 5)]
            return [r for r in rounds if self.low <= r <= self.high] or [self.low, self.high]
        span = self.high - self.low
        if not span > 0:
            return [self.low]
        rough = 10 ** math.floor(math.log10(span / TICKS))
        step = next(rough * k for k in (1, 2, 5, 10) if span / (rough * k) <= TICKS)
        first = math.ceil(self.low / step)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def lines_chart(
    lines: Sequence[Line], across: str, up: str, *, log: bool = False, least: float | None = None
) -> str:
    """Lines over a common axis, which begins at `least` or lower; with `log` points that are not
    above 0 are left out.
    """
    shown = [Line(line.name, list(_thinned(line.points))) for line in lines]
    seen = [
        (x, y) for line in shown for x, y in line.points if math.isfinite(y) and (y > 0 or not log)
    ]
    if not seen:
        return ""
    xs, ys = zip(*seen, strict=True)
    over = Scale(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    low, high = min(ys if least is None else (*ys, least)), max(ys)
    if low == high:
        low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
    along = Scale(low, high, HEIGHT - BOTTOM, TOP, log)
    parts = [*_axes(over, along, across, up)]
    for k, line in enumerate(shown):
        color = COLORS[k % len(COLORS)]
        dash = "" if k < len(COLORS) else ' stroke-dasharray="5 3"'
        for piece in _pieces(line.points, lambda y: math.isfinite(y) and (y > 0 or not log)):
            parts.append(_stroke([(over.at(x), along.at(y)) for x, y in piece], color, dash))
        if len(lines) > 1 or line.name:
            height = TOP + 10 + 16 * k
            parts.append(
                f'<path d="M{WIDTH - RIGHT + 12} {height - 4}h18" stroke="{color}"'
                f' stroke-width="2"{dash}/>'
                f'<text x="{WIDTH - RIGHT + 36}" y="{height}">{escape(line.name)}</text>'
            )
    height = max(HEIGHT, TOP + 20 + 16 * len(lines))
    return _svg(parts, f"{up} over {across}", height)


def heat_map(
    values: Sequence[Sequence[float]], names: Sequence[str], across: str, up: str
) -> tuple[str, str]:
    """Numbers by columns [T][S] as shades from 0 to the largest, and what was put together.

    Above `MOST_CELLS` along a side neighbours share a cell: sums up the side, means across it.
    """
    wide = max(1, math.ceil(len(values) / MOST_CELLS))
    tall = max(1, math.ceil(len(names) / MOST_CELLS))
    columns = []
    for begin in range(0, len(values), wide):
        part = values[begin : begin + wide]
        sums = [math.fsum(column) / len(part) for column in zip(*part, strict=True)]
        columns.append([math.fsum(sums[k : k + tall]) for k in range(0, len(sums), tall)])
    most = max(max(column) for column in columns)
    over = Scale(0, len(columns), LEFT, WIDTH - RIGHT)
    rows = len(columns[0])
    along = Scale(0, rows, HEIGHT - BOTTOM, TOP)
    w, h = over.at(1) - over.at(0), along.at(0) - along.at(1)
    parts = [
        f'<rect x="{over.at(t):.2f}" y="{along.at(s + 1):.2f}" width="{w + 0.3:.2f}"'
        f' height="{h + 0.3:.2f}" fill="#1f4e9c" fill-opacity="{value / most:.3f}"/>'
        for t, column in enumerate(columns)
        for s, value in enumerate(column)
        if most > 0 and value / most >= 0.0005
    ]
    for k in (int(tick) for tick in Scale(0, rows - 1, 0, 1).ticks() if tick == int(tick)):
        place = along.at(k + 0.5) + 4
        parts.append(
            f'<text x="{LEFT - 8}" y="{place:.1f}" class="e">{escape(names[k * tall])}</text>'
        )
    stages = Scale(0, len(values) - 1, 0, 1)
    for tick in (int(tick) for tick in stages.ticks() if tick == int(tick)):
        parts.append(
            f'<text x="{over.at(tick / wide + 0.5):.1f}" y="{HEIGHT - BOTTOM + 16}" class="m">'
            f"{tick}</text>"
        )
    parts += [*_titles(across, up)]
    parts.append(
        f'<text x="{WIDTH - RIGHT + 12}" y="{TOP + 12}">darkest: {most:.3g}</text>'
        f'<text x="{WIDTH - RIGHT + 12}" y="{TOP + 28}">white: 0</text>'
    )
    notes = [f"each cell is the mean of {wide} stages"] if wide > 1 else []
    notes += [f"the sum of {tall} neighbours"] if tall > 1 else []
    return _svg(parts, f"{up} over {across}", HEIGHT), ", ".join(notes)


def _thinned(points: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Every so many points, and the last."""
    step = max(1, math.ceil(len(points) / MOST_POINTS))
    yield from (p for k, p in enumerate(points) if k % step == 0 or k == len(points) - 1)


def _pieces(
    points: Sequence[tuple[float, float]], fits: Callable[[float], bool]
) -> Iterator[list[tuple[float, float]]]:
    piece: list[tuple[float, float]] = []
    for x, y in points:
        if fits(y):
            piece.append((x, y))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def _stroke(points: Sequence[tuple[float, float]], color: str, dash: str) -> str:
    if len(points) == 1:
        x, y = points[0]
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.8"{dash}/>'


def _axes(over: Scale, along: Scale, across: str, up: str) -> Iterator[str]:
    yield (
        f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH - RIGHT - LEFT}" '
        f'height="{HEIGHT - BOTTOM - TOP}" class="frame"/>'
    )
    for tick in over.ticks():
        x = over.at(tick)
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" class="m">{tick:g}</text>'
    for tick in along.ticks():
        y = along.at(tick)
        yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" class="grid"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" class="e">{tick:.4g}</text>'
    yield from _titles(across, up)


def _titles(across: str, up: str) -> Iterator[str]:
    middle, height = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    yield f'<text x="{middle:.0f}" y="{HEIGHT - 6}" class="m">{escape(across)}</text>'
    yield (
        f'<text transform="translate(14 {height:.0f}) rotate(-90)" class="m">{escape(up)}</text>'
    )


def _svg(parts: Sequence[str], title: str, height: int) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img"><title>{escape(title)}</title>'
        f"{''.join(parts)}</svg>"
    )
