"""Which public cells are hidden."""

import itertools

import pytest

from apps.exports.renewal import too_few


@pytest.mark.parametrize(
    ("organisations", "shown"),
    [
        ([], []),
        ([3, 4], [3, 4]),
        ([1, 3, 4], [4]),
        ([1, 1, 3], []),
        ([2, 1, 5], [5]),
        ([1], []),
        ([0, 3], [0, 3]),
    ],
)
def test_hidden_cells_stand_together_for_enough(organisations: list[int], shown: list[int]) -> None:
    names = itertools.count()
    cells = {str(number): {str(next(names)) for _one in range(few)} for number, few in enumerate(organisations)}

    hidden = too_few(cells)

    assert [len(those) for number, those in cells.items() if number not in hidden] == shown


def test_an_organisation_in_two_hidden_cells_counts_once() -> None:
    cells = {"a": {"1", "2"}, "b": {"1", "2"}, "c": {"3", "4", "5"}, "d": {"3", "4", "5", "6"}}

    assert too_few(cells) == {"a", "b", "c"}
