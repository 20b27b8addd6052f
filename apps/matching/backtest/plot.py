"""The front as a picture: fill against miles, holding and shipments. SVG, written here. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from apps.matching.backtest.bounds import Bounds
from apps.matching.backtest.trial import FIRST_COME, PROXIMITY, Trial

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP, _FOOT = 330, 300, 62, 46, 52, 50
_OURS, _THEIRS, _LIMIT = "#1d4ed8", "#b91c1c", "#6b7280"


@dataclass(frozen=True)
class _Axis:
    """A way of laying numbers out along a line."""

    name: str
    label: str
    ticks: tuple[float, ...]
    log: bool = False

    def place(self, value: float) -> float:
        """Between 0 and 1."""
        low, high = (self._scale(end) for end in (self.ticks[0], self.ticks[-1]))
        return (self._scale(value) - low) / (high - low)

    def _scale(self, value: float) -> float:
        return math.log(value) if self.log else value


_FILL: Final = _Axis("fill", "fill rate, % (more is better)", (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35))
_PANELS: Final = (
    _Axis("miles", "miles of a mean unit (fewer is better)", (20, 50, 100, 200, 500, 1000, 2000), log=True),
    _Axis("holding", "days that a mean unit waits (fewer is better)", (0, 3, 6, 9, 12, 15, 18)),
    _Axis("shipments", "shipments per donor (fewer is better)", (0, 2, 4, 6, 8, 10, 12)),
)


def svg(trials: Sequence[Trial], bounds: Bounds, *, title: str) -> str:
    """Trials as dots, numbered in their order but for the published ones, and bounds as lines."""
    width = len(_PANELS) * (_WIDTH + _GAP) + _LEFT
    legend = _legend(trials)
    height = _TOP + _HEIGHT + _FOOT + 20 * len(legend) + 12
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    font = 'font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title what" {font}>',
        f'<title id="title">{escape(title)}</title>',
        '<desc id="what">The fill rate against miles, days and shipments per donor. The upper left is best.</desc>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for number, axis in enumerate(_PANELS):
        left = _LEFT + number * (_WIDTH + _GAP)
        parts += _frame(axis, left)
        parts += _limits(axis, left, bounds)
        parts += [line for place, trial in enumerate(trials) for line in _dot(axis, left, trial, _mark(trials, place))]
    top = _TOP + _HEIGHT + _FOOT
    parts += [f'<text x="{_LEFT}" y="{top + 20 * row + 14}">{escape(line)}</text>' for row, line in enumerate(legend)]
    return "\n".join([*parts, "</svg>", ""])


def _mark(trials: Sequence[Trial], place: int) -> str:
    name = trials[place].name
    if name in {FIRST_COME, PROXIMITY}:
        return "F" if name == FIRST_COME else "P"
    return str(sum(trial.name not in {FIRST_COME, PROXIMITY} for trial in trials[: place + 1]))


def _legend(trials: Sequence[Trial]) -> list[str]:
    words = [f"{_mark(trials, place)}  {trial.name}: {trial.why}" for place, trial in enumerate(trials)]
    return [*words, "dashed: what no plan can pass, even with hindsight, each line for itself"]


def _x(axis: _Axis, left: float, value: float) -> float:
    return round(left + _WIDTH * axis.place(value), 1)


def _y(value: float) -> float:
    return round(_TOP + _HEIGHT * (1 - _FILL.place(value)), 1)


def _frame(axis: _Axis, left: float) -> list[str]:
    bottom, right = _TOP + _HEIGHT, left + _WIDTH
    lines = [f'<rect x="{left}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#111827"/>']
    for tick in axis.ticks:
        x = _x(axis, left, tick)
        lines.append(f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{bottom}" stroke="#e5e7eb"/>')
        lines.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>')
    for tick in _FILL.ticks:
        y = _y(tick)
        lines.append(f'<line x1="{left}" y1="{y}" x2="{right}" y2="{y}" stroke="#e5e7eb"/>')
        lines.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{100 * tick:g}</text>')
    middle = _TOP + _HEIGHT / 2
    lines.append(f'<text x="{left + _WIDTH / 2}" y="{bottom + 36}" text-anchor="middle">{axis.label}</text>')
    lines.append(
        f'<text x="{left - 36}" y="{middle}" text-anchor="middle" transform="rotate(-90 {left - 36} {middle})">'
        f"{_FILL.label}</text>"
    )
    return lines


def _limits(axis: _Axis, left: float, bounds: Bounds) -> list[str]:
    dashed = f'stroke="{_LIMIT}" stroke-width="1.5" stroke-dasharray="6 4"'
    y = _y(bounds.fill)
    lines = [f'<line x1="{left}" y1="{y}" x2="{left + _WIDTH}" y2="{y}" {dashed}/>']
    least = getattr(bounds, axis.name, 1.0)  # a donor who ships at all sends one parcel
    x = _x(axis, left, least)
    lines.append(f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{_TOP + _HEIGHT}" {dashed}/>')
    return lines


def _dot(axis: _Axis, left: float, trial: Trial, mark: str) -> list[str]:
    metrics = trial.metrics
    x, y = _x(axis, left, getattr(metrics, axis.name)), _y(metrics.fill)
    said = escape(
        f"{trial.name}: fill {metrics.fill:.1%}, {axis.label.split(' (')[0]} {getattr(metrics, axis.name):.1f}"
    )
    if mark.isalpha():
        shape = f'<rect x="{x - 8}" y="{y - 8}" width="16" height="16" fill="{_THEIRS}"><title>{said}</title></rect>'
    else:
        shape = f'<circle cx="{x}" cy="{y}" r="8" fill="{_OURS}" stroke="#ffffff"><title>{said}</title></circle>'
    look = 'text-anchor="middle" font-size="10" fill="#ffffff" pointer-events="none"'
    return [shape, f'<text x="{x}" y="{y + 4}" {look}>{mark}</text>']
