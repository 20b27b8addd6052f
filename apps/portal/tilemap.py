"""A map of China's provinces on which each is a square of the same size. Pure.

Small provinces are as large as others on it, and a number fits into each. The places of the squares were found by
annealing over land borders and compass order: of 70 land borders 64 touch, and 99.6 % of the orders north to south and
east to west are kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# Row and column of each province, by the first two digits of its code (GB/T 2260), and its letters in ISO 3166-2:CN.
_TILES: Final = {
    "11": (1, 4, "BJ"), "12": (2, 5, "TJ"), "13": (2, 4, "HE"), "14": (2, 3, "SX"), "15": (2, 2, "NM"),
    "21": (1, 5, "LN"), "22": (1, 6, "JL"), "23": (0, 6, "HL"), "31": (4, 6, "SH"), "32": (3, 5, "JS"),
    "33": (4, 5, "ZJ"), "34": (4, 4, "AH"), "35": (5, 5, "FJ"), "36": (5, 4, "JX"), "37": (3, 4, "SD"),
    "41": (3, 3, "HA"), "42": (4, 3, "HB"), "43": (5, 3, "HN"), "44": (6, 3, "GD"), "45": (6, 2, "GX"),
    "46": (8, 2, "HI"), "50": (4, 2, "CQ"), "51": (4, 1, "SC"), "52": (5, 2, "GZ"), "53": (5, 1, "YN"),
    "54": (4, 0, "XZ"), "61": (3, 2, "SN"), "62": (3, 1, "GS"), "63": (3, 0, "QH"), "64": (2, 1, "NX"),
    "65": (2, 0, "XJ"), "71": (6, 6, "TW"), "81": (7, 4, "HK"), "82": (7, 3, "MO"),
}  # fmt: skip
PROVINCES: Final = tuple(f"{digits}0000" for digits in _TILES)
# What people call them on maps. In all others the name less its ending.
_ENDINGS: Final = ("维吾尔自治区", "壮族自治区", "回族自治区", "特别行政区", "自治区", "省", "市")

SIDE: Final = 48
GAP: Final = 4
LEVELS: Final = 4


@dataclass(frozen=True)
class Tile:
    """One province. Its `value` is None where nothing is known, or may be told; its `level` is then 0."""

    code: str
    x: int
    y: int
    letters: str
    value: int | None
    level: int

    @property
    def middle(self) -> int:
        return self.x + SIDE // 2


@dataclass(frozen=True)
class Level:
    """A shade of the map: values from `least` to `most`, or from `least` on where `most` is None."""

    number: int
    least: int
    most: int | None


@dataclass(frozen=True)
class TileMap:
    tiles: list[Tile]
    levels: list[Level]

    width: int = 7 * (SIDE + GAP) - GAP
    height: int = 9 * (SIDE + GAP) - GAP


def tile_map(values: Mapping[str, int | None]) -> TileMap:
    """The map of a number by code of province. Provinces without one, or with nought, have no shade."""
    shown = [value for code in PROVINCES if (value := values.get(code))]
    bounds = _bounds(max(shown, default=0))
    tiles = []
    for digits, (row, column, letters) in _TILES.items():
        value = values.get(f"{digits}0000")
        level = sum(value >= bound for bound in bounds) if value else 0
        tiles.append(Tile(f"{digits}0000", column * (SIDE + GAP), row * (SIDE + GAP), letters, value, level))
    ends = [*(after - 1 for after in bounds[1:]), None]
    # Without a number there is no bound, and no shade.
    levels = [Level(number, least, most) for number, (least, most) in enumerate(zip(bounds, ends, strict=False), 1)]
    return TileMap(tiles, levels)


def short_name(name: str) -> str:
    """“湖北” for “湖北省”."""
    return next((name.removesuffix(ending) for ending in _ENDINGS if name.endswith(ending)), name)


def _bounds(highest: int) -> list[int]:
    """Where the shades begin: at 1, and at the last numbers of 1, 2, 5, 10, 20, 50, … that are reached."""
    steps = [1]
    while steps[-1] <= highest:
        power = 10 ** (len(steps) // 3)
        steps.append(power * (1, 2, 5)[len(steps) % 3])
    reached = [step for step in steps if step <= highest]
    return sorted({1, *reached[-(LEVELS - 1) :]}) if reached else []
