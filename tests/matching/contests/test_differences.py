"""How a plan is written a few needs at a time: at any moment nothing is promised twice."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.matching.holds.differences import BATCH, changes
from apps.matching.loading import Contest
from tests.matching.markets import NOW, markets

Pair = tuple[int, int]


def plan_at_random(contest: Contest, numbers: list[int]) -> dict[Pair, int]:
    """Any plan that the stocks and the needs allow, need by need."""
    chance = iter(numbers * 100)
    free = {source.id: source.free for source in contest.sources}
    plan: dict[Pair, int] = {}
    for need in contest.needs:
        short = need.remaining
        for source in contest.sources:
            units = min(next(chance), short, free[source.id])
            if units > 0:
                plan[need.id, source.id] = units
                short -= units
                free[source.id] -= units
    return plan


@st.composite
def steps(draw: st.DrawFn) -> tuple[dict[Pair, int], Contest]:
    needs, sources = draw(markets())
    nothing = Contest(read_at=NOW, needs=needs, sources=sources, asked={}, accepted={})
    numbers = st.lists(st.integers(0, 2000), min_size=1, max_size=40)
    asked = plan_at_random(nothing, draw(numbers))
    contest = Contest(read_at=NOW, needs=needs, sources=sources, asked=asked, accepted={})
    return plan_at_random(contest, draw(numbers)), contest


@pytest.mark.parametrize("batch", [1, 4, BATCH])
@given(steps())
def test_each_change_leaves_stocks_and_needs_within_bounds(batch: int, case: tuple[dict[Pair, int], Contest]) -> None:
    planned, contest = case
    free = {source.id: source.free for source in contest.sources}
    wanted = {need.id: need.remaining for need in contest.needs}
    now = dict(contest.asked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("apps.matching.holds.differences.BATCH", batch)
        todo = list(changes(planned, contest))
    for change in todo:
        for pair in change.gone:
            assert now.pop(pair) != planned.get(pair)
        for pair in change.new:
            assert pair not in now
            now[pair] = planned[pair]
        given_out: Counter[int] = Counter()
        served: Counter[int] = Counter()
        for (need_id, source_id), units in now.items():
            given_out[source_id] += units
            served[need_id] += units
        assert all(units <= free[source_id] for source_id, units in given_out.items())
        assert all(units <= wanted[need_id] for need_id, units in served.items())

    # Who only loses is not called off for nothing.
    assert now == (planned if todo else contest.asked)
    assert all(len(one) + len(other) > batch for one, other in pairwise(todo))
