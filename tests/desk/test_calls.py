"""Stepping in by phone: who could help, yes, no, no answer, and asking one offer now. The rules hold."""

import datetime as dt

import pytest
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.core.errors import RuleViolation
from apps.demands.models import Demand
from apps.desk import services
from apps.desk.models import DeskNote, NoteKind
from apps.matching.desks.asking import WORDS, ask_offer, who_could_help
from apps.matching.models import Match, MatchState
from apps.matching.scoring.eligibility import Reason, counted
from apps.notifications.models import Notification
from apps.ops.data.invariants import untold
from apps.supply.models import Offer
from tests.factories import DemandFactory, ItemFactory, MatchFactory, OfferFactory, standard_of

pytestmark = pytest.mark.django_db


def events(user: User) -> list[str]:
    return list(Notification.objects.filter(user=user).order_by("pk").values_list("event", flat=True))


def test_each_reason_against_an_offer_has_words() -> None:
    assert {check.reason for check in counted()} <= WORDS.keys()


def test_a_yes_by_phone_is_an_accepted_match_and_an_order(
    coordinator: User, hospital: Organisation, buyer: User, maker: Organisation, supplier: User
) -> None:
    demand = DemandFactory.create(organisation=hospital, quantity=800)
    # Its own minimum order and places do not bind a supplier who says yes.
    offer = OfferFactory.create(organisation=maker, quantity=5_000, minimum_order=2_000, ships_to=["440000"])

    order = services.note_yes(demand, offer, by=coordinator, quantity=500, text="Sends today")

    demand, offer = Demand.objects.get(), Offer.objects.get()
    assert (demand.quantity_matched, demand.quantity_held, offer.quantity_reserved) == (500, 0, 500)
    match = Match.objects.get()
    assert (match.state, match.responded_by) == ("accepted", coordinator)
    assert (order.quantity, order.placed_by) == (500, coordinator)
    note = services.taken_by_phone(match)
    assert note is not None
    assert (note.by, note.quantity, note.text) == (coordinator, 500, "Sends today")
    assert "match.proposed" not in events(supplier)
    assert "order.confirmed" in events(supplier)
    assert "match.accepted" in events(buyer)
    assert untold() == []


def test_a_yes_takes_the_request_that_waits(coordinator: User) -> None:
    match = MatchFactory.create(quantity=400)
    services.note_yes(match.demand, match.offer, by=coordinator, quantity=300)
    match.refresh_from_db()
    assert (match.state, match.quantity) == (MatchState.ACCEPTED, 300)
    assert Match.objects.count() == 1


@pytest.mark.parametrize(("quantity", "free"), [(801, 5_000), (500, 499), (0, 5_000)])
def test_no_call_oversells_or_overserves(coordinator: User, quantity: int, free: int) -> None:
    demand, offer = DemandFactory.create(quantity=800), OfferFactory.create(quantity=free)
    with pytest.raises(RuleViolation) as refused:
        services.note_yes(demand, offer, by=coordinator, quantity=quantity)
    assert refused.value.code == "quantity_out_of_range"
    assert not Match.objects.exists()
    assert not DeskNote.objects.exists()


def test_what_the_requester_wants_holds_on_any_word(coordinator: User) -> None:
    item = ItemFactory.create()
    demand = DemandFactory.create(item=item, standard=standard_of(item))
    for offer in (
        OfferFactory.create(item=item),
        OfferFactory.create(item=ItemFactory.create(key="gown")),
        OfferFactory.create(item=item, standard=standard_of(item), organisation=demand.organisation),
    ):
        with pytest.raises(RuleViolation) as refused:
            services.note_yes(demand, offer, by=coordinator, quantity=10)
        assert refused.value.code == "offer_does_not_fit"
    unverified = OfferFactory.create(item=item, organisation__unverified=True)
    stale = OfferFactory.create(item=item, state="stale")
    for offer in (unverified, stale):
        with pytest.raises(RuleViolation) as refused:
            ask_offer(demand, offer, on_their_word=True)
        assert refused.value.code == "offer_not_published"


def test_who_belongs_to_a_side_decides_nothing_for_it(coordinator: User, maker: Organisation) -> None:
    coordinator.memberships.create(organisation=maker, role="member")
    by = User.objects.get(pk=coordinator.pk)
    demand, offer = DemandFactory.create(), OfferFactory.create(organisation=maker)
    for verb in (services.ask_now, lambda *pair, by: services.note_yes(*pair, by=by, quantity=1)):
        with pytest.raises(RuleViolation) as refused:
            verb(demand, offer, by=by)
        assert refused.value.code == "own_side"


def test_a_no_declines_what_waits_and_is_noted_otherwise(coordinator: User) -> None:
    match = MatchFactory.create()
    services.note_no(match.demand, match.offer, by=coordinator, reason="price", text="Too cheap")
    match.refresh_from_db()
    assert (match.state, match.decline_reason, match.responded_by) == ("declined", "price", coordinator)

    other = OfferFactory.create()
    services.note_no(match.demand, other, by=coordinator, reason="gone")
    services.note_no_answer(match.demand, other, by=coordinator, text="Rang twice")
    assert list(DeskNote.objects.order_by("pk").values_list("kind", "text")) == [
        (NoteKind.NO, "The price does not fit. Too cheap"),
        (NoteKind.NO, "The goods are gone"),
        (NoteKind.NO_ANSWER, "Rang twice"),
    ]


def test_an_offer_is_asked_now_although_it_was_silent_before(
    coordinator: User, maker: Organisation, supplier: User
) -> None:
    demand, offer = DemandFactory.create(quantity=800), OfferFactory.create(organisation=maker, quantity=600)
    MatchFactory.create(demand=demand, offer=offer, state=MatchState.EXPIRED)

    match = services.ask_now(demand, offer, by=coordinator)

    assert (match.state, match.quantity) == (MatchState.HELD, 600)
    assert events(supplier) == ["match.proposed"]
    assert services.ask_now(demand, offer, by=coordinator).pk == match.pk
    small = OfferFactory.create(quantity=9_000, minimum_order=5_000)
    with pytest.raises(RuleViolation, match="minimum order"):
        services.ask_now(demand, small, by=coordinator)


def test_who_could_help_comes_with_what_speaks_against_it() -> None:
    item = ItemFactory.create()
    demand = DemandFactory.create(item=item, quantity=800)
    fits = OfferFactory.create(item=item, quantity=900)
    large = OfferFactory.create(item=item, quantity=9_000, minimum_order=5_000)
    stale = OfferFactory.create(item=item, state="stale")
    found = who_could_help(demand, now=timezone.now() + dt.timedelta(minutes=1))
    assert found[0].offer == fits
    assert {helper.offer: helper.against for helper in found} == {
        fits: (), large: (Reason.MINIMUM,), stale: (Reason.STALE,)
    }  # fmt: skip
