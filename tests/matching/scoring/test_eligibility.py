"""May this offer serve this need: one list of checks, and everything that filters stands on it."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from apps.demands.models import Demand
from apps.matching.allocation.arcs import eligible_supply
from apps.matching.allocation.exceptions import REFUSED
from apps.matching.allocation.market import Market
from apps.matching.allocation.sequential import decide
from apps.matching.exclusions import not_to_be_asked
from apps.matching.loading import need_of
from apps.matching.scoring.either import Either
from apps.matching.scoring.eligibility import OF_SHORTAGES, Check, Reason, added, checks, counted, why_not
from apps.matching.scoring.facts import Need, Source
from apps.matching.scoring.ranking import rank
from tests.factories import DemandFactory
from tests.matching.markets import NOW, POLICY, RULES, every_score, markets

Case = tuple[list[Need], list[Source]]


def _by_formula(source_id: Either, remaining: Either) -> Either:
    return (source_id % 2 == 0) & (remaining > 500)


def _of_source(source_id: Either) -> Either:
    return source_id % 2 == 0


# Toy checks of each kind, with a reason that no other check has.
TOYS = {
    "of the pair": Check(Reason.PAUSED, _by_formula),
    "of the source": Check(Reason.PAUSED, _of_source),
    "listed": Check(Reason.PAUSED, listed=("organisation_id", lambda need: (104 + need.id, 108))),
}


def refused_by(toy: Check, need: Need, source: Source) -> bool:
    if toy.listed:
        return source.organisation_id in (104 + need.id, 108)
    return source.id % 2 == 0 and (need.remaining > 500 or toy.formula is _of_source)


@given(markets())
def test_many_offers_are_refused_for_the_same_reasons_as_each_alone(case: Case) -> None:
    for need in case[0]:
        each = Counter(why_not(need, source, RULES, policy=POLICY, now=NOW) for source in case[1])
        ranked = rank(need, case[1], RULES, policy=POLICY, now=NOW)
        assert len(ranked.candidates) == each.pop(None, 0)
        assert ranked.refused == each


@given(case=markets())
@settings(max_examples=40)
@pytest.mark.parametrize("name", TOYS)
def test_every_way_of_serving_asks_a_new_check(name: str, case: Case) -> None:
    demand, supply = case[0], [replace(source, held=()) for source in case[1] if source.free]
    toy = TOYS[name]
    before = {
        need.id: {one.source.id for one in rank(need, supply, RULES, policy=POLICY, now=NOW).candidates}
        for need in demand
    }
    with added(toy):
        market = Market(demand, supply, RULES, policy=POLICY, now=NOW)
        scores, supply_of = every_score(market), eligible_supply(market)
        plan = decide(demand, supply, RULES, policy=POLICY, now=NOW)
        for row, need in enumerate(market.needs):
            allowed = {
                source.id
                for source in market.sources
                if source.id in before[need.id] and not refused_by(toy, need, source)
            }
            ranked = rank(need, supply, RULES, policy=POLICY, now=NOW)
            assert {one.source.id for one in ranked.candidates} == allowed
            assert {market.sources[column].id for column in np.flatnonzero(scores[row] != REFUSED)} == allowed
            assert supply_of[row] == sum(source.free for source in supply if source.id in allowed)
            assert {hold.candidate.source.id for hold in plan.holds if hold.need_id == need.id} <= allowed


def test_a_check_has_a_formula_or_a_list() -> None:
    with pytest.raises(ValueError, match="either"):
        Check(Reason.PAUSED)


def test_what_is_counted_has_its_sql() -> None:
    with pytest.raises(ValueError, match="SQL"):
        Check(Reason.PAUSED, _of_source, of_some="%(number)s of them paused.")


def test_each_reason_is_one_check_and_told_where_nobody_can_be_asked() -> None:
    """The requester's own offers are no offers to it: they are not told."""
    told = [check.reason for check in counted()]
    assert len(told) == len(set(told))
    assert set(told) == set(Reason) - {Reason.OWN} - (set(OF_SHORTAGES) - {Reason.MINIMUM})
    assert {check.reason for check in checks()} <= {Reason.OWN, *told}


@pytest.mark.django_db
def test_every_list_of_a_check_is_read_from_the_database() -> None:
    """Otherwise its check would look into an empty list and refuse nobody. Whose need it is, the need itself says."""
    demand = DemandFactory.create()

    need = need_of(Demand.objects.shown().get(pk=demand.pk), POLICY, remaining=1)
    read = not_to_be_asked([need])[demand.pk].keys()

    missing = {check.reason for check in checks() if check.listed} - {Reason.OWN} - read
    assert not missing, f"{missing}: add their ids to `not_to_be_asked`, apps/matching/exclusions.py"
