"""Needs of unknown quantity and minimum orders: what is plausible is asked for, and a supplier may say less."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Organisation, User
from apps.demands.models import Demand, QuantityKind
from apps.fulfilment import services as fulfilment
from apps.matching import services as matching
from apps.matching.explanation.outlook import outlook
from apps.matching.models import Match
from apps.notifications.models import Message
from apps.policy.services import make_policy
from tests.factories import OfferFactory, OrganisationFactory, StandardFactory
from tests.matching.rematching import WUHAN, Sweep, asked, need, offer_in

pytestmark = pytest.mark.django_db


def unknown(**facts: object) -> Demand:
    return need(None, quantity_kind=QuantityKind.UNSPECIFIED, **facts)


def test_a_need_of_unknown_quantity_takes_the_least_minimum(sweep: Sweep) -> None:
    demand = unknown()
    offer_in(WUHAN, 9000, minimum_order=900)
    offer_in(WUHAN, 9000, minimum_order=600)

    sweep()

    demand.refresh_from_db()
    assert (demand.quantity, demand.trial_quantity, demand.target) == (None, 600, 600)
    assert list(asked().values()) == [600]
    assert Match.objects.held().get().less_would_do == demand.item.trial_lot == 200


def test_a_trial_lot_stays_where_an_offer_takes_it(sweep: Sweep) -> None:
    demand = unknown()
    offer_in(WUHAN, 9000, minimum_order=600)
    taker = offer_in(WUHAN, 9000, minimum_order=100)

    sweep()

    demand.refresh_from_db()
    assert (demand.trial_quantity, asked()) == (None, {(demand.pk, taker.pk): 200})


@pytest.mark.parametrize(("kind", "minimum", "is_asked"), [
    ("hospital", 2000, True), ("hospital", 2001, False), ("community", 600, True), ("community", 601, False),
])  # fmt: skip
def test_no_body_takes_more_than_its_policy_says(kind: str, minimum: int, is_asked: bool, sweep: Sweep) -> None:
    demand = unknown(organisation=OrganisationFactory.create(kind=kind))
    offer_in(WUHAN, 90_000, minimum_order=minimum)

    sweep()

    assert bool(asked()) == is_asked
    assert outlook(demand, now=demand.created_at).survey.candidates == 0


def test_a_known_quantity_is_never_raised(sweep: Sweep) -> None:
    demand = need(500)
    offer_in(WUHAN, 90_000, minimum_order=600)

    sweep()

    demand.refresh_from_db()
    assert (asked(), demand.trial_quantity, demand.target) == ({}, None, 500)


def test_nothing_is_raised_for_an_offer_that_other_terms_refuse(sweep: Sweep) -> None:
    demand = unknown()
    offer_in(WUHAN, 90_000, minimum_order=600, ships_to=["440000"])
    offer_in(WUHAN, 500, minimum_order=600)

    sweep()

    demand.refresh_from_db()
    assert (asked(), demand.trial_quantity) == ({}, None)


def searches(sweep: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        sweep()
    return sum("matching_best" in query["sql"] for query in captured)


@pytest.mark.parametrize("facts", [{"minimum_order": 2001}, {"minimum_order": 600, "standard": None}])
def test_needs_without_hope_are_searched_for_once(facts: dict[str, object]) -> None:
    standard = StandardFactory.create()
    for _ in range(5):
        unknown(standard=standard)
    offer_in(WUHAN, 90_000, **facts)

    assert searches(matching.sweep) == 5


def test_stock_for_one_minimum_is_given_once(sweep: Sweep) -> None:
    needs = [unknown() for _ in range(3)]
    offer = offer_in(WUHAN, 1300, minimum_order=600)

    sweep()
    matching.reallocate()

    offer.refresh_from_db()
    assert (len(asked()), offer.quantity_reserved, len(needs)) == (2, 1200, 3)


def test_the_supplier_reads_that_less_would_do_and_may_give_it(maker: Organisation, supplier: User) -> None:
    demand = unknown()
    OfferFactory.create(organisation=maker, quantity=9000, minimum_order=600)
    matching.sweep()

    told = Message.objects.get(event="match.proposed")
    assert told.context["less"] == 200
    fulfilment.accept_match(Match.objects.held().get(), by=supplier, quantity=200)

    demand.refresh_from_db()
    assert (demand.quantity_matched, demand.quantity_remaining) == (200, 400)


def test_a_policy_of_one_trial_lot_raises_nothing(coordinator: User, sweep: Sweep) -> None:
    make_policy({"trial_lots": {"hospital": 1}}, note="As before", by=coordinator)
    unknown()
    offer_in(WUHAN, 9000, minimum_order=600)

    sweep()

    assert asked() == {}
