"""The front as a picture: fill against miles, holding and shipments. SVG, written here. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from apps.evaluation.bounds import HindsightBounds
from apps.evaluation.trial import FIRST_COME, PROXIMITY, Trial

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP, _FOOT = 330, 300, 62, 46, 52, 50
_NEAR = 20  # pixels; a line leads from a dot to a mark that is farther away
_OURS, _THEIRS, _LIMIT = "#1d4ed8", "#b91c1c", "#6b7280"


@dataclass(frozen=True)
class _Axis:
    """A way of laying numbers out along a line."""

    name: str
    label: str
    ticks: tuple[float, ...]
    log: bool = False

    @classmethod
    def over(cls, name: str, label: str, values: Sequence[float], *, log: bool = False) -> "_Axis":
        """An axis with ticks at round numbers around all values. It begins at 0 unless it is logarithmic."""
        if log:
            powers = range(math.floor(math.log10(min(values))) - 1, math.ceil(math.log10(max(values))) + 1)
            series = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
            # One tick beyond the smallest value, so that no dot lies on the frame.
            low = max(tick for tick in series if tick < min(values))
            high = min(tick for tick in series if tick >= max(values))
            return cls(name, label, tuple(tick for tick in series if low <= tick <= high), log)
        rough = (max(values) or 1) / 7
        size = 10.0 ** math.floor(math.log10(rough))
        # 1, 2, 5 or 10 times a power of ten: about seven round steps.
        step = next(size * digit for digit in (1, 2, 5, 10) if size * digit >= rough)
        return cls(name, label, tuple(step * count for count in range(math.ceil((max(values) or 1) / step) + 1)))

    def position(self, value: float) -> float:
        """The place of a value on the axis, from 0 to 1."""
        low, high = (self._scale(end) for end in (self.ticks[0], self.ticks[-1]))
        return (self._scale(value) - low) / (high - low)

    def _scale(self, value: float) -> float:
        return math.log(value) if self.log else value


@dataclass(frozen=True)
class _Panel:
    """One diagram: a metric to the right, fill upwards, and where it begins."""

    across: _Axis
    up: _Axis
    left: float

    def x(self, value: float) -> float:
        return round(self.left + _WIDTH * self.across.position(value), 1)

    def y(self, value: float) -> float:
        return round(_TOP + _HEIGHT * (1 - self.up.position(value)), 1)


def _panels(trials: Sequence[Trial], bounds: HindsightBounds) -> list[_Panel]:
    def axis(name: str, label: str, bound: float, *, log: bool) -> _Axis:
        values = [getattr(trial.metrics, name) for trial in trials]
        return _Axis.over(name, label, [bound, *(value for value in values if math.isfinite(value))], log=log)

    up = axis("fill", "fill rate, % (more is better)", bounds.fill, log=False)
    across = (
        axis("miles", "miles of a mean unit (fewer is better)", max(0.1, bounds.miles), log=True),
        axis("holding", "days that a mean unit waits (fewer is better)", bounds.holding, log=False),
        axis("shipments", "shipments per donor (fewer is better)", 1, log=True),
    )
    return [_Panel(one, up, _LEFT + number * (_WIDTH + _GAP)) for number, one in enumerate(across)]


def svg(trials: Sequence[Trial], bounds: HindsightBounds, *, title: str) -> str:
    """Trials as dots, numbered in their order but for the published ones, and bounds as lines."""
    panels = _panels(trials, bounds)
    width = len(panels) * (_WIDTH + _GAP) + _LEFT
    legend = _legend(trials)
    height = _TOP + _HEIGHT + _FOOT + 20 * math.ceil(len(legend) / 2) + 12
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    font = 'font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title what" {font}>',
        f'<title id="title">{escape(title)}</title>',
        '<desc id="what">The fill rate against miles, days and shipments per donor. The upper left is best.</desc>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for panel in panels:
        parts += [*_frame(panel), *_limits(panel, bounds), *_dots(panel, trials)]
    top = _TOP + _HEIGHT + _FOOT
    rows = math.ceil(len(legend) / 2)
    for number, line in enumerate(legend):
        x, y = _LEFT + number // rows * width / 2, top + 20 * (number % rows) + 14
        parts.append(f'<text x="{x:g}" y="{y}">{escape(line)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _mark(trials: Sequence[Trial], index: int) -> str:
    name = trials[index].name
    if name in {FIRST_COME, PROXIMITY}:
        return "F" if name == FIRST_COME else "P"
    return str(sum(trial.name not in {FIRST_COME, PROXIMITY} for trial in trials[: index + 1]))


def _legend(trials: Sequence[Trial]) -> list[str]:
    words = [f"{_mark(trials, index)}  {trial.name}: {trial.why}" for index, trial in enumerate(trials)]
    return [*words, "dashed: what no plan can pass, even with hindsight, each line for itself"]


def _frame(panel: _Panel) -> list[str]:
    left, bottom, right = panel.left, _TOP + _HEIGHT, panel.left + _WIDTH
    lines = [f'<rect x="{left}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#111827"/>']
    for tick in panel.across.ticks:
        x = panel.x(tick)
        lines.append(f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{bottom}" stroke="#e5e7eb"/>')
        lines.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>')
    for tick in panel.up.ticks:
        y = panel.y(tick)
        lines.append(f'<line x1="{left}" y1="{y}" x2="{right}" y2="{y}" stroke="#e5e7eb"/>')
        lines.append(f'<text x="{left - 6}" y="{y + 4:g}" text-anchor="end">{100 * tick:g}</text>')
    middle, aside = _TOP + _HEIGHT / 2, left - 36
    lines.append(f'<text x="{left + _WIDTH / 2}" y="{bottom + 36}" text-anchor="middle">{panel.across.label}</text>')
    turned = f'text-anchor="middle" transform="rotate(-90 {aside} {middle})"'
    lines.append(f'<text x="{aside}" y="{middle}" {turned}>{panel.up.label}</text>')
    return lines


def _limits(panel: _Panel, bounds: HindsightBounds) -> list[str]:
    dashed = f'stroke="{_LIMIT}" stroke-width="1.5" stroke-dasharray="6 4"'
    y = panel.y(bounds.fill)
    x = panel.x(getattr(bounds, panel.across.name, 1.0))  # a donor who ships at all sends one parcel
    return [
        f'<line x1="{panel.left}" y1="{y}" x2="{panel.left + _WIDTH}" y2="{y}" {dashed}/>',
        f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{_TOP + _HEIGHT}" {dashed}/>',
    ]


def _dots(panel: _Panel, trials: Sequence[Trial]) -> list[str]:
    """All dots, and beside each its mark where neither a dot nor another mark is."""
    name, what = panel.across.name, panel.across.label.split(" (", maxsplit=1)[0]
    marks = [_mark(trials, index) for index in range(len(trials))]
    shown = [(trial, mark) for trial, mark in zip(trials, marks, strict=True) if trial.metrics.units]
    points = [(panel.x(getattr(trial.metrics, name)), panel.y(trial.metrics.fill)) for trial, _ in shown]
    lines, taken = [], list(points)
    for (trial, mark), (x, y) in zip(shown, points, strict=True):
        said = escape(f"{trial.name}: fill {trial.metrics.fill:.1%}, {what} {getattr(trial.metrics, name):.1f}")
        colour = _THEIRS if mark.isalpha() else _OURS
        if mark.isalpha():
            lines.append(f'<rect x="{x - 5:g}" y="{y - 5:g}" width="10" height="10" fill="{colour}">')
            lines.append(f"<title>{said}</title></rect>")
        else:
            lines.append(f'<circle cx="{x}" cy="{y}" r="4.5" fill="{colour}"><title>{said}</title></circle>')
        # Greedy label placement: each mark takes the nearest free spot, in the order of the trials.
        beside = next(spot for spot in _around(x, y) if not any(_touch(spot, other) for other in taken))
        taken.append(beside)
        if math.dist(beside, (x, y)) > _NEAR:
            lines.append(f'<line x1="{x}" y1="{y}" x2="{beside[0]:g}" y2="{beside[1]:g}" stroke="{colour}"/>')
        lines.append(
            f'<text x="{beside[0]:g}" y="{beside[1] + 4:g}" text-anchor="middle" font-size="11" fill="{colour}" '
            f'stroke="#ffffff" stroke-width="3" paint-order="stroke">{mark}</text>'
        )
    return lines


def _around(x: float, y: float) -> Iterator[tuple[float, float]]:
    """Spots for a mark, the nearest first, farther and farther."""
    for radius in range(13, 1000, 6):
        for turn in range(12):
            angle = math.tau * turn / 12
            yield x + radius * math.cos(angle), y - radius * math.sin(angle)


def _touch(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return abs(one[0] - other[0]) < 13 and abs(one[1] - other[1]) < 11
