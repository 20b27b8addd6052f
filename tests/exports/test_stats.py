"""Which public cells are hidden."""

import pytest

from apps.exports.stats import too_few


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
    counts = {str(number): bodies for number, bodies in enumerate(organisations)}

    hidden = too_few(counts)

    assert [bodies for number, bodies in counts.items() if number not in hidden] == shown
