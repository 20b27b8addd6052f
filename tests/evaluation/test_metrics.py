"""The five metrics against sums by hand."""

import math

import pytest

from apps.evaluation.dataset import DAY
from apps.evaluation.metrics import Metrics, Shipments, measure
from tests.evaluation.small import dataset

# Two items. Recipient 0 asks for item 0 twice, recipient 1 once; recipient 1 asks for item 1, of which nothing comes.
WHOLE = dataset(
    offers=[(0, 0, 0, 10), (0, 0, 4, 10), (1, 0, 1, 5)],
    asked=[(0, 0, 0, 20), (0, 0, 1, 20), (1, 0, 2, 5), (1, 1, 2, 50)],
    miles=[[100, 10], [1, 2]],
)


def test_all_five_by_hand() -> None:
    sent = Shipments.of(
        [
            (5 * DAY, 0, 0, 0, 12),
            (7 * DAY, 0, 1, 0, 5),
            (7 * DAY, 1, 0, 0, 2),
            (7 * DAY, 1, 0, 0, 1),
            (9 * DAY, 1, 0, 0, 2),
        ]
    )

    found = measure(WHOLE, sent)

    # Item 0: 17 of 40 and 5 of 5; item 1: nothing of 50.
    assert found.fill == pytest.approx(((17 / 40 + 1) / 2 + 0) / 2)
    assert found.fill_served == pytest.approx((17 / 40 + 1) / 2)
    assert found.miles == pytest.approx((12 * 100 + 5 * 10 + 5 * 1) / 22)
    # Donor 0: ten units of day 0 and two of day 4 went on day 5, five of day 4 on day 7. Donor 1: all of day 1.
    assert found.holding == pytest.approx((10 * 5 + 2 * 1 + 5 * 3 + 3 * 6 + 2 * 8) / 22)
    # What goes to the same recipient on the same day is one parcel.
    assert found.shipments == 4 / 2
    assert (found.units, found.shipped) == (22, 22 / 25)


def test_nothing_shipped_fills_nothing_and_has_no_mean() -> None:
    found = measure(WHOLE, Shipments.of([]))

    assert (found.fill, found.units) == (0, 0)
    assert all(math.isnan(value) for value in (found.fill_served, found.miles, found.holding, found.shipments))


def test_more_than_was_asked_for_fills_no_more_than_all() -> None:
    once = dataset([(0, 0, 0, 10)], [(0, 0, 0, 5)], [[1]])

    assert measure(once, Shipments.of([(DAY, 0, 0, 0, 10)])).fill == 1


def test_half_a_day_is_rounded_as_the_published_evaluator_rounds_it() -> None:
    """To the even day."""
    once = dataset([(0, 0, 0, 10)], [(0, 0, 0, 10)], [[1]])

    def held(days: float) -> float:
        return measure(once, Shipments.of([(round(days * DAY), 0, 0, 0, 10)])).holding

    assert [held(days) for days in (0.4, 0.5, 1.5, 2.5)] == [0, 0, 2, 2]


def test_at_least_as_good_is_on_all_five_at_once() -> None:
    base = Metrics(fill=0.1, fill_served=0.8, miles=50, holding=7, shipments=2, units=10, shipped=1)

    assert base.at_least_as_good(base)
    for worse in ({"fill": 0.11}, {"fill_served": 0.81}, {"miles": 49}, {"holding": 6.9}, {"shipments": 1.9}):
        assert not base.at_least_as_good(Metrics(**{**vars(base), **worse}))
