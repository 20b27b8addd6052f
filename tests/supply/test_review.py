"""Offers that may be doubted: suppliers are asked first, a coordinator looks, and no sum counts them meanwhile."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.catalogue.models import Item
from apps.core.errors import RuleViolation
from apps.exports.stats import contributions
from apps.matching import services as matching
from apps.notifications.models import Message
from apps.supply import services
from apps.supply.models import Offer, OfferState
from apps.supply.reading import read_rows
from tests.factories import ItemFactory, OfferFactory, OrganisationFactory, SupplierFactory, member, region

pytestmark = pytest.mark.django_db


@pytest.fixture
def mask() -> Item:
    """A device of class II; five other suppliers offer some 1,000 at 2 to 3 each."""
    item = ItemFactory.create(device_class=2, device_categories=["14", "64"])
    for number in range(5):
        OfferFactory.create(item=item, quantity=800 + 100 * number, unit_price=Decimal(2) + Decimal(number) / 4)
    return item


def draft(maker: Organisation, by: User, item: Item, **facts: Any) -> Offer:
    return services.create_offer(maker, item=item, by=by, **{"quantity": 1_000, **facts})


def publicly_offered(item: Item) -> int:
    """What the public sums count of an item."""
    by_item = contributions()[0]["quantity_offered"]
    return sum(sum(quantities.values()) for quantities in by_item[item.key].values())


def asked(offer: Offer, by: User) -> tuple[str, list[str]]:
    """The code of the question, and the fields that it names."""
    with pytest.raises(RuleViolation) as caught:
        services.publish_offer(offer, by=by)
    return caught.value.code, sorted(caught.value.errors)


def test_nine_hundred_billion_masks_are_asked_about_held_and_in_no_sum(
    maker: Organisation, supplier: User, coordinator: User, mask: Item
) -> None:
    offer = draft(maker, supplier, mask, quantity=900_000_000_000)
    before = publicly_offered(mask)

    with pytest.raises(RuleViolation, match=r"Is 900,000,000,000 right\? Usual is about 1,000\."):
        services.publish_offer(offer, by=supplier)
    offer.refresh_from_db()
    assert (offer.state, offer.awaits_review) == (OfferState.DRAFT, False)

    held = services.publish_offer(offer, by=supplier, confirmed=True)

    assert (held.state, held.state_code, held.awaits_review) == ("draft", "quantity_unusual", True)
    assert list(Offer.objects.awaiting_review()) == [offer]
    assert publicly_offered(mask) == before == 5_000
    told = Message.objects.get(event="offer.held_for_review", user=coordinator)
    assert told.context["quantity"] == 900_000_000_000

    approved = services.approve_offer(held, by=coordinator, seen=held.updated_at)
    assert (approved.state, approved.review_requested_at) == (OfferState.PUBLISHED, None)


def test_ten_times_what_is_usual_goes_out_once_confirmed(maker: Organisation, supplier: User, mask: Item) -> None:
    offer = draft(maker, supplier, mask, quantity=10_000)
    assert asked(offer, supplier) == ("quantity_unusual", ["quantity"])
    assert services.publish_offer(offer, by=supplier, confirmed=True).state == OfferState.PUBLISHED


@pytest.mark.parametrize(
    ("price", "asks", "is_held"), [("3", False, False), ("13", True, False), ("200", True, True), ("0.01", True, True)]
)
def test_a_price_is_compared_with_the_median(
    maker: Organisation, supplier: User, mask: Item, price: str, asks: bool, is_held: bool
) -> None:
    offer = draft(maker, supplier, mask, unit_price=Decimal(price))
    if asks:
        assert asked(offer, supplier) == ("price_unusual", ["unit_price"])
    published = services.publish_offer(offer, by=supplier, confirmed=asks)
    assert (published.state, published.awaits_review) == ("draft" if is_held else "published", is_held)


def test_a_price_in_another_currency_is_not_compared(maker: Organisation, supplier: User, mask: Item) -> None:
    offer = draft(maker, supplier, mask, unit_price=Decimal(50), currency="JPY")
    assert services.publish_offer(offer, by=supplier).state == OfferState.PUBLISHED


@pytest.mark.parametrize(
    ("number", "field"),
    [
        ("国械注准20203070001", "certificate_number"),  # for thermometers
        ("苏械备20200001号", "certificate_number"),  # of class I
        ("粤械注准20994140001", "certificate_number"),  # no such class
    ],
)
def test_a_certificate_that_does_not_cover_the_goods_is_looked_at(
    maker: Organisation, supplier: User, mask: Item, number: str, field: str
) -> None:
    offer = draft(maker, supplier, mask, certificate_number=number)
    assert asked(offer, supplier) == ("certificate_doubtful", [field])
    assert services.publish_offer(offer, by=supplier, confirmed=True).awaits_review


def test_several_doubts_are_one_question(maker: Organisation, supplier: User, mask: Item) -> None:
    offer = draft(maker, supplier, mask, quantity=10**11, unit_price=Decimal(500), certificate_number="械")
    assert asked(offer, supplier) == ("quantity_unusual", ["certificate_number", "quantity", "unit_price"])


def test_without_history_the_catalogue_says_what_is_usual(maker: Organisation, supplier: User) -> None:
    ventilator = ItemFactory.create(key="vent.invasive", trial_lot=1)
    few = draft(maker, supplier, ventilator, quantity=9_999)
    assert services.publish_offer(few, by=supplier).state == OfferState.PUBLISHED
    Offer.objects.all().delete()

    many = draft(maker, supplier, ventilator, quantity=10_000)
    assert asked(many, supplier) == ("quantity_unusual", ["quantity"])
    absurd = draft(maker, supplier, ventilator, quantity=100_001)
    assert services.publish_offer(absurd, by=supplier, confirmed=True).awaits_review


def test_small_steps_do_not_lead_past_what_the_catalogue_allows(maker: Organisation, supplier: User) -> None:
    mask = ItemFactory.create(trial_lot=100)
    quantity, published = 9_000, 0
    while services.publish_offer(draft(maker, supplier, mask, quantity=quantity), by=supplier, confirmed=True).is_live:
        published, quantity = quantity, quantity * 9
    assert published <= 100 * 100_000 < quantity


def test_an_amendment_brings_in_nothing_that_a_new_offer_is_stopped_for(
    maker: Organisation, supplier: User, mask: Item
) -> None:
    offer = services.publish_offer(draft(maker, supplier, mask, unit_price=Decimal(2)), by=supplier)

    with pytest.raises(RuleViolation) as question:
        matching.amend_offer(offer, by=supplier, quantity=20_000)
    assert question.value.code == "quantity_unusual"
    with pytest.raises(RuleViolation) as refused:
        matching.amend_offer(offer, by=supplier, confirmed=True, quantity=10**11)
    assert refused.value.code == "look_needed"
    offer.refresh_from_db()
    assert offer.quantity == 1_000

    matching.amend_offer(offer, by=supplier, confirmed=True, quantity=20_000)
    # What was confirmed is not asked about again when something else changes.
    assert matching.amend_offer(offer, by=supplier, note="In boxes of 50").note == "In boxes of 50"


def test_who_posted_an_offer_or_belongs_to_it_does_not_approve_it(
    maker: Organisation, coordinator: User, mask: Item
) -> None:
    posted = services.publish_offer(draft(maker, coordinator, mask, quantity=10**11), by=coordinator, confirmed=True)
    assert posted.awaits_review
    member(SupplierFactory.create(name="Another"), email="x@example.org")
    desk = OrganisationFactory.create(kind="coordinator", region=region("CN"))
    insider = member(desk, email="insider@example.org")
    maker.memberships.create(user=insider, role="member")
    for somebody in (coordinator, insider):
        with pytest.raises(RuleViolation) as caught:
            services.approve_offer(posted, by=somebody)
        assert caught.value.code == "needs_other_eyes"

    other = member(desk, email="other@example.org")
    assert services.approve_offer(posted, by=other).state == OfferState.PUBLISHED


def test_a_returned_offer_says_why_and_is_judged_again(
    maker: Organisation, supplier: User, coordinator: User, mask: Item
) -> None:
    held = services.publish_offer(draft(maker, supplier, mask, quantity=10**11), by=supplier, confirmed=True)
    services.return_offer(held, by=coordinator, reason="How many, really?")
    assert (held.state_code, held.state_reason, held.is_returned) == ("returned", "How many, really?", True)
    with pytest.raises(RuleViolation):
        services.return_offer(held, by=coordinator, reason="Again")

    matching.amend_offer(held, by=supplier, quantity=1_200)
    held.refresh_from_db()
    assert held.state_code == "returned_and_amended"
    assert services.publish_offer(held, by=supplier).state == OfferState.PUBLISHED


def test_a_coordinator_decides_on_what_was_seen(
    maker: Organisation, supplier: User, coordinator: User, mask: Item
) -> None:
    held = services.publish_offer(draft(maker, supplier, mask, quantity=10**11), by=supplier, confirmed=True)
    seen = held.updated_at
    matching.amend_offer(held, by=supplier, quantity=10**12)
    with pytest.raises(RuleViolation) as caught:
        services.approve_offer(held, by=coordinator, seen=seen)
    assert caught.value.code == "state_changed"


def test_a_paused_offer_comes_back_without_a_question(maker: Organisation, supplier: User, mask: Item) -> None:
    offer = services.publish_offer(draft(maker, supplier, mask, quantity=20_000), by=supplier, confirmed=True)
    services.pause_offer(offer, by=supplier)
    assert services.publish_offer(offer, by=supplier).state == OfferState.PUBLISHED


def test_of_a_sheet_the_doubtful_rows_wait_and_the_others_go_out(
    maker: Organisation, supplier: User, mask: Item, django_assert_max_num_queries: Any
) -> None:
    sheet = b"item,quantity\n" + b"\n".join(b"mask.surgical,%d" % one for one in (1_000, 900_000_000_000, 1_100))

    seen = read_rows(maker, sheet, by=supplier, publish=True)
    assert [[doubt.is_grave for doubt in row.doubts] for row in seen.rows] == [[], [True], []]

    offers = services.create_offers(maker, [row.facts for row in seen.rows], by=supplier, publish=True)
    assert [offer.state for offer in offers] == ["published", "draft", "published"]
    assert [offer.awaits_review for offer in offers] == [False, True, False]


def test_the_certificate_of_a_year_to_come_is_no_certificate(maker: Organisation, supplier: User, mask: Item) -> None:
    year = timezone.now().year + 1
    offer = draft(maker, supplier, mask, certificate_number=f"粤械注准{year}2140001")
    assert asked(offer, supplier) == ("certificate_doubtful", ["certificate_number"])


def test_a_certificate_for_thirty_years_is_asked_about(maker: Organisation, supplier: User, mask: Item) -> None:
    far = timezone.now().date() + dt.timedelta(days=365 * 30)
    offer = draft(maker, supplier, mask, certificate_number="粤械注准20202140001", certificate_valid_until=far)
    assert asked(offer, supplier) == ("certificate_doubtful", ["certificate_valid_until"])
    assert services.publish_offer(offer, by=supplier, confirmed=True).state == OfferState.PUBLISHED
