"""From an open need to goods received, through the services, as the worker and both sides would."""

import datetime as dt

import pytest
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.core.errors import RuleViolation
from apps.demands import services as demands
from apps.demands.lines import Line
from apps.demands.models import Demand, DemandState, QuantityKind
from apps.fulfilment import services as fulfilment
from apps.fulfilment.models import Order, OrderState, Side
from apps.matching import services as matching
from apps.matching.explanation.outlook import outlook
from apps.matching.models import Match, MatchState
from apps.notifications.models import Message, Notification
from apps.supply.models import Offer
from tests.factories import (
    DemandFactory,
    ItemFactory,
    OfferFactory,
    OrganisationFactory,
    SupplierFactory,
    region,
    standard_of,
)

pytestmark = pytest.mark.django_db


def post(hospital: Organisation, buyer: User, quantity: int | None = 1000, **facts: object) -> Demand:
    kind = QuantityKind.UNSPECIFIED if quantity is None else QuantityKind.EXACT
    item = ItemFactory.create()
    line = Line(item=item, quantity=quantity, quantity_kind=kind, **facts)  # type: ignore[arg-type]  # any
    [demand] = demands.post_demands(hospital, [line], by=buyer)
    return demands.open_demand(demand, by=buyer)


def test_a_need_is_held_accepted_shipped_received_and_ordered_again(
    hospital: Organisation, buyer: User, maker: Organisation, supplier: User
) -> None:
    offer = OfferFactory.create(organisation=maker, quantity=50_000)
    demand = post(hospital, buyer)

    done = matching.sweep()

    assert (done.demands, done.held) == (1, 1)
    match = Match.objects.get()
    assert (match.state, match.quantity, match.policy_version) == (MatchState.HELD, 1000, 1)
    assert {term["name"] for term in match.terms} == {
        "coverage",
        "distance",
        "lead_time",
        "standard",
        "freshness",
        "record",
        "price",
    }
    assert set(Message.objects.values_list("event", "address")) == {
        ("match.proposed", "supplier@example.org"),
        ("demand.suppliers_asked", "buyer@example.org"),
    }
    assert fulfilment.reveal_contact(match, to=buyer) is None

    order = fulfilment.accept_match(match, by=supplier)

    demand.refresh_from_db()
    offer.refresh_from_db()
    assert (demand.state, demand.quantity_matched, demand.quantity_held) == (DemandState.MATCHED, 1000, 0)
    assert offer.quantity_reserved == 1000
    match.refresh_from_db()
    contacts = fulfilment.reveal_contact(match, to=buyer)
    assert contacts is not None
    assert contacts["supplier"]["phone"] == maker.contact_phone
    assert match.reveals.get().user == buyer

    again = fulfilment.repeat_order(order, by=buyer, quantity=20_000)
    fulfilment.ship_order(again, by=supplier, carrier="SF", tracking_number="SF1")
    fulfilment.deliver_order(again, by=buyer, quantity_accepted=19_990, quantity_rejected=10, reason="Broken")

    again.refresh_from_db()
    assert (again.state, again.quantity_received, again.quantity_rejected) == (OrderState.DELIVERED, 19_990, 10)
    demand.refresh_from_db()
    assert (demand.quantity, demand.quantity_matched, demand.quantity_received) == (21_000, 20_990, 19_990)
    assert demand.state == DemandState.OPEN
    offer.refresh_from_db()
    assert offer.quantity_reserved == 21_000


def test_silence_and_a_no_bring_in_a_backup_and_never_the_same_again(hospital: Organisation, buyer: User) -> None:
    near = OfferFactory.create(organisation=SupplierFactory.create(region=region("420100")))
    far = OfferFactory.create(organisation=SupplierFactory.create(region=region("440300")))
    last = OfferFactory.create(organisation=SupplierFactory.create(region=region("650000")))
    post(hospital, buyer)
    now = timezone.now()

    matching.sweep(now=now)
    assert list(Match.objects.order_by("rank").values_list("offer", "state")) == [
        (near.pk, MatchState.HELD),
        (far.pk, MatchState.STANDBY),
        (last.pk, MatchState.STANDBY),
    ]

    matching.decline(Match.objects.held().get(), by=None, reason="gone", now=now)
    matching.sweep(now=now + dt.timedelta(seconds=1))
    assert Match.objects.held().get().offer == far

    matching.sweep(now=now + dt.timedelta(hours=3))
    assert dict(Match.objects.values_list("offer", "state")) == {
        near.pk: MatchState.DECLINED,
        far.pk: MatchState.EXPIRED,
        last.pk: MatchState.HELD,
    }
    far.refresh_from_db()
    assert far.quantity_reserved == 0


def test_one_offer_that_is_not_enough_is_joined_by_others(hospital: Organisation, buyer: User) -> None:
    OfferFactory.create(quantity=600)
    OfferFactory.create(quantity=600)
    demand = post(hospital, buyer)

    matching.sweep()

    assert sorted(Match.objects.held().values_list("quantity", flat=True)) == [400, 600]
    demand.refresh_from_db()
    assert (demand.quantity_held, demand.quantity_remaining) == (1000, 0)


def test_a_hold_yields_to_a_hospital_and_an_acceptance_does_not(hospital: Organisation, buyer: User) -> None:
    offer = OfferFactory.create(quantity=1000)
    enterprise = OrganisationFactory.create(kind="enterprise")
    poor = DemandFactory.create(organisation=enterprise, quantity=1000, queued=True)
    matching.sweep()
    first = Match.objects.held().get()
    assert first.demand == poor

    urgent = post(hospital, buyer)
    matching.sweep()

    first.refresh_from_db()
    assert first.state == MatchState.SUPERSEDED
    held = Match.objects.held().get()
    assert held.demand == urgent
    assert Message.objects.filter(event="match.withdrawn", address=offer.organisation.contact_email).count() == 1
    offer.refresh_from_db()
    assert offer.quantity_reserved == 1000

    fulfilment.accept_match(held, by=None)
    another = DemandFactory.create(organisation=hospital, quantity=500, queued=True)
    matching.sweep()
    another.refresh_from_db()
    assert another.quantity_held == 0
    assert Match.objects.accepted().get().demand == urgent


def test_a_need_of_unknown_quantity_is_offered_a_trial_lot(hospital: Organisation, buyer: User) -> None:
    OfferFactory.create(quantity=50_000)
    demand = post(hospital, buyer, quantity=None)

    matching.sweep()
    match = Match.objects.held().get()
    assert match.quantity == demand.item.trial_lot

    order = fulfilment.accept_match(match, by=None)
    fulfilment.deliver_order(order, by=buyer, quantity_accepted=200)
    demand.refresh_from_db()
    assert (demand.state, demand.quantity, demand.quantity_received) == (DemandState.MATCHED, None, 200)

    matching.amend_demand(demand, by=buyer, quantity=5000, quantity_kind=QuantityKind.EXACT)
    matching.sweep()
    assert Match.objects.held().get().quantity == 4800


def test_the_rest_of_a_partial_acceptance_goes_to_other_suppliers(hospital: Organisation, buyer: User) -> None:
    first = OfferFactory.create(organisation=SupplierFactory.create(region=region("420100")))
    second = OfferFactory.create(organisation=SupplierFactory.create(region=region("650000")))
    post(hospital, buyer)
    matching.sweep()

    fulfilment.accept_match(Match.objects.held().get(), by=None, quantity=300)
    matching.sweep()

    held = Match.objects.held().get()
    assert (held.offer, held.quantity) == (second, 700)
    first.refresh_from_db()
    assert first.quantity_reserved == 300


def test_what_does_not_fit_is_not_asked(hospital: Organisation, buyer: User) -> None:
    item = ItemFactory.create()
    wanted, other = standard_of(item, "YY 0469-2011"), standard_of(item, "YY/T 0969-2013")
    OfferFactory.create(standard=other)
    OfferFactory.create(standard=wanted, ships_to=["440000"])
    OfferFactory.create(standard=wanted, minimum_order=2000)
    OfferFactory.create(standard=wanted, certificate_valid_until=timezone.now().date() - dt.timedelta(days=1))
    OfferFactory.create(standard=wanted, organisation=SupplierFactory.create(unverified=True))
    OfferFactory.create(standard=wanted, state="paused")
    demand = post(hospital, buyer, standard=wanted)

    matching.sweep()
    assert Match.objects.count() == 0
    survey = outlook(demand, now=timezone.now()).survey
    reasons = ["STANDARD", "REGION", "MINIMUM", "CERTIFICATE", "UNVERIFIED", "PAUSED"]
    assert (survey.suppliers, survey.candidates) == (6, 0)
    assert {reason.name: count for reason, count in survey.blocked.items()} == dict.fromkeys(reasons, 1)

    right = OfferFactory.create(standard=wanted, ships_to=["420000"], queued=True)
    matching.sweep()
    matching.sweep()
    assert Match.objects.held().get().offer == right


def test_a_paused_need_takes_back_what_was_asked(hospital: Organisation, buyer: User, supplier: User) -> None:
    offer = OfferFactory.create(organisation=supplier.grants[0].organisation)
    demand = post(hospital, buyer)
    matching.sweep()
    match = Match.objects.get()

    demand.refresh_from_db()
    demands.pause_demand(demand, by=buyer)
    with pytest.raises(RuleViolation, match="not open"):
        fulfilment.accept_match(match, by=supplier)
    matching.sweep()

    match.refresh_from_db()
    offer.refresh_from_db()
    assert (match.state, offer.quantity_reserved) == (MatchState.CANCELLED, 0)
    assert Notification.objects.filter(user=supplier, event="match.withdrawn").count() == 1


def test_lowering_an_amount_that_suppliers_were_asked_for_asks_anew(hospital: Organisation, buyer: User) -> None:
    OfferFactory.create(quantity=9000)
    demand = post(hospital, buyer, quantity=5000)
    matching.sweep()

    demand.refresh_from_db()
    matching.amend_demand(demand, by=buyer, quantity=500)
    matching.sweep()

    assert Match.objects.held().get().quantity == 500


def test_an_order_called_off_by_the_supplier_goes_to_somebody_else(
    hospital: Organisation, buyer: User, supplier: User
) -> None:
    OfferFactory.create(organisation=supplier.grants[0].organisation)
    demand = post(hospital, buyer)
    matching.sweep()
    order = fulfilment.accept_match(Match.objects.get(), by=supplier)

    fulfilment.cancel_order(order, by=supplier, side=Side.SUPPLIER, reason="Line broke down")
    other = OfferFactory.create(queued=True)
    matching.sweep()
    matching.sweep()

    demand.refresh_from_db()
    assert (demand.state, demand.quantity_matched, demand.quantity_held) == (DemandState.OPEN, 0, 1000)
    assert Match.objects.held().get().offer == other
    assert Order.objects.get().state == OrderState.CANCELLED


def test_a_need_whose_clock_runs_out_climbs_from_desk_to_desk(
    hospital: Organisation, buyer: User, coordinator: User
) -> None:
    city = OrganisationFactory.create(kind="coordinator", region=region("420100"), name="Wuhan desk")
    demand = post(hospital, buyer)
    now = timezone.now()

    matching.sweep(now=now + dt.timedelta(hours=11))
    matching.sweep(now=now + dt.timedelta(hours=12))
    assert [row.organisation for row in demand.escalations.order_by("level")] == [city]

    matching.sweep(now=now + dt.timedelta(hours=22))
    matching.sweep(now=now + dt.timedelta(hours=99))
    assert list(demand.escalations.order_by("level").values_list("organisation__name", "level")) == [
        ("Wuhan desk", 1),
        ("National desk", 2),
    ]
    assert Notification.objects.filter(user=coordinator, event="demand.escalated").count() == 1


def test_who_lost_its_verification_is_not_waited_for(hospital: Organisation, buyer: User, supplier: User) -> None:
    from apps.accounts.services import amend_organisation

    maker = supplier.grants[0].organisation
    offer = OfferFactory.create(organisation=maker)
    post(hospital, buyer)
    matching.sweep()

    amend_organisation(maker, by=supplier, name="Another name")
    matching.sweep()

    assert Match.objects.get().state == MatchState.CANCELLED
    assert Offer.objects.get(pk=offer.pk).quantity_reserved == 0
