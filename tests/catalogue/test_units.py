import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.catalogue.units import Word, base_units_in, describe, in_packs, plural

PIECE, BOX = Word("只", "piece"), Word("盒", "box")
quantities, sizes = st.integers(0, 10**12), st.integers(1, 10**6)


@given(quantities, sizes)
def test_packs_and_rest_are_the_quantity_again(quantity: int, size: int) -> None:
    packs, rest = in_packs(quantity, size)
    assert packs * size + rest == quantity
    assert 0 <= rest < size


def test_a_quantity_is_told_in_packs() -> None:
    assert describe(600, PIECE, language="en", pack=BOX, size=50) == "12 boxes × 50 = 600 pieces"
    assert describe(600, PIECE, language="zh-hans", pack=BOX, size=50) == "12 盒 × 50 = 600 只"


def test_what_fills_no_pack_is_told_in_base_units() -> None:
    assert describe(30, PIECE, language="en", pack=BOX, size=50) == "30 pieces"
    assert describe(1, PIECE, language="en") == "1 piece"


def test_loose_ones_are_told_beside_the_packs() -> None:
    assert describe(607, PIECE, language="en", pack=BOX, size=50) == "12 boxes × 50 + 7 = 607 pieces"
    assert describe(50, PIECE, language="en", pack=BOX, size=50) == "1 box × 50 = 50 pieces"


@pytest.mark.parametrize(
    ("word", "many"),
    [
        ("box", "boxes"),
        ("bag", "bags"),
        ("pair", "pairs"),
        ("dish", "dishes"),
        ("tray", "trays"),
        ("body", "bodies"),
        ("m²", "m²"),
    ],
)
def test_plurals_follow_english_spelling(word: str, many: str) -> None:
    assert plural(word, 2) == many
    assert plural(word, 1) == word


@pytest.mark.parametrize(
    ("word", "base", "units"),
    [
        ("双", "piece", 2),
        ("双", "pair", 1),
        ("只", "piece", 1),
        ("只", "pair", None),  # one boot is no pair
        ("升", "ml", 1_000),
        ("L", "ml", 1_000),
        ("吨", "g", 1_000_000),
        ("盒", "piece", 50),
        ("Boxes", "piece", 50),
        ("箱", "piece", None),
        ("", "piece", None),
    ],
)
def test_a_written_unit_is_so_many_base_units_or_not_known(word: str, base: str, units: int | None) -> None:
    assert base_units_in(word, base=base, packs={"盒": 50, "box": 50}) == units
