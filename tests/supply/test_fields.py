"""Every place that shows or takes an offer has every field of it."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import pytest
from django.test import Client

from apps.accounts.models import Organisation, User
from apps.api.offers import NewOfferSerializer, OfferChangeSerializer, OfferSerializer
from apps.exports.datasets import OFFERS
from apps.supply import sheets
from apps.supply.fields import OFFER_FIELDS
from apps.supply.models import Offer
from tests.factories import OfferFactory

GUIDE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
# Set by the program, or said about the post and not about the goods.
OF_THE_PROGRAM = """
    id organisation posted_by quantity_reserved state state_code state_note published_at confirmed_at asked_at
    match_requested_at match_claimed_until source source_key created_at updated_at updated_hour
"""


def test_every_field_of_the_model_is_declared() -> None:
    assert {field.name for field in Offer._meta.concrete_fields} == set(OFFER_FIELDS) | set(OF_THE_PROGRAM.split())


PLACES: Final[dict[str, tuple[Iterable[str], Callable[[], Iterable[str]]]]] = {
    "the sheet": (OFFER_FIELDS, lambda: sheets.PARSERS),
    "the API for a new offer": (OFFER_FIELDS, lambda: NewOfferSerializer().fields),
    "the API for a change": (OFFER_FIELDS, lambda: OfferChangeSerializer().fields),
    "what the API shows": (OFFER_FIELDS, lambda: OfferSerializer().fields),
    "the export": (OFFER_FIELDS, lambda: [column.name for column in OFFERS.columns]),
    "the guide to the API": (OFFER_FIELDS, lambda: [name for name in OFFER_FIELDS if f"`{name}`" in GUIDE]),
}


@pytest.mark.django_db
@pytest.mark.parametrize("place", PLACES)
def test_no_place_lacks_a_field(place: str) -> None:
    wanted, find = PLACES[place]
    assert set(wanted) - set(find()) == set(), f"{place} lacks a field of an offer"


@pytest.mark.django_db
def test_the_form_takes_every_field(client: Client, maker: Organisation, supplier: User) -> None:
    offer = OfferFactory.create(organisation=maker)
    client.force_login(supplier)

    page = client.get(f"/supply/{offer.pk}/amend/").text

    # The item of a published offer is fixed, and a standard is offered only where the item has some.
    assert {name for name in OFFER_FIELDS if f'name="{name}' not in page} - {"item", "standard"} == set()
