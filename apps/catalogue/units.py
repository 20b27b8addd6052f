"""Packs and base units: "12 boxes × 50 = 600 pieces". Quantities are counted in base units; packs are only shown."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """A unit or a pack in both languages, in the singular."""

    zh: str
    en: str


def to_base(packs: int, size: int, rest: int = 0) -> int:
    """Base units in `packs` packs of `size`, and `rest` loose ones."""
    return packs * size + rest


def in_packs(quantity: int, size: int) -> tuple[int, int]:
    """Full packs of `size`, and how many base units remain."""
    return divmod(quantity, size)


def packs_to_cover(quantity: int, size: int) -> int:
    """The fewest packs of `size` that hold at least `quantity`."""
    return -(-quantity // size)


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
    packs, rest = in_packs(quantity, size) if pack and size > 1 else (0, 0)
    if not pack or not packs:
        return total
    return f"{count(packs, pack)} × {size:,}{f' + {rest:,}' if rest else ''} = {total}"
