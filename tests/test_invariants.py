"""The questions that are asked in SQL after every race can be answered with no: each is given a row that breaks it."""

import datetime as dt

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.models import Organisation
from apps.demands.models import Demand
from apps.fulfilment import services as fulfilment
from apps.matching import services as matching
from apps.matching.models import Match
from apps.ops.data.invariants import INVARIANTS, broken_invariants, untold, upside_down
from tests.factories import (
    DemandFactory,
    MatchFactory,
    OfferFactory,
    OrganisationFactory,
    SupplierFactory,
    member,
    region,
)

pytestmark = pytest.mark.django_db

# For each promise, what must be done to the rows of `market` for it not to hold. The database forbids most of it: what
# forbids it is dropped first.
BREAKS = {
    "the level of a need is how many coordinators were told since its clock began": """
        UPDATE demands_demand SET escalation_level = 3""",
    "no offer is oversold": """
        ALTER TABLE supply_offer DROP CONSTRAINT offer_not_oversold;
        UPDATE supply_offer SET quantity = 1, quantity_reserved = 2""",
    "what an offer has promised is what is held and ordered of it": """
        UPDATE supply_offer SET quantity_reserved = quantity_reserved - 1""",
    "no demand is overserved": """
        ALTER TABLE demands_demand DROP CONSTRAINT demand_not_overserved;
        UPDATE demands_demand SET quantity = 1""",
    "what a demand has asked for is what is held for it": """
        UPDATE demands_demand SET quantity_held = quantity_held - 1 WHERE quantity_held > 0""",
    "what a demand was promised is what is ordered for it, less what was lost": """
        UPDATE demands_demand SET quantity_matched = quantity_matched - 1 WHERE quantity_matched > 0""",
    "what a demand has received is what was accepted at its door": """
        UPDATE demands_demand SET quantity_received = 1 WHERE quantity_matched > 0""",
    "an accepted match has its order, and only an accepted one": """
        UPDATE matching_match SET state = 'accepted', responded_at = now() WHERE state = 'held'""",
    "a demand is matched only when all of it is promised": """
        UPDATE demands_demand SET state = 'matched'""",
    "a demand is fulfilled only when all of it is received": """
        UPDATE demands_demand SET state = 'fulfilled'""",
    "a supplier is asked once at a time for a need": """
        DROP INDEX match_pending_once;
        INSERT INTO matching_match (demand_id, offer_id, quantity, quantity_asked, rank, score, terms, policy_version,
            is_substitute, tier, state, respond_by, decline_reason, decline_note)
        SELECT demand_id, offer_id, quantity, quantity_asked, rank, score, terms, policy_version,
            is_substitute, tier, state, respond_by, decline_reason, decline_note
        FROM matching_match WHERE state = 'held'""",
    "nobody is told the same event of a match twice": """
        INSERT INTO notifications_message (uid, event, key, context, channel, address, language, state, attempts, error)
        SELECT gen_random_uuid(), event, key || ':again', context, channel, address, language, state, 0, ''
        FROM notifications_message WHERE event = 'match.proposed'""",
    "nobody is told the same event of an order twice": """
        INSERT INTO notifications_message (uid, event, key, context, channel, address, language, state, attempts, error)
        SELECT gen_random_uuid(), event, key || ':again', context, channel, address, language, state, 0, ''
        FROM notifications_message WHERE event = 'order.confirmed'""",
    "nobody reads the same thing twice in the portal": """
        ALTER TABLE notifications_notification DROP CONSTRAINT notification_once;
        INSERT INTO notifications_notification (user_id, event, key, context)
        SELECT user_id, event, key, context FROM notifications_notification""",
}


@pytest.fixture
def market(hospital: Organisation) -> None:
    """One match that is held, one that was accepted, and everybody told."""
    maker = SupplierFactory.create()
    member(maker)
    member(hospital)
    offer = OfferFactory.create(organisation=maker, quantity=1000)
    DemandFactory.create(organisation=hospital, quantity=300, queued=True)
    DemandFactory.create(organisation=hospital, quantity=400, queued=True)
    matching.sweep()
    fulfilment.accept_match(Match.objects.filter(offer=offer).order_by("pk")[0], by=None, quantity=200)


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(sql)


def test_a_market_in_order_breaks_no_promise(market: None) -> None:
    assert (broken_invariants(), untold(), upside_down()) == ({}, [], [])


def test_every_promise_has_something_that_breaks_it() -> None:
    assert set(BREAKS) == set(INVARIANTS)


@pytest.mark.parametrize("promise", BREAKS)
def test_a_broken_promise_is_found(market: None, promise: str) -> None:
    run(BREAKS[promise])

    assert promise in broken_invariants()


@pytest.mark.parametrize("event", ["match.proposed", "match.accepted", "order.confirmed"])
def test_an_event_that_nobody_was_told_is_found(market: None, event: str) -> None:
    run(f"DELETE FROM notifications_message WHERE event = '{event}'")  # noqa: S608  our own words

    assert {key.split(":")[0] for key in untold()} == {event}


def test_an_expiry_and_a_withdrawal_that_nobody_was_told_are_found(market: None) -> None:
    matching.expire_holds(now=timezone.now() + dt.timedelta(hours=3))
    assert untold() == []
    run("DELETE FROM notifications_message WHERE event = 'match.expired'")
    assert [key.split(":")[0] for key in untold()] == ["match.expired"]

    run("UPDATE matching_match SET state = 'cancelled' WHERE state = 'expired'")
    assert [key.split(":")[0] for key in untold()] == ["match.withdrawn"]


@pytest.fixture
def enterprise_before_hospital(hospital: Organisation) -> Match:
    """An enterprise waits for the answer of a supplier of whom a hospital next door needs the same."""
    enterprise = OrganisationFactory.create(kind="enterprise")
    match = MatchFactory.create(
        demand=DemandFactory.create(organisation=enterprise, quantity=1000),
        offer=OfferFactory.create(quantity=1000, minimum_order=100),
        quantity=1000,
        tier=4,
    )
    DemandFactory.create(organisation=hospital, quantity=500)
    return match


def test_a_lower_tier_with_what_a_higher_one_lacks_is_found_and_mended(
    enterprise_before_hospital: Match,
) -> None:
    assert upside_down() == [enterprise_before_hospital.pk]

    Demand.objects.filter(organisation__kind="hospital").update(match_requested_at=timezone.now())
    matching.sweep()
    matching.sweep()

    assert upside_down() == []
    assert Match.objects.held().filter(demand__organisation__kind="hospital").exists()


@pytest.mark.parametrize(
    "excuse",
    [
        "UPDATE demands_demand SET state = 'paused' WHERE quantity = 500",
        "UPDATE demands_demand SET quantity = 99 WHERE quantity = 500",
        "UPDATE demands_demand SET region_id = '110102' WHERE quantity = 500",
        "UPDATE supply_offer SET ships_to = '{440000}'",
        "UPDATE matching_match SET tier = 1",
        """
        INSERT INTO matching_match (demand_id, offer_id, quantity, quantity_asked, rank, score, terms, policy_version,
            is_substitute, tier, state, responded_at, decline_reason, decline_note, updated_at)
        SELECT d.id, m.offer_id, 500, 500, 1, 1, '[]', 1, false, 1, 'declined', now(), 'gone', '', 'infinity'
        FROM matching_match m, demands_demand d WHERE d.quantity = 500""",
    ],
    ids=["paused", "below the minimum order", "elsewhere", "does not ship", "aged", "declined"],
)
def test_a_lower_tier_may_hold_what_the_higher_one_cannot_have(enterprise_before_hospital: Match, excuse: str) -> None:
    region("110102")
    run(excuse)

    assert upside_down() == []
