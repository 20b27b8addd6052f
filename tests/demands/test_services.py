"""What may be asked for, and what time does to it."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone, translation
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.models import Organisation, User
from apps.core import plausibility
from apps.core.errors import RuleViolation
from apps.core.plausibility import Plausibility, judge
from apps.core.posts import LIKELY_DUPLICATE_WITHIN
from apps.core.states import may_move
from apps.demands import freshness, review, services
from apps.demands.amending import amend_demand
from apps.demands.lines import DemandLine
from apps.demands.models import Demand, DemandState, QuantityKind
from apps.demands.outcomes import PostOutcome
from apps.notifications.models import Notification
from apps.policy.services import make_policy
from tests.factories import DemandFactory, ItemFactory, OrganisationFactory, StandardFactory, SupplierFactory, region

pytestmark = pytest.mark.django_db


def line(**facts: Any) -> DemandLine:
    return DemandLine(**{"item": ItemFactory.create(), "quantity": 100, **facts})


def test_lines_of_a_post_share_a_reference_and_their_owners_region(hospital: Organisation, buyer: User) -> None:
    goggles = ItemFactory.create(key="eye.goggles", name_en="Goggles")
    first, second = services.post_demands(hospital, [line(), line(item=goggles, address="Ward 3")], by=buyer)

    assert first.reference == second.reference
    assert (first.region, first.address, second.address) == (hospital.region, hospital.address, "Ward 3")
    assert {first.state, second.state} == {DemandState.DRAFT}


def test_a_need_elsewhere_does_not_get_the_address_of_the_organisation(buyer: User, hospital: Organisation) -> None:
    elsewhere, around = services.post_demands(
        hospital, [line(region=region("440300")), line(region=region("420100"))], by=buyer
    )

    assert (elsewhere.address, around.address) == ("", hospital.address)


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"quantity": 0}, "quantity"),
        ({"quantity": -5}, "quantity"),
        ({"quantity": 10**18}, "quantity"),
        ({"quantity": None}, "quantity"),
        ({"quantity": 1, "quantity_kind": "unspecified"}, "quantity"),
        ({"needed_by": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}, "needed_by"),
    ],
)
def test_one_bad_line_leaves_nothing_of_the_post(
    hospital: Organisation, buyer: User, facts: dict[str, Any], field: str
) -> None:
    with pytest.raises(RuleViolation) as caught:
        services.post_demands(hospital, [line(), line(**facts)], by=buyer)
    assert list(caught.value.errors) == [f"1.{field}"]
    assert Demand.objects.count() == 0

    with pytest.raises(RuleViolation) as caught:
        services.post_demands(hospital, [line(**facts)], by=buyer)
    assert list(caught.value.errors) == [field]


def test_a_standard_must_be_one_of_the_item(hospital: Organisation, buyer: User) -> None:
    with pytest.raises(RuleViolation) as caught:
        services.post_demands(hospital, [line(standard=StandardFactory.create(code="GB 19083-2010"))], by=buyer)
    assert caught.value.code == "standard_not_for_item"


def test_only_requesters_post_and_only_verified_ones_open(stranger: User) -> None:
    carrier = OrganisationFactory.create(kind="carrier")
    with pytest.raises(RuleViolation, match="does not post"):
        services.post_demands(carrier, [line()], by=stranger)

    clinic = OrganisationFactory.create(unverified=True)
    [draft] = services.post_demands(clinic, [line()], by=stranger)
    with pytest.raises(RuleViolation) as caught:
        services.open_demand(draft, by=stranger)
    assert caught.value.code == "organisation_unverified"
    draft.refresh_from_db()
    assert draft.state == DemandState.DRAFT


def test_an_unusual_quantity_is_asked_back_and_goes_out_when_confirmed(hospital: Organisation, buyer: User) -> None:
    for _i in range(plausibility.ENOUGH):
        DemandFactory.create(quantity=500)
    [draft] = services.post_demands(hospital, [line(quantity=6000)], by=buyer)

    with pytest.raises(RuleViolation) as caught:
        services.open_demand(draft, by=buyer)
    assert (caught.value.code, caught.value.params["usual"]) == ("quantity_unusual", 500)

    assert services.open_demand(draft, by=buyer, quantity_confirmed=True).state == DemandState.OPEN


def test_an_absurd_quantity_waits_for_a_coordinator(hospital: Organisation, buyer: User, coordinator: User) -> None:
    [draft] = services.post_demands(hospital, [line(quantity=10**11)], by=buyer)

    held = services.open_demand(draft, by=buyer, quantity_confirmed=True)
    assert (held.state, held.state_code) == (DemandState.DRAFT, "quantity_unusual")
    assert list(Demand.objects.awaiting_review()) == [draft]

    opened = services.open_demand(held, by=coordinator)
    assert (opened.state, opened.review_requested_at) == (DemandState.OPEN, None)


@given(st.integers(min_value=1, max_value=10**12), st.lists(st.integers(min_value=1, max_value=10**9), max_size=12))
def test_a_quantity_is_plausible_when_it_is_near_what_is_usual(quantity: int, past: list[int]) -> None:
    judgement = judge(quantity, past)
    if quantity > plausibility.ABSURD_ALWAYS:
        assert judgement.plausibility is Plausibility.ABSURD
    elif not past:
        assert judgement == plausibility.Judgement(Plausibility.PLAUSIBLE, None)
    elif len(past) < plausibility.ENOUGH:
        assert judgement.usual is not None
        gross = max(quantity, judgement.usual) >= plausibility.GROSS_RATIO * min(quantity, judgement.usual)
        assert (judgement.plausibility is Plausibility.UNUSUAL) == gross
    else:
        assert judgement.usual is not None
        assert judge(int(judgement.usual), past).plausibility is not Plausibility.UNUSUAL


@pytest.mark.parametrize(
    ("quantity", "expected"), [(1, 1), (99, 99), (104, 100), (106, 110), (52_317, 52_000), (99_600, 100_000)]
)
def test_what_is_usual_is_told_in_two_digits(quantity: int, expected: int) -> None:
    assert (plausibility.about(quantity), judge(quantity, [quantity]).usual) == (expected, expected)


def test_what_is_usual_is_ones_own_until_three_others_have_asked() -> None:
    mine, theirs = [(1, 500), (1, 600)], [(2, 7), (2, 8), (2, 9), (3, 10)]

    assert plausibility.judge_for(1, 550, [*mine, *theirs]) == plausibility.Judgement(Plausibility.PLAUSIBLE, 550)
    assert plausibility.judge_for(1, 550, [*mine, *theirs, (4, 11)]) == plausibility.Judgement(Plausibility.UNUSUAL, 10)


def test_who_posts_is_not_told_what_one_other_hospital_asked_for(
    hospital: Organisation, buyer: User, django_assert_num_queries: Any
) -> None:
    other = OrganisationFactory.create()
    DemandFactory.create_batch(6, organisation=other, quantity=52_317)
    [draft] = services.post_demands(hospital, [line(quantity=1)], by=buyer)
    with django_assert_num_queries(1):
        assert review.judge_quantity(draft) == plausibility.Judgement(Plausibility.UNUSUAL, None)
    with pytest.raises(RuleViolation) as asked:
        services.open_demand(draft, by=buyer)
    assert (asked.value.code, asked.value.params["usual"]) == ("quantity_unusual", None)
    assert str(asked.value) == "1 is far from what such organisations ask for. Confirm the quantity, or correct it."

    DemandFactory.create(organisation=hospital, quantity=700)
    assert review.judge_quantity(draft).usual == 700
    DemandFactory.create_batch(2, quantity=52_317)
    with django_assert_num_queries(1):
        assert review.judge_quantity(draft) == plausibility.Judgement(Plausibility.UNUSUAL, 52_000)


def test_ten_times_what_is_usual_is_asked_about() -> None:
    """“5,000, not 500?”"""
    assert judge(5_000, [500] * plausibility.ENOUGH) == plausibility.Judgement(Plausibility.UNUSUAL, 500)
    assert judge(4_999, [500] * plausibility.ENOUGH).plausibility is Plausibility.PLAUSIBLE


def test_where_quantities_differ_much_more_is_taken_for_usual() -> None:
    alike, unlike = [1_000] * 9, [10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000]
    assert judge(20_000, alike).plausibility is Plausibility.UNUSUAL
    assert judge(20_000, unlike).plausibility is Plausibility.PLAUSIBLE
    # But no more than a hundredfold, however much they differ.
    assert judge(10**6, [10**power for power in range(9)]).plausibility is Plausibility.UNUSUAL


def test_wrong_ones_among_the_past_do_not_move_what_is_usual() -> None:
    past = [900, 1_000, 1_100, 1_000, 900, 1_100, 1_000]
    for number in range(6):
        assert judge(10_000_000, [*past, *[10**8] * number]).plausibility is Plausibility.ABSURD


@pytest.mark.parametrize("asked", [40_000, 52_317, 199_999])
def test_trying_quantities_tells_the_order_of_magnitude_and_no_more(asked: int) -> None:
    tried = [plausibility.judge_for(1, 7**power, [(2, asked)]) for power in range(12)]
    assert tried == [plausibility.judge_for(1, 7**power, [(2, 100_000)]) for power in range(12)]
    assert {judgement.plausibility for judgement in tried} == {
        Plausibility.UNUSUAL,
        Plausibility.PLAUSIBLE,
        Plausibility.ABSURD,
    }
    assert {judgement.usual for judgement in tried} == {None}


def test_promises_bound_what_can_be_amended(hospital: Organisation, buyer: User) -> None:
    demand = DemandFactory.create(organisation=hospital, quantity=1000, quantity_matched=400)
    with pytest.raises(RuleViolation) as caught:
        amend_demand(demand, by=buyer, quantity=399)
    assert caught.value.code == "quantity_promised"

    assert amend_demand(demand, by=buyer, quantity=400).state == DemandState.MATCHED
    assert amend_demand(demand, by=buyer, quantity=900).state == DemandState.OPEN
    with pytest.raises(RuleViolation, match="item is fixed"):
        amend_demand(demand, by=buyer, item=ItemFactory.create(key="cap"))


def test_a_need_is_asked_about_then_suspended_and_back_when_confirmed(hospital: Organisation, buyer: User) -> None:
    [draft] = services.post_demands(hospital, [line()], by=buyer)
    start = timezone.now()
    demand = services.open_demand(draft, by=buyer, now=start)

    asked = start + dt.timedelta(days=6)
    assert freshness.ask_whether_still_needed(now=asked) == 1
    assert freshness.ask_whether_still_needed(now=asked) == 0
    late = start + dt.timedelta(days=8)
    assert freshness.suspend_stale(now=late) == 1
    demand.refresh_from_db()
    assert demand.state == DemandState.STALE
    assert list(Notification.objects.filter(user=buyer).order_by("pk").values_list("event", flat=True)) == [
        "demand.freshness_asked",
        "demand.suspended",
    ]

    confirmed = services.confirm_demand(demand, by=buyer, now=late)
    assert (confirmed.state, confirmed.confirmed_at, confirmed.asked_at) == (DemandState.OPEN, late, None)
    assert freshness.suspend_stale(now=late + dt.timedelta(days=6)) == 0


def test_a_confirmed_need_is_not_suspended(hospital: Organisation, buyer: User) -> None:
    demand = DemandFactory.create(organisation=hospital)
    later = timezone.now() + dt.timedelta(days=6)
    services.confirm_demand(demand, by=buyer, now=later)
    assert freshness.suspend_stale(now=later + dt.timedelta(days=2)) == 0


def test_a_paused_need_waits_for_its_owner_and_never_goes_stale(hospital: Organisation, buyer: User) -> None:
    demand = DemandFactory.create(organisation=hospital)
    services.pause_demand(demand, by=buyer)
    late = timezone.now() + dt.timedelta(days=365)
    assert (freshness.ask_whether_still_needed(now=late), freshness.suspend_stale(now=late)) == (0, 0)
    assert not may_move(demand, DemandState.STALE)


def test_paused_resumed_cancelled_and_nothing_after(hospital: Organisation, buyer: User) -> None:
    demand = DemandFactory.create(organisation=hospital)
    services.pause_demand(demand, by=buyer)
    services.resume_demand(demand, by=buyer)
    assert demand.state == DemandState.OPEN
    services.cancel_demand(demand, by=buyer, reason="Found some")
    for verb in (services.resume_demand, services.confirm_demand, services.pause_demand, services.cancel_demand):
        with pytest.raises(RuleViolation):
            verb(demand, by=buyer)


def test_a_likely_duplicate_is_found_and_others_are_not(hospital: Organisation) -> None:
    twin = DemandFactory.create(organisation=hospital)
    DemandFactory.create()
    DemandFactory.create(organisation=hospital, item=ItemFactory.create(key="cap"))
    DemandFactory.create(organisation=hospital, state=DemandState.CANCELLED)
    week = timezone.now() - LIKELY_DUPLICATE_WITHIN
    assert list(Demand.objects.alike(hospital, twin.item, week)) == [twin]


def test_a_request_to_match_that_comes_during_matching_is_not_lost(hospital: Organisation) -> None:
    demand = DemandFactory.create(organisation=hospital, queued=True)
    now = timezone.now()
    claimed = services.claim_for_matching(now=now, lease=dt.timedelta(minutes=1), limit=10)
    assert claimed == [demand]
    assert services.claim_for_matching(now=now, lease=dt.timedelta(minutes=1), limit=10) == []

    services.request_matching([demand.pk], now=now)
    services.finish_matching(claimed)

    assert services.claim_for_matching(now=now, lease=dt.timedelta(minutes=1), limit=10) == [demand]


def test_needs_of_several_items_are_claimed_at_once_each_item_whole(hospital: Organisation) -> None:
    cap = ItemFactory.create(key="cap")
    first, other = (DemandFactory.create(organisation=hospital, queued=True, **item) for item in ({}, {"item": cap}))
    same, last = (DemandFactory.create(organisation=hospital, queued=True, **item) for item in ({}, {"item": cap}))
    claimed = services.claim_for_matching(now=timezone.now(), lease=dt.timedelta(minutes=1), limit=3)
    assert {demand.pk for demand in claimed} == {first.pk, same.pk, other.pk}, "the item that waits longest comes whole"
    rest = services.claim_for_matching(now=timezone.now(), lease=dt.timedelta(minutes=1), limit=3)
    assert [demand.pk for demand in rest] == [last.pk]


def test_what_a_dead_worker_had_claimed_is_claimed_one_by_one(hospital: Organisation) -> None:
    needs = DemandFactory.create_batch(3, organisation=hospital, queued=True)
    now, lease = timezone.now(), dt.timedelta(minutes=1)
    assert len(services.claim_for_matching(now=now, lease=lease, limit=10)) == 3
    fresh = DemandFactory.create(organisation=hospital, queued=True)
    later = now + 2 * lease
    turns = [services.claim_for_matching(now=later, lease=lease, limit=10) for _ in range(4)]
    assert [[demand.pk for demand in turn] for turn in turns] == [[one.pk] for one in (*needs, fresh)]


def test_suppliers_may_need_things_too() -> None:
    maker = SupplierFactory.create()
    [demand] = services.post_demands(maker, [line(quantity_kind=QuantityKind.AT_LEAST)], by=None)
    assert services.open_demand(demand, by=None).state == DemandState.OPEN


def test_more_urgency_suspends_nothing_and_counts_as_a_confirmation(hospital: Organisation, buyer: User) -> None:
    now = timezone.now()
    opened = now - dt.timedelta(days=8)
    demand = DemandFactory.create(
        organisation=hospital,
        urgency="routine",
        opened_at=opened,
        ask_at=opened + dt.timedelta(hours=252),
        stale_at=opened + dt.timedelta(days=14),
    )

    amended = amend_demand(demand, by=buyer, urgency="urgent", now=now)

    assert amended.confirmed_at == now
    assert (freshness.ask_whether_still_needed(now=now), freshness.suspend_stale(now=now)) == (0, 0)


def test_nobody_is_suspended_who_was_not_asked_and_had_the_time_to_answer(hospital: Organisation) -> None:
    """Workers that were away for days: the question comes late, and the answer may come as late."""
    now = timezone.now()
    opened = now - dt.timedelta(days=9)
    demand = DemandFactory.create(organisation=hospital, opened_at=opened)
    assert demand.ask_at
    assert demand.stale_at
    assert demand.stale_at < now

    assert (freshness.ask_whether_still_needed(now=now), freshness.suspend_stale(now=now)) == (1, 0)
    time_to_answer = demand.stale_at - demand.ask_at
    assert freshness.suspend_stale(now=now + time_to_answer - dt.timedelta(seconds=1)) == 0
    assert freshness.suspend_stale(now=now + time_to_answer) == 1


def test_what_would_not_go_out_by_itself_does_not_come_in_by_an_amendment(
    hospital: Organisation, buyer: User, coordinator: User
) -> None:
    for _ in range(10):
        DemandFactory.create(organisation=hospital, quantity=500)
    demand = DemandFactory.create(organisation=hospital, quantity=500)

    with pytest.raises(RuleViolation) as unusual:
        amend_demand(demand, by=buyer, quantity=50_000)
    assert (unusual.value.code, unusual.value.status) == ("quantity_unusual", 409)
    with pytest.raises(RuleViolation) as absurd:
        amend_demand(demand, by=buyer, quantity=500_000_000, quantity_confirmed=True)
    assert absurd.value.code == "look_needed"
    demand.refresh_from_db()
    assert demand.quantity == 500

    assert amend_demand(demand, by=buyer, quantity=50_000, quantity_confirmed=True).quantity == 50_000
    assert amend_demand(demand, by=coordinator, quantity=500_000_000).quantity == 500_000_000


def test_a_need_does_not_move_to_where_a_coordinator_looks_first(
    hospital: Organisation, buyer: User, coordinator: User
) -> None:
    xinjiang = region("650000")
    make_policy({"phases": {xinjiang.pk: {"phase": "emergency", "approval": True}}}, note="x", by=coordinator)
    demand = DemandFactory.create(organisation=hospital)

    with pytest.raises(RuleViolation) as refused:
        amend_demand(demand, by=buyer, region=xinjiang)

    assert refused.value.code == "look_needed"
    assert amend_demand(demand, by=coordinator, region=xinjiang).region == xinjiang


@pytest.fixture
def approval(coordinator: User) -> None:
    """Everywhere a coordinator looks at each need before it goes out."""
    make_policy({"phases": {region("CN").pk: {"phase": "emergency", "approval": True}}}, note="x", by=coordinator)


@pytest.mark.usefixtures("approval")
@pytest.mark.parametrize(
    ("field", "before", "more", "less"),
    [
        ("quantity", 1_000, 1_001, 999),
        ("quantity", 1_000, 90_000, 500),
        ("urgency", "urgent", "emergency", "routine"),
        ("days_of_supply", 5, 4, 6),
        ("days_of_supply", 5, 0, None),
        ("days_of_supply", None, 30, None),
    ],
)
def test_an_approved_quantity_grows_only_with_a_review_and_may_shrink(
    hospital: Organisation, buyer: User, coordinator: User, field: str, before: Any, more: Any, less: Any
) -> None:
    [draft] = services.post_demands(hospital, [line(**{"quantity": 1_000, field: before})], by=buyer)
    assert services.open_demand(draft, by=buyer).awaits_review
    need = services.open_demand(draft, by=coordinator)

    with pytest.raises(RuleViolation, match="Ask your coordinator") as refused:
        amend_demand(need, by=buyer, **{field: more})
    assert (refused.value.code, list(refused.value.errors)) == ("look_needed", [field])
    need.refresh_from_db()
    assert getattr(need, field) == before

    assert getattr(amend_demand(need, by=buyer, **{field: less}), field) == less
    assert getattr(amend_demand(need, by=coordinator, **{field: more}), field) == more


@pytest.mark.usefixtures("approval")
def test_of_a_need_of_unknown_quantity_its_trial_lot_was_approved(hospital: Organisation, buyer: User) -> None:
    need = DemandFactory.create(organisation=hospital, quantity=None, quantity_kind="unspecified")
    known: dict[str, Any] = {"quantity": need.item.trial_lot + 1, "quantity_kind": "exact"}

    with pytest.raises(RuleViolation) as refused:
        amend_demand(need, by=buyer, **known)
    assert refused.value.code == "look_needed"
    known["quantity"] = need.item.trial_lot
    assert amend_demand(need, by=buyer, **known).quantity == need.item.trial_lot


@pytest.mark.usefixtures("approval")
def test_which_goods_would_do_and_whom_to_call_needs_no_look(hospital: Organisation, buyer: User) -> None:
    need = DemandFactory.create(organisation=hospital)
    amended = amend_demand(need, by=buyer, accepts_substitutes=True, contact_phone="110", note="rear gate")
    assert (amended.accepts_substitutes, amended.contact_phone, amended.note) == (True, "110", "rear gate")


def test_where_nobody_looks_first_a_need_grows_as_its_owner_says(hospital: Organisation, buyer: User) -> None:
    need = DemandFactory.create(organisation=hospital, quantity=1_000)
    assert amend_demand(need, by=buyer, quantity=5_000, urgency="emergency").quantity == 5_000


def test_a_worker_that_comes_late_leaves_the_claim_of_another(hospital: Organisation) -> None:
    DemandFactory.create(organisation=hospital, queued=True)
    now, lease = timezone.now(), dt.timedelta(seconds=60)
    first = services.claim_for_matching(now=now, lease=lease, limit=5)
    later = now + dt.timedelta(seconds=61)
    second = services.claim_for_matching(now=later, lease=lease, limit=5)
    assert [demand.pk for demand in first] == [demand.pk for demand in second]

    services.finish_matching(first)

    assert services.claim_for_matching(now=later, lease=lease, limit=5) == []
    assert Demand.objects.awaiting_match(later + 2 * lease).exists(), "if the other dies too, a third takes it up"
    services.finish_matching(second)
    assert not Demand.objects.filter(match_requested_at__isnull=False).exists()


# --- Post and send out ------------------------------------------------------------------------------------------------


def test_a_post_says_what_became_of_each_line(hospital: Organisation, buyer: User) -> None:
    unlisted = ItemFactory.create(key="other")
    lines = [line(), line(quantity=10**11), line(item=unlisted, note="Tape"), line(quantity=70)]

    posted = services.post_needs(hospital, lines, by=buyer, open_now=[0, 1, 2])

    assert [one.outcome for one in posted] == [
        PostOutcome.OPENED,
        PostOutcome.HELD_FOR_REVIEW,
        PostOutcome.NEEDS_ITEM,
        PostOutcome.DRAFTED,
    ]
    codes = [(one.demand.state, one.demand.state_code) for one in posted]
    assert codes == [("open", ""), ("draft", "quantity_unusual"), ("draft", ""), ("draft", "")]


def test_nothing_is_posted_while_a_quantity_is_to_be_confirmed(hospital: Organisation, buyer: User) -> None:
    for _i in range(6):
        DemandFactory.create(organisation=hospital, quantity=500)
    before = Demand.objects.count()

    asked = services.post_needs(hospital, [line(quantity=500), line(quantity=6000)], by=buyer)

    assert [one.outcome for one in asked] == [PostOutcome.OPENED, PostOutcome.NEEDS_CONFIRMATION]
    assert asked[1].violation is not None
    assert asked[1].violation.code == "quantity_unusual"
    assert Demand.objects.count() == before
    posted = services.post_needs(hospital, [line(quantity=500), line(quantity=6000)], by=buyer, confirmed=[1])
    assert [one.outcome for one in posted] == [PostOutcome.OPENED, PostOutcome.OPENED]


def test_a_post_waits_for_the_verification_of_its_owner(stranger: User) -> None:
    clinic = OrganisationFactory.create(unverified=True)
    [posted] = services.post_needs(clinic, [line()], by=stranger)

    posted.demand.refresh_from_db()
    assert (posted.outcome, posted.demand.awaits_verification) == (PostOutcome.WAITS_FOR_VERIFICATION, True)
    assert posted.demand.state_reason == "It goes out as soon as the organisation is verified."


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_reason_reads_the_same_from_the_row_and_from_sql(hospital: Organisation, language: str) -> None:
    DemandFactory.create(organisation=hospital)
    DemandFactory.create(organisation=hospital, state="stale", state_code="nobody_confirmed")
    DemandFactory.create(organisation=hospital, state="paused", state_note="Holiday")
    with translation.override(language):
        read = list(Demand.objects.order_by("pk").values_list(Demand.reason_expression(), flat=True))
        assert read == [demand.state_reason for demand in Demand.objects.order_by("pk")]
    assert (read[0], read[2]) == ("", "Holiday")
    assert read[1]


CAN: dict[str, Callable[..., Demand]] = {
    "can_be_confirmed": services.confirm_demand,
    "can_be_paused": services.pause_demand,
    "can_be_resumed": services.resume_demand,
    "can_be_cancelled": services.cancel_demand,
}


@pytest.mark.parametrize("may", CAN)
@pytest.mark.parametrize("state", DemandState.values)
def test_a_need_offers_what_the_services_do(buyer: User, state: str, may: str) -> None:
    demand = DemandFactory.create(state=state)

    if getattr(demand, may):
        CAN[may](demand, by=buyer)
    else:
        with pytest.raises(RuleViolation):
            CAN[may](demand, by=buyer)
