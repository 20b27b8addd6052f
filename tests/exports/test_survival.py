"""The estimate of waits, against a slow way to the same numbers."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.exports.survival import Observed, curve, share_by

observations = st.lists(st.tuples(st.integers(0, 12), st.booleans(), st.integers(1, 3)), max_size=20)


def redistributed(observed: list[Observed]) -> dict[int, Fraction]:
    """The same estimate by Efron's way: all have equal weights, and who is lost leaves theirs to all who come later.

    B. Efron, "The two sample problem with censored data", Proc. Fifth Berkeley Symposium 4 (1967), 831-853.
    """
    people = sorted((one.time, not one.is_reached) for one in observed for _person in range(one.count))
    weights = [Fraction(1, len(people)) for _person in people]
    share, found = Fraction(0), {}
    for place, (time, is_lost) in enumerate(people):
        if not is_lost:
            share += weights[place]
            found[time] = share
        elif later := len(people) - place - 1:
            for other in range(place + 1, len(people)):
                weights[other] += weights[place] / later
    return found


@given(observations)
def test_the_estimate_is_that_of_redistributed_weights(drawn: list[tuple[int, bool, int]]) -> None:
    observed = [Observed(*one) for one in drawn]

    estimate = curve(observed)

    slow = redistributed(observed)
    assert estimate.times == sorted(slow)
    assert estimate.reached == pytest.approx([float(slow[time]) for time in sorted(slow)])
    people = [one for one in observed for _person in range(one.count)]
    for time, known in zip(estimate.times, estimate.known, strict=True):
        seen = sum(one.is_reached or one.time >= time for one in people)
        assert known == pytest.approx(seen / len(people))


@given(observations, st.integers(0, 12), st.floats(0.05, 1))
def test_times_and_shares_are_read_off_the_estimate(
    drawn: list[tuple[int, bool, int]], time: int, share: float
) -> None:
    observed = [Observed(*one) for one in drawn]
    slow = redistributed(observed)
    people = [one for one in observed for _person in range(one.count)]

    def is_known(by: int) -> bool:
        return 2 * sum(one.is_reached or one.time >= by for one in people) >= len(people)

    first = next((at for at, reached in slow.items() if reached >= Fraction(share) - Fraction(1, 10**9)), None)
    assert curve(observed).time_of(share) == (first if first is not None and is_known(first) else None)
    expected = max((reached for at, reached in slow.items() if at <= time), default=Fraction(0))
    told = share_by(observed, time)
    assert told == (pytest.approx(float(expected)) if people and is_known(time) else None)


def test_without_anybody_lost_it_is_the_plain_median() -> None:
    estimate = curve(Observed(time, is_reached=True) for time in (5, 1, 3, 2, 4, 6))

    assert (estimate.time_of(0.5), estimate.time_of(0.9), estimate.time_of(1)) == (3, 6, 6)


def test_eleven_of_1493_are_no_half_of_all() -> None:
    """Posted long ago or just now: the median of those who were served says nothing about the others."""
    served = [Observed(minutes * 60, is_reached=True) for minutes in range(38, 49)]

    for waited in (30 * 60, 5 * 24 * 3600, 60):
        estimate = curve([*served, Observed(waited, is_reached=False, count=1482)])
        assert estimate.time_of(0.5) is None
        assert estimate.time_of(0.9) is None


def test_nothing_observed_says_nothing() -> None:
    assert curve([]).time_of(0.5) is None
    assert share_by([], 10) is None
