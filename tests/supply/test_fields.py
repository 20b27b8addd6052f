"""Every field of an offer is declared, and the form takes it. `tests/api/test_fields.py` looks at the other places."""

from pathlib import Path

import pytest
from django.test import Client

from apps.accounts.models import Organisation, User
from apps.supply.fields import OFFER_FIELDS
from apps.supply.models import Offer
from tests.factories import OfferFactory

GUIDE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
# Set by the program, or said about the post and not about the goods.
OF_THE_PROGRAM = """
    id organisation posted_by quantity_reserved state state_code state_note published_at confirmed_at asked_at
    escalates_at review_requested_at match_requested_at match_claimed_until source source_key
    created_at updated_at updated_hour
"""


def test_every_field_of_the_model_is_declared() -> None:
    assert {field.name for field in Offer._meta.concrete_fields} == set(OFFER_FIELDS) | set(OF_THE_PROGRAM.split())


@pytest.mark.django_db
def test_the_form_takes_every_field(client: Client, maker: Organisation, supplier: User) -> None:
    offer = OfferFactory.create(organisation=maker)
    client.force_login(supplier)

    page = client.get(f"/supply/{offer.pk}/amend/").text

    # The item of a published offer is fixed, and a standard is offered only where the item has some.
    assert {name for name in OFFER_FIELDS if f'name="{name}' not in page} - {"item", "standard"} == set()
