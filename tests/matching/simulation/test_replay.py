"""What a replay promises, for any past."""

import datetime as dt
import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.matching.scoring.facts import Need, Source
from apps.matching.simulation.replay import STEP, History, PostedNeed, Stock, Total, add_up, differences, replay, totals
from apps.policy.values import REQUESTERS, PolicyValues
from tests.matching.markets import NOW, PLACES, POLICY, RULES, dice, markets

SINCE = NOW - dt.timedelta(days=7)
DRAFTS = (
    POLICY,
    PolicyValues(share_cap=0.1, matter_share=0.2),
    PolicyValues(tiers={"hospital": 5, "health_facility": 4, "community": 3, "enterprise": 2, "supplier": 1}),
    PolicyValues(weights={**dict.fromkeys(POLICY.weights, 0.0), "distance": 1.0}),
)


@st.composite
def histories(draw: st.DrawFn) -> History:
    needs, sources = draw(markets())
    chance = draw(dice)
    posted = tuple(
        PostedNeed(
            replace(need, waiting_since=SINCE + dt.timedelta(hours=chance.number(0, 7 * 24)), excluded={}),
            chance.pick(REQUESTERS),
            chance.pick(["420000", "440000"]),
        )
        for need in needs
    )
    stock = tuple(
        Stock(replace(source, held=()), SINCE + dt.timedelta(hours=chance.number(-48, 5 * 24))) for source in sources
    )
    pairs = [(need.id, source.id) for need in needs for source in sources]
    answers = {pair: chance.number(0, 500) for pair in chance.some(pairs, most=6)}
    return History(SINCE, NOW, posted, stock, answers)


def need_of(id_: int = 1, *, hours: float = 1, kind: str = "hospital", wanting: int = 100) -> PostedNeed:
    need = Need(
        id=id_, organisation_id=100 + id_, item_id=1, target=wanting, remaining=wanting, tier=1, urgency_rank=1,
        days_of_supply=None, waiting_since=SINCE + dt.timedelta(hours=hours), needed_by=None,
        location=PLACES[1],
    )  # fmt: skip
    return PostedNeed(need, kind, "420000")


def sources_of(id_: int, *, free: int = 100, hours: float = 0, lead: int = 1) -> Stock:
    source = Source(
        id=id_, organisation_id=10 + id_, item_id=1, free=free, minimum_order=1, lead_time_days=lead,
        location=PLACES[1], ships_to=frozenset(), standard_id=None, confirmed_at=SINCE,
    )  # fmt: skip
    return Stock(source, SINCE + dt.timedelta(hours=hours))


@given(histories(), st.sampled_from(DRAFTS))
def test_nothing_is_oversold_overserved_or_given_before_it_was_there(history: History, draft: PolicyValues) -> None:
    served = replay(history, RULES, policy=draft).served
    free = {stock.source.id: stock for stock in history.stock}
    sold: Counter[int] = Counter()

    assert set(served) == {one.need.id for one in history.posted}
    for one in history.posted:
        parts = served[one.need.id]
        assert sum(part.quantity for part in parts) <= one.need.remaining
        for part in parts:
            sold[part.source_id] += part.quantity
            at = one.need.waiting_since + dt.timedelta(hours=part.hours)
            assert at >= max(one.need.waiting_since, free[part.source_id].since)
            assert part.quantity <= history.answers.get((one.need.id, part.source_id), part.quantity)
    assert all(units <= free[source].source.free for source, units in sold.items())


@given(histories(), st.sampled_from(DRAFTS), st.randoms(use_true_random=False))
def test_the_same_past_under_the_same_policy_makes_no_difference(
    history: History, draft: PolicyValues, shuffler: random.Random
) -> None:
    posted, stock = list(history.posted), list(history.stock)
    shuffler.shuffle(posted)
    shuffler.shuffle(stock)
    again = replace(history, posted=tuple(posted), stock=tuple(stock))

    first, second = replay(history, RULES, policy=draft), replay(again, RULES, policy=draft)

    assert first == second
    assert differences(first.served, second.served) == []


def test_tiers_of_the_draft_turn_who_is_served() -> None:
    history = History(SINCE, NOW, (need_of(1, kind="community"), need_of(2, kind="enterprise")), (sources_of(1),))
    firms = PolicyValues(tiers={**POLICY.tiers, "community": 4, "enterprise": 3})

    before, after = (replay(history, RULES, policy=policy).served for policy in (POLICY, firms))

    assert ([part.quantity for part in before[1]], before[2]) == ([100], ())
    assert (after[1], [part.quantity for part in after[2]]) == ((), [100])
    assert differences(before, after) == [1, 2]


def test_who_said_no_says_no_again_and_the_next_is_asked_a_step_later() -> None:
    stock = (sources_of(1), sources_of(2, lead=9))
    history = History(SINCE, NOW, (need_of(1, hours=0.5),), stock, {(1, 1): 0})

    [part] = replay(history, RULES, policy=POLICY).served[1]

    assert (part.source_id, part.hours) == (2, 1.5)


def test_who_gave_less_gives_as_much_again_and_the_rest_comes_from_others() -> None:
    history = History(SINCE, NOW, (need_of(1),), (sources_of(1), sources_of(2, lead=9)), {(1, 1): 30})

    assert [(part.source_id, part.quantity) for part in replay(history, RULES, policy=POLICY).served[1]] == [
        (1, 30),
        (2, 70),
    ]


def test_what_is_published_later_helps_later() -> None:
    history = History(SINCE, NOW, (need_of(1, hours=1),), (sources_of(1, hours=5),))

    [part] = replay(history, RULES, policy=POLICY).served[1]

    assert part.hours == 4
    assert dt.timedelta(hours=1) == STEP


def test_a_far_donation_reaches_a_routine_need_after_some_days() -> None:
    far = replace(sources_of(1).source, is_donation=True, location=PLACES[0], offered_at=SINCE)
    posted = need_of(1, hours=1)
    patient = replace(posted, need=replace(posted.need, urgency_rank=2))
    nearby = PolicyValues(gift_reach_km=1000, gift_reach_km_per_day=30)

    history = History(SINCE, NOW, (patient,), (Stock(far, SINCE),))

    [part] = replay(history, RULES, policy=nearby).served[1]
    [at_once] = replay(history, RULES, policy=PolicyValues(gift_reach_km=None)).served[1]

    assert (part.hours, at_once.hours) == (2 * 24 - 1, 0)


def test_sums_by_place_and_kind_add_up_group_by_group() -> None:
    history = History(SINCE, NOW, (need_of(1), need_of(2, kind="community")), (sources_of(1, free=150),))
    served = replay(history, RULES, policy=POLICY).served
    one = totals(history.posted, served)

    assert one == {
        "420000": {
            "hospital": Total(needs=1, helped=1, covered=1, filled=1, hours=0),
            "community": Total(needs=1, helped=1, covered=0, filled=0.5, hours=0),
        }
    }
    elsewhere = {"440000": {"hospital": Total(needs=1)}}
    added = add_up(add_up(add_up({}, one), one), elsewhere)
    assert added["420000"]["community"] == {"needs": 2, "helped": 2, "covered": 0, "filled": 1, "hours": 0}
    assert added["440000"] == {"hospital": {"needs": 1, "helped": 0, "covered": 0, "filled": 0, "hours": 0}}


def test_a_replay_needs_no_stock() -> None:
    assert replay(History(SINCE, NOW, (need_of(1),), ()), RULES, policy=POLICY).served == {1: ()}
    with pytest.raises(KeyError):
        totals((need_of(2),), {1: ()})


# --- What is decided together -----------------------------------------------------------------------------------------

ALONE = PolicyValues(fairness="off", share_cap=1, fill_weight=0)
EVENLY = replace(ALONE, fairness="urgency")
FILLING = replace(ALONE, fill_weight=1000)


def given_under(policy: PolicyValues, history: History) -> dict[int, int]:
    served = replay(history, RULES, policy=policy).served
    return {need_id: sum(part.quantity for part in parts) for need_id, parts in served.items()}


@pytest.mark.parametrize(
    ("free", "evenly", "filling"),
    [(120, {1: 75, 2: 45}, {1: 100, 2: 20}), (200, {1: 100, 2: 60}, {1: 100, 2: 60})],
    ids=["short", "enough"],
)
def test_fair_sharing_shows_where_supply_is_short_and_nowhere_else(
    free: int, evenly: dict[int, int], filling: dict[int, int]
) -> None:
    history = History(SINCE, NOW, (need_of(1), need_of(2, wanting=60)), (sources_of(1, free=free),))

    assert given_under(ALONE, history) == filling
    assert given_under(EVENLY, history) == evenly


def test_small_needs_are_filled_first_where_the_policy_says_so() -> None:
    history = History(SINCE, NOW, (need_of(1), need_of(2, wanting=60)), (sources_of(1, free=60),))

    assert given_under(ALONE, history) == {1: 60, 2: 0}
    assert given_under(FILLING, history) == {1: 0, 2: 60}


def test_needs_left_short_compete_with_new_ones_for_new_stock() -> None:
    posted = (need_of(1, hours=1), need_of(2, hours=9))
    history = History(SINCE, NOW, posted, (sources_of(1, free=100, hours=10),))

    assert given_under(EVENLY, history) == {1: 50, 2: 50}


def test_what_would_gain_too_little_stays_as_it_was_asked_at_once() -> None:
    history = History(SINCE, NOW, (need_of(1), need_of(2)), (sources_of(1),))

    assert given_under(EVENLY, history) == {1: 50, 2: 50}
    assert given_under(replace(EVENLY, stay_margin=1), history) == {1: 100, 2: 0}


def test_an_urgent_need_with_an_acceptance_keeps_its_holds_in_a_replay() -> None:
    posted = (need_of(1, hours=0.5), need_of(2, hours=1.5))
    stock = (sources_of(1, free=60), sources_of(2, free=40, hours=2))
    history = History(SINCE, NOW, posted, stock)

    assert given_under(EVENLY, history) == {1: 100, 2: 0}
    patient = tuple(replace(one, need=replace(one.need, urgency_rank=2)) for one in posted)
    assert given_under(EVENLY, replace(history, posted=patient)) == {1: 75, 2: 25}


def test_a_contest_beyond_the_effort_is_sequential_and_counted() -> None:
    history = History(SINCE, NOW, (need_of(1), need_of(2)), (sources_of(1, free=100),))

    together = replay(history, RULES, policy=EVENLY, most_together=2)
    apart = replay(history, RULES, policy=EVENLY, most_together=1)

    assert (together.apart, apart.apart) == (0, 1)
    assert sum(part.quantity for parts in apart.served.values() for part in parts) == 100
    assert apart.served[1] != together.served[1]
