"""Every place that shows or takes a need has every field of it."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Final

import pytest

from apps.api.demands import DemandChangeSerializer, DemandLineSerializer, DemandSerializer
from apps.demands.fields import CONTACT_FIELDS, DEMAND_FIELDS
from apps.demands.lines import Line
from apps.demands.models import Demand
from apps.exports.datasets import DEMANDS
from apps.portal.forms.needs import AmendForm, DetailsForm, LineForm

NAMES: Final = (*DEMAND_FIELDS, *CONTACT_FIELDS)
# Set by the program, or said about the post and not about the goods.
OF_THE_PROGRAM = """
    id reference organisation posted_by quantity_held quantity_matched quantity_received state state_code state_note
    opened_at confirmed_at review_requested_at escalates_at escalating_since ask_at asked_at stale_at
    match_requested_at match_claimed_until source source_key created_at updated_at updated_hour
"""


def test_every_field_of_the_model_is_declared() -> None:
    assert {field.name for field in Demand._meta.concrete_fields} == set(NAMES) | set(OF_THE_PROGRAM.split())


PLACES: Final[dict[str, tuple[Iterable[str], Callable[[], Iterable[str]]]]] = {
    "a line of a post": (NAMES, lambda: [field.name for field in fields(Line)]),
    "the form of a post": (NAMES, lambda: [*LineForm.base_fields, *DetailsForm.base_fields]),
    "the form that amends": (NAMES, lambda: AmendForm.base_fields),
    "the API for a line": (NAMES, lambda: DemandLineSerializer().fields),
    "the API for a change": (NAMES, lambda: DemandChangeSerializer().fields),
    "what the API shows": (DEMAND_FIELDS, lambda: DemandSerializer().fields),
    "the export": (DEMAND_FIELDS, lambda: [column.name for column in DEMANDS.columns]),
}


@pytest.mark.django_db
@pytest.mark.parametrize("place", PLACES)
def test_no_place_lacks_a_field(place: str) -> None:
    wanted, find = PLACES[place]
    assert set(wanted) - set(find()) == set(), f"{place} lacks a field of a need"


def test_contacts_are_shown_in_no_list() -> None:
    contacts = set(CONTACT_FIELDS)
    assert not contacts & {column.name for column in DEMANDS.columns}
    assert not contacts & set(DemandSerializer().fields)
