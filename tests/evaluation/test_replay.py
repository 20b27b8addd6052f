"""Rounds, books and our own decision in them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.evaluation.bounds import bounds
from apps.evaluation.dataset import DAY, Dataset
from apps.evaluation.metrics import Shipments, measure
from apps.evaluation.presets import SETTINGS
from apps.evaluation.published import first_come, proximity
from apps.evaluation.replay import CurrentMatching, InfeasibleError, Round, ends, replay
from apps.evaluation.trial import bootstrap, draw, medians
from apps.policy.values import PolicyValues
from tests.evaluation.small import Line, dataset

PLAIN = PolicyValues(gift_reach_km=None)


def rows(sent: Shipments) -> list[tuple[int, ...]]:
    columns = (sent.at, sent.donor, sent.recipient, sent.item, sent.quantity)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def test_rounds_follow_each_other_past_the_last_request() -> None:
    two_weeks = dataset([(0, 0, 0, 1)], [(0, 0, 15, 1)], [[1]])
    minute = DAY // 1440

    found = list(ends(two_weeks, 7))

    assert found == [
        (-minute, 7 * DAY - minute),
        (7 * DAY - minute, 14 * DAY - minute),
        (14 * DAY - minute, 15 * DAY + 3 * minute),
    ]


def test_what_came_after_a_round_is_not_seen_in_it() -> None:
    seen: list[Round] = []

    def look(one: Round) -> list[tuple[int, int, int]]:
        seen.append(one)
        return []

    replay(dataset([(0, 0, 0, 5), (0, 0, 9, 7)], [(0, 0, 8, 3)], [[1]]), look, every=7)

    assert [(one.offered.quantity.tolist(), one.offered.since.tolist()) for one in seen] == [([12], [0])]


def test_parties_are_added_up_and_the_oldest_goes_first() -> None:
    whole = dataset([(0, 0, 0, 5), (0, 0, 1, 7), (0, 0, 2, 1)], [(0, 0, 0, 30)], [[1]])
    seen: list[Round] = []

    def six(one: Round) -> list[tuple[int, int, int]]:
        seen.append(one)
        return [(0, 0, 6)]

    replay(whole, six, every=1.4)

    assert [(one.offered.quantity.tolist(), one.offered.since.tolist()) for one in seen] == [
        ([12], [0]),
        ([7], [DAY]),
    ]


@pytest.mark.parametrize("decision", [(0, 0, 6), (0, 1, 1), (0, 0, 0)])
def test_a_strategy_that_gives_what_is_not_there_is_caught(decision: tuple[int, int, int]) -> None:
    whole = dataset([(0, 0, 0, 5)], [(0, 0, 0, 50), (1, 1, 0, 1)], [[1, 1]])
    with pytest.raises(InfeasibleError):
        replay(whole, lambda _one: [decision])


def test_the_published_strategies_do_what_they_are_named_for() -> None:
    whole = dataset([(0, 0, 0, 5), (1, 0, 0, 8)], [(0, 0, 0, 4), (1, 0, 0, 50)], [[1, 2], [3, 9]])

    assert [row[1:] for row in rows(replay(whole, first_come, every=1))] == [(0, 0, 0, 4), (1, 1, 0, 8)]
    assert [row[1:] for row in rows(replay(whole, proximity(whole), every=1))] == [(0, 0, 0, 4), (1, 1, 0, 8)]


lines = st.tuples(
    st.integers(0, 3), st.integers(0, 1), st.floats(0, 20).map(lambda day: round(day, 2)), st.integers(1, 200)
)
small_sets = st.builds(
    dataset,
    st.lists(lines, min_size=1, max_size=6),
    st.lists(lines, min_size=1, max_size=8),
    st.lists(st.lists(st.floats(1, 3000), min_size=4, max_size=4), min_size=4, max_size=4),
)


def sums(sent: Shipments, side: str) -> dict[tuple[int, int], int]:
    found: dict[tuple[int, int], int] = {}
    for party, item, units in zip(
        getattr(sent, side).tolist(), sent.item.tolist(), sent.quantity.tolist(), strict=True
    ):
        found[party, item] = found.get((party, item), 0) + units
    return found


@given(small_sets, st.sampled_from(SETTINGS), st.sampled_from([1, 7]))
def test_no_replay_ships_twice_or_too_much_or_beats_a_bound(whole: Dataset, setting: Any, every: float) -> None:
    sent = replay(whole, CurrentMatching(whole, setting.policy), every=every)
    limits, found = bounds(whole, every), measure(whole, sent)

    offers, asked = whole.offers, whole.requests
    for (party, item), units in sums(sent, "donor").items():
        assert units <= offers.quantity[(offers.party == party) & (offers.item == item)].sum()
    for (party, item), units in sums(sent, "recipient").items():
        assert units <= asked.quantity[(asked.party == party) & (asked.item == item)].sum()
    assert found.fill <= limits.fill + 1e-9
    shippable = sum(
        min(offers.quantity[offers.item == item].sum(), asked.quantity[asked.item == item].sum()) for item in range(2)
    )
    if found.units == shippable > 0:
        assert found.miles >= limits.miles - 0.001
        assert found.holding >= limits.holding - 1  # each is rounded to whole days


@given(small_sets)
def test_the_same_replay_gives_the_same_again(whole: Dataset) -> None:
    assert rows(replay(whole, CurrentMatching(whole, PolicyValues()))) == rows(
        replay(whole, CurrentMatching(whole, PolicyValues()))
    )


def test_gifts_wait_for_a_need_nearby_and_go_farther_each_day() -> None:
    whole = dataset([(0, 0, 0, 5)], [(0, 0, 0, 50), (0, 0, 30, 1)], [[300]])  # 483 km

    def days(reach: float | None) -> list[float]:
        policy = replace(PLAIN, gift_reach_km=reach, gift_reach_km_per_day=14)
        return [row[0] // DAY for row in rows(replay(whole, CurrentMatching(whole, policy), every=1))]

    assert days(None) == [0]
    assert days(350) == [9]
    assert days(480) == [0]


def test_what_was_shipped_still_counts_as_asked_for() -> None:
    """A half-filled need is no small need."""
    whole = dataset([(0, 0, 0, 1)], [(0, 0, 0, 10)], [[1]])
    strategy = CurrentMatching(whole, PLAIN)
    first, rest, more = (strategy._need(0, 0, 0, units) for units in (10, 4, 6))

    assert [(need.target, need.remaining) for need in (first, rest, more)] == [(10, 10), (10, 4), (12, 6)]


def test_bounds_by_hand() -> None:
    offers: list[Line] = [(0, 0, 0, 10), (1, 0, 0, 10)]
    whole = dataset(offers, [(0, 0, 0, 12), (1, 0, 3, 100)], [[10, 50], [20, 30]])

    found = bounds(whole, 1)

    # Twelve of twelve, and eight of a hundred; ten units go 10 miles, two 20 and eight 30.
    assert found.fill == pytest.approx((1 + 0.08) / 2)
    assert found.miles == pytest.approx((10 * 10 + 2 * 20 + 8 * 30) / 20)
    # Twelve go on the first day, the other eight when somebody wants them: in the round that ends after day 3.
    assert found.holding == pytest.approx((12 * 1 + 8 * 3) / 20)


def test_draws_depend_on_the_seed_and_are_measured_against_proximity() -> None:
    whole = dataset(
        [(party, 0, party, 20) for party in range(4)],
        [(party, 0, party, 15) for party in range(4)],
        np.full((4, 4), 9.0).tolist(),
    )

    assert draw(whole, 3).offers.party.tolist() == draw(whole, 3).offers.party.tolist()
    assert [draw(whole, seed).donors for seed in range(4)] != [draw(whole, 0).donors] * 4
    draws = list(bootstrap(whole, PLAIN, every=7, seeds=range(3)))
    assert draws == list(bootstrap(whole, PLAIN, every=7, seeds=range(3)))
    assert medians(draws)["miles"] == pytest.approx(1)


def test_where_more_is_offered_than_wanted_what_was_offered_last_may_go() -> None:
    whole = dataset([(0, 0, 0, 1), (1, 0, 7, 1)], [(0, 0, 7, 1)], [[1], [1]])

    assert bounds(whole, 1).holding == min(
        round((now - 7 * DAY) / DAY) for _after, now in ends(whole, 1) if now > 7 * DAY
    )
