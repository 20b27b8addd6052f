"""Packs and base units: "12 boxes × 50 = 600 pieces". Quantities are counted in base units; packs are only shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# The largest quantity of a need or an offer, in base units. Anything larger was typed by mistake.
MAX_QUANTITY: Final = 10**12
# Words that count single things. Each stands for one piece, unit or test.
_SINGLE: Final = frozenset(
    {"个", "只", "件", "套", "副", "台", "支", "片", "条", "张", "枚", "顶", "把", "辆", "架", "人份", "份", "次"}
    | {"piece", "pieces", "pc", "pcs", "unit", "units", "ea", "each", "set", "sets", "test", "tests"}
)
# By base unit: how many of it one of the written unit is. Kilograms of a liquid count as litres (density 1).
_MEASURES: Final[dict[str, dict[str, int]]] = {
    "piece": {"双": 2, "对": 2, "pair": 2, "pairs": 2},
    "pair": {"双": 1, "对": 1, "pair": 1, "pairs": 1, "套": 1, "副": 1},
    "ml": {"毫升": 1, "ml": 1, "升": 1_000, "l": 1_000, "公升": 1_000, "liter": 1_000, "litre": 1_000, "liters": 1_000,
           "litres": 1_000, "吨": 1_000_000, "公斤": 1_000, "千克": 1_000, "kg": 1_000},
    "g": {"克": 1, "g": 1, "公斤": 1_000, "千克": 1_000, "kg": 1_000, "斤": 500, "吨": 1_000_000, "t": 1_000_000},
    "m": {"米": 1, "m": 1, "公里": 1_000, "千米": 1_000, "km": 1_000},
    "m2": {"平方米": 1, "平方": 1, "平米": 1, "m²": 1, "m2": 1},
}  # fmt: skip


def base_units_in(word: str, *, base: str, packs: Mapping[str, int]) -> int | None:
    """How many base units one `word` stands for: a measure, a single thing, or a pack. None if the word is not known.

    `packs` are sizes by their names in either language. A litre of a disinfectant is taken to weigh a kilogram.
    """
    word = word.strip().casefold()
    if word in _MEASURES.get(base, {}):
        return _MEASURES[base][word]
    if word in _SINGLE and base in {"piece", "unit", "test"}:
        return 1
    # Names of packs are in the singular; people write “boxes” as well as “box”.
    return packs.get(word) or packs.get(word.removesuffix("s")) or packs.get(word.removesuffix("es"))


@dataclass(frozen=True)
class Word:
    """A unit or a pack in both languages, in the singular."""

    zh: str
    en: str


def in_packs(quantity: int, size: int) -> tuple[int, int]:
    """Full packs of `size`, and how many base units remain."""
    return divmod(quantity, size)


def plural(word: str, count: int) -> str:
    """The English word for `count` of them, by the rules of spelling; symbols with a digit or ² stay as they are."""
    if count == 1 or not word.isalpha():
        return word
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return f"{word}es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}s"


def describe(quantity: int, unit: Word, *, language: str, pack: Word | None = None, size: int = 1) -> str:
    """The quantity in words: `12 boxes × 50 = 600 pieces`, `12 盒 × 50 = 600 件`; `12 boxes × 50 + 7 = 607 pieces`.

    Without a pack, or when it does not fill one, only the base units: `30 pieces`.
    """
    chinese = language.startswith("zh")

    def count(number: int, word: Word) -> str:
        return f"{number:,} {word.zh if chinese else plural(word.en, number)}"

    total = count(quantity, unit)
    # Less than one pack is better said in units.
    packs, rest = in_packs(quantity, size) if pack and size > 1 else (0, 0)
    if not pack or not packs:
        return total
    return f"{count(packs, pack)} × {size:,}{f' + {rest:,}' if rest else ''} = {total}"
