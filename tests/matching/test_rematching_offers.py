"""Whatever happens to an offer: one sweep later all is as it should be, and nobody is told twice."""

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from apps.core.errors import RuleViolation
from apps.demands import services as demands
from apps.demands.models import Demand
from apps.fulfilment import services as fulfilment
from apps.matching import notices
from apps.matching import services as matching
from apps.matching.models import Match, MatchState
from apps.notifications.models import Message
from apps.notifications.rendering import render_mail
from apps.supply import freshness as offer_freshness
from apps.supply import services as supply
from apps.supply.amending import amend_offer
from apps.supply.models import Offer
from tests.factories import (
    ItemFactory,
    member,
    region,
    standard_of,
)
from tests.matching.rematching import (
    SHENZHEN,
    WUHAN,
    Sweep,
    asked,
    need,
    nobody_left,
    offer_in,
    person_of,
    proposed,
    state_of,
    suppliers_asked,
    told,
    withdrawn,
)

pytestmark = pytest.mark.django_db


def test_a_new_offer_goes_to_the_need_that_waits_for_it(sweep: Sweep) -> None:
    demand = need()
    assert sweep() == []

    offer = offer_in(WUHAN, draft=True)
    supply.publish_offer(offer, by=None)

    assert sweep() == [suppliers_asked(demand), proposed(offer)]
    assert asked() == {(demand.pk, offer.pk): 1000}


def test_an_enlarged_offer_gives_the_rest_once_its_supplier_has_answered(sweep: Sweep) -> None:
    offer, demand = offer_in(WUHAN, 400), need()
    person = member(offer.organisation)
    sweep()
    fulfilment.accept_match(Match.objects.get(), by=person)
    amend_offer(offer, by=person, quantity=2000)

    sweep()

    assert asked() == {(demand.pk, offer.pk): 600}


def test_an_enlarged_offer_helps_others_before_its_first_answer(sweep: Sweep) -> None:
    offer, first, second = offer_in(WUHAN, 1000), need(), need(700)
    sweep()
    assert asked() == {(first.pk, offer.pk): 500, (second.pk, offer.pk): 500}

    amend_offer(offer, by=person_of(first), quantity=5000)
    news = sweep()

    # Both hold what they were given, so nobody is asked twice at once; the rest follows with the answers.
    assert (asked(), news) == ({(first.pk, offer.pk): 500, (second.pk, offer.pk): 500}, [])
    for match in Match.objects.held():
        fulfilment.accept_match(match, by=None)
    sweep()
    assert asked() == {(first.pk, offer.pk): 500, (second.pk, offer.pk): 200}


def test_an_offer_confirmed_again_after_it_went_stale_is_used_again(sweep: Sweep) -> None:
    long_ago = timezone.now() - dt.timedelta(days=60)
    offer = offer_in(WUHAN, confirmed_at=long_ago, asked_at=long_ago)
    offer_freshness.suspend_stale()
    demand = need()
    assert sweep() == [("offer.suspended", offer.organisation.contact_email)]

    offer.refresh_from_db()
    supply.confirm_offer(offer, by=person_of(demand))

    assert sweep() == [suppliers_asked(demand), proposed(offer)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"ships_to": ["440000"]}, {"ships_to": ["440000", "420000"]}),
        ({"minimum_order": 2000}, {"minimum_order": 1000}),
        ({"certificate_valid_until": dt.date(2020, 1, 1)}, {"certificate_valid_until": dt.date(2099, 1, 1)}),
        ({"standard": None}, {"standard": "YY 0469-2011"}),
    ],
    ids=["region", "minimum order", "certificate", "standard"],
)
def test_a_changed_offer_is_asked_if_it_fits_and_taken_back_if_not(
    sweep: Sweep, before: dict[str, Any], after: dict[str, Any]
) -> None:
    region("440000")
    standard = standard_of(ItemFactory.create())
    before, after = (
        {name: standard if value == standard.code else value for name, value in facts.items()}
        for facts in (before, after)
    )
    demand = need(standard=standard)
    offer = offer_in(WUHAN, **{"standard": standard, **before})
    assert sweep() == []
    person = person_of(demand)

    amend_offer(offer, by=person, **after)
    assert sweep() == [suppliers_asked(demand), proposed(offer)]

    amend_offer(offer, by=person, **before)
    assert sweep() == [nobody_left(demand), withdrawn(offer)]
    assert state_of(demand, offer) == [MatchState.CANCELLED]


def test_an_irrelevant_change_of_an_offer_leaves_its_hold_alone(sweep: Sweep) -> None:
    offer, demand = offer_in(WUHAN), need()
    sweep()

    amend_offer(offer, by=person_of(demand), note="On pallets", lead_time_days=9, unit_price=3)

    assert sweep() == []
    assert asked() == {(demand.pk, offer.pk): 1000}


def test_who_is_asked_anew_for_less_is_told_what_it_takes_the_place_of(sweep: Sweep) -> None:
    offer_in(WUHAN)
    demand = need(1000)
    sweep()
    first = Match.objects.get()

    matching.amend_demand(demand, by=person_of(demand), quantity=600)
    sweep()

    second = Match.objects.held().get()
    mails = {mail.context["match_id"]: mail for mail in Message.objects.filter(event="match.proposed")}
    assert {match: mail.context["instead_of"] for match, mail in mails.items()} == {first.pk: None, second.pk: 1000}
    mails[second.pk].language = "en"
    text = render_mail(mails[second.pk]).text
    assert "takes the place of our request for 1,000 pc" in " ".join(text.split())


def test_nobody_left_is_notified_once_for_the_last_supplier_asked(sweep: Sweep) -> None:
    demand, offer = need(), offer_in(WUHAN)
    sweep()
    matching.decline(Match.objects.held().get(), by=None, reason="other")
    assert sweep() == [nobody_left(demand)]
    Demand.objects.filter(pk=demand.pk).update(match_requested_at=timezone.now())
    assert sweep() == []

    other = offer_in(SHENZHEN, queued=True)
    assert sweep() == [suppliers_asked(demand), proposed(other)]
    matching.decline(Match.objects.held().get(), by=None, reason="other")

    assert sweep() == [nobody_left(demand)]
    assert offer.pk != other.pk


def test_nobody_left_is_not_notified_while_the_need_is_queued() -> None:
    demand, offer = need(), offer_in(WUHAN)
    matching.sweep()
    matching.decline(Match.objects.held().get(), by=None, reason="other")
    now = timezone.now()
    claimed = demands.claim_for_matching(now=now, lease=matching.LEASE, limit=1)

    # As when what was found for it changed before it could be asked.
    demands.request_matching([demand.pk], now=now + dt.timedelta(seconds=1))
    notices.notify_nobody_left(claimed)
    assert nobody_left(demand) not in told()

    Demand.objects.filter(pk=demand.pk).update(match_requested_at=claimed[0].match_requested_at)
    notices.notify_nobody_left(claimed)
    assert nobody_left(demand) in told()
    assert offer.pk


def test_an_acceptance_without_a_rest_has_no_need_decided_again(sweep: Sweep) -> None:
    offer, _met = offer_in(WUHAN, 5000, minimum_order=50), need(100)
    small = [need(10) for _i in range(3)]
    sweep()
    assert not Demand.objects.exclude(match_requested_at=None).exists()

    fulfilment.accept_match(Match.objects.held().get(offer=offer), by=None)
    matching.recheck_changed_offers()

    assert not Demand.objects.filter(pk__in=[one.pk for one in small]).exclude(match_requested_at=None).exists()


def test_a_reduced_offer_keeps_acceptances_and_asks_anew_for_the_rest(sweep: Sweep) -> None:
    offer = offer_in(WUHAN, 1000)
    accepted, first, last = need(200), need(300), need(500, by={"kind": "community"})
    sweep()
    fulfilment.accept_match(Match.objects.get(demand=accepted), by=None)
    sweep()

    matching.amend_offer(offer, by=person_of(first), quantity=550)
    news = sweep()

    assert asked() == {(first.pk, offer.pk): 300, (last.pk, offer.pk): 50}
    assert news == [suppliers_asked(last), proposed(offer)]
    offer.refresh_from_db()
    with pytest.raises(RuleViolation) as promised:
        matching.amend_offer(offer, by=person_of(first), quantity=199)
    assert promised.value.errors == {"quantity": ["200 of it are reserved already."]}
    assert asked() == {(first.pk, offer.pk): 300, (last.pk, offer.pk): 50}


def test_freed_stock_goes_to_no_lower_tier_while_a_hospital_waits(sweep: Sweep) -> None:
    offer = offer_in(WUHAN, 1000)
    first, second, behind = need(600), need(700), need(800, by={"kind": "community"})
    sweep()
    assert asked() == {(first.pk, offer.pk): 500, (second.pk, offer.pk): 500}

    fulfilment.accept_match(Match.objects.get(demand=first), by=None, quantity=199)
    sweep()

    assert asked() == {(second.pk, offer.pk): 500, (behind.pk, offer.pk): 101}
    fulfilment.accept_match(Match.objects.get(demand=second), by=None)
    sweep()
    assert asked() == {(second.pk, offer.pk): 200, (behind.pk, offer.pk): 101}


def test_stock_left_for_a_hospital_goes_to_others_after_the_answer(
    sweep: Sweep,
) -> None:
    small, hospital = offer_in(WUHAN, 70), need(170)
    sweep()
    large = offer_in(WUHAN, 210, minimum_order=100, queued=True)
    sweep()
    assert asked() == {(hospital.pk, small.pk): 70, (hospital.pk, large.pk): 100}
    matching.decline(Match.objects.get(offer=small), by=None, reason="gone")
    community = need(110, by={"kind": "community"})
    sweep()
    assert (community.pk, large.pk) not in asked(), "70 of the 110 that are free are left for the hospital"

    fulfilment.accept_match(Match.objects.get(offer=large), by=None)
    sweep()

    assert asked() == {(community.pk, large.pk): 110}


def test_an_enterprise_yields_when_its_offer_ships_to_a_hospital(sweep: Sweep) -> None:
    region("440000")
    offer = offer_in(WUHAN, 1000, ships_to=["440000"])
    south = need(by={"kind": "enterprise", "region": region(SHENZHEN)})
    hospital = need()
    sweep()
    assert asked() == {(south.pk, offer.pk): 1000}

    amend_offer(offer, by=person_of(south), ships_to=[])

    assert sweep() == [nobody_left(south), suppliers_asked(hospital), proposed(offer), withdrawn(offer)]
    assert asked() == {(hospital.pk, offer.pk): 1000}


@pytest.mark.parametrize("verb", ["pause", "withdraw", "stale"])
def test_an_offer_that_ends_hands_its_hold_to_a_backup_and_notifies_once(sweep: Sweep, verb: str) -> None:
    near, far, demand = offer_in(WUHAN), offer_in(SHENZHEN), need()
    sweep()
    assert state_of(demand, far) == [MatchState.STANDBY]
    near.refresh_from_db()
    if verb == "stale":
        long_ago = timezone.now() - dt.timedelta(days=60)
        Offer.objects.filter(pk=near.pk).update(confirmed_at=long_ago, asked_at=long_ago)
        offer_freshness.suspend_stale()
    else:
        getattr(supply, f"{verb}_offer")(near, by=person_of(demand))

    news = sweep()

    if verb == "stale":
        news.remove(("offer.suspended", near.organisation.contact_email))
    assert news == [suppliers_asked(demand), proposed(far), withdrawn(near)]
    assert (state_of(demand, near), state_of(demand, far)) == ([MatchState.CANCELLED], [MatchState.HELD])


def test_an_offer_that_is_off_is_next_in_line_no_more(sweep: Sweep) -> None:
    offer_in(WUHAN)
    far, demand = offer_in(SHENZHEN), need()
    sweep()

    supply.pause_offer(far, by=person_of(demand))

    assert sweep() == []
    assert state_of(demand, far) == [MatchState.SUPERSEDED]


def test_a_certificate_that_runs_out_takes_the_request_to_somebody_else(sweep: Sweep) -> None:
    today = timezone.now().date()
    near = offer_in(WUHAN, certificate_valid_until=today)
    far = offer_in(SHENZHEN)
    demand = need(urgency="routine")
    sweep()
    tomorrow = dt.datetime.combine(today + dt.timedelta(days=1), dt.time.min, tzinfo=dt.UTC)
    assert Match.objects.held().get().respond_by == tomorrow

    # No promise was broken: the request is withdrawn and does not expire.
    assert sweep(tomorrow) == [suppliers_asked(demand), proposed(far), withdrawn(near)]
    assert asked() == {(demand.pk, far.pk): 1000}


def test_goods_without_a_valid_certificate_are_not_promised(sweep: Sweep) -> None:
    offer_in(WUHAN, certificate_valid_until=timezone.now().date())
    need(urgency="routine")
    sweep()
    later = timezone.now() + dt.timedelta(days=1)
    [match] = Match.objects.held()
    Match.objects.update(respond_by=later + dt.timedelta(days=1))

    with pytest.raises(RuleViolation, match="certificate"):
        fulfilment.accept_match(match, by=None, now=later)


def test_a_request_that_became_invalid_is_withdrawn_and_does_not_expire(sweep: Sweep) -> None:
    near = offer_in(WUHAN)
    need()
    sweep()
    match = Match.objects.held().get()
    # Time runs out between two sweeps, and only then the pause is seen.
    supply.pause_offer(near, by=person_of(match.demand))

    sweep(match.respond_by)

    match.refresh_from_db()
    assert match.state == MatchState.CANCELLED


def test_the_hourly_check_finds_what_no_service_changed(sweep: Sweep) -> None:
    near = offer_in(WUHAN)
    need()
    sweep()
    Offer.objects.filter(pk=near.pk).update(state="paused")
    assert not matching.sweep()

    assert matching.check_holds().taken_back == 1
    assert not Match.objects.held().exists()
