"""Random histories of public numbers, attacked by every subtraction."""

from collections.abc import Iterator
from itertools import chain, combinations

from hypothesis import given
from hypothesis import strategies as st

from apps.exports.renewal import REMEMBERED, ToldNumbers, renewed

REGIONS = "abcd"
ORGANISATIONS = [str(number) for number in range(8)]

# An organisation contributes a digit times a power of its own, so that a sum tells who is in it, and with how much. The
# attacker of this test thus reads from a number what another could only guess.
BASE = 100

# In each hour, what organisations contribute to regions from now on, and who moves all of it to another region.
changes = st.tuples(st.sampled_from(ORGANISATIONS), st.sampled_from(REGIONS), st.integers(0, 3))
moves = st.tuples(st.sampled_from(ORGANISATIONS), st.sampled_from(REGIONS), st.sampled_from(REGIONS))
hours = st.tuples(st.lists(changes, max_size=12), st.lists(moves, max_size=2))
Hour = tuple[list[tuple[str, str, int]], list[tuple[str, str, str]]]


def behind(number: int) -> dict[str, int]:
    """By organisation, the digit that it has in a number or a difference; noughts are left out."""
    found = {}
    for organisation in ORGANISATIONS:
        digit = (number + BASE // 2) % BASE - BASE // 2
        number = (number - digit) // BASE
        if digit:
            found[organisation] = digit
    return found


def publications(history: list[Hour]) -> Iterator[ToldNumbers]:
    digits: dict[tuple[str, str], int] = {}
    told = None
    for hour, (set_to, moved) in enumerate(history):
        digits |= {(organisation, region): digit for organisation, region, digit in set_to}
        for organisation, left, entered in moved:
            digits[organisation, entered] = digits.pop((organisation, left), 0)
        now = {region: contributions(digits, region) for region in REGIONS}
        told = renewed(told, now, hour)
        if told is not None:
            yield told


def contributions(digits: dict[tuple[str, str], int], region: str) -> dict[str, int]:
    return {
        organisation: digit * BASE ** int(organisation)
        for (organisation, where), digit in digits.items()
        if where == region and digit
    }


def sums(told: ToldNumbers) -> dict[frozenset[str], int]:
    """By regions, all sums of theirs that follow from one publication: of cells, or of the total less cells."""
    cells = {region: told.number(region) or 0 for region in told.shown}
    found = {}
    for some in chain.from_iterable(combinations(cells, count) for count in range(len(cells) + 1)):
        of_some = sum(cells[region] for region in some)
        found[frozenset(some)] = of_some
        found[frozenset(REGIONS) - frozenset(some)] = (told.number("") or 0) - of_some
    return found


@given(st.lists(hours, min_size=2, max_size=9))
def test_no_subtraction_isolates_fewer_than_three(history: list[Hour]) -> None:
    published = [sums(told) for told in publications(history)]

    for one in published:
        for number in one.values():
            assert len(behind(number)) not in {1, 2}
    for earlier, later in combinations(published, 2):
        for regions in earlier.keys() & later.keys():
            assert len(behind(later[regions] - earlier[regions])) not in {1, 2}


def told_after(*hours: dict[str, list[int]]) -> list[tuple[int | None, ...]]:
    """The numbers of a, of b and of everywhere after each hour, given what each organisation contributes in a region.

    Organisations are told apart by region and place in the list.
    """
    told, found = None, []
    for hour, regions in enumerate(hours):
        now = {
            region: {f"{region}{place}": quantity for place, quantity in enumerate(quantities) if quantity}
            for region, quantities in regions.items()
        }
        told = renewed(told, now, hour)
        found.append(tuple(told.number(region) if told else None for region in ("a", "b", "")))
    return found


def test_nothing_is_told_before_three_contribute() -> None:
    assert told_after({"a": [1, 1]}, {"a": [1, 1, 1]}) == [(None, None, None), (3, None, 3)]


def test_a_region_is_shown_once_three_changed_in_it_and_in_the_rest() -> None:
    first = {"a": [1, 1], "b": [1, 1], "c": [1]}
    second = {"a": [1, 1, 1], "b": [2, 2], "c": [2]}
    third = {"a": [2, 2, 2], "b": [2, 2], "c": [2]}
    fourth = {"a": [2, 2, 2], "b": [3, 3], "c": [3]}

    # In the second hour `a` waits, in the third the rest is the same as last, yet not as at first.
    assert told_after(first, second, third, fourth) == [(None, None, 5), (None, None, 8), (6, None, 12), (6, None, 15)]


def test_a_region_of_too_few_joins_the_rest_when_that_may_be_told() -> None:
    first = {"a": [1, 1, 1], "b": [1, 1, 1], "c": [1, 1, 1]}
    second = {"a": [1, 1, 1], "b": [1], "c": [2, 2, 2]}
    third = {"a": [1, 1, 1], "b": [], "c": [2, 2, 2]}

    # In the second hour one organisation of `b` would stand alone. In the third the rest is nobody, by three who left.
    assert told_after(first, second, third) == [(3, 3, 9), (3, 3, 12), (3, None, 9)]


def test_what_was_told_long_ago_is_not_compared_any_more() -> None:
    told = None
    for hour, quantities in ((0, [1, 1, 1]), (1, [2, 2, 2]), (REMEMBERED + 2, [1, 1, 1])):
        told = renewed(told, {"a": dict(zip("xyz", quantities, strict=True))}, hour)

    assert told is not None
    assert told.number("a") == 3
    assert told.history["a"]["x"] == [(1, 2), (REMEMBERED + 2, 1)]
