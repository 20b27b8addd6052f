"""Fields of needs and offers are declared once; these tests name each place that lacks one."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from django.db import models

from apps.api.resources.demands import DemandLineSerializer, DemandSerializer
from apps.api.resources.offers import NewOfferSerializer, OfferSerializer
from apps.demands.fields import CONTACT_FIELDS, DEMAND_FIELDS
from apps.demands.lines import DemandLine
from apps.demands.models import Demand
from apps.exports.datasets import DEMANDS, OFFERS
from apps.portal.forms.needs import DetailsForm, LineForm
from apps.portal.forms.supply import OfferForm
from apps.supply.fields import OFFER_FIELDS
from apps.supply.models import Offer
from apps.supply.sheets import HEADERS

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "api.md"


def missing(fields: Collection[str], places: Mapping[str, Collection[str]]) -> list[str]:
    return [f"{place}: {field}" for place, known in places.items() for field in fields if field not in known]


def table_of_columns() -> set[str]:
    """The names in the first column of the guide's table of what a sheet holds."""
    table = GUIDE.read_text(encoding="utf-8").split("| column |")[1].split("\n\n")[0]
    return {name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1])}


def test_each_field_of_an_offer_is_in_every_place() -> None:
    places = {
        "requests of the API": NewOfferSerializer().fields,
        "answers of the API": OfferSerializer().fields,
        "export": [column.name for column in OFFERS.columns],
        "sheet": HEADERS,
        "form": OfferForm.base_fields,
        "docs/api.md": table_of_columns(),
    }
    assert missing(OFFER_FIELDS, places) == []


def test_each_field_of_a_need_is_in_every_place() -> None:
    shown: dict[str, Collection[str]] = {
        "answers of the API": DemandSerializer().fields,
        "export": [column.name for column in DEMANDS.columns],
    }
    taken: dict[str, Collection[str]] = {
        "requests of the API": DemandLineSerializer().fields,
        "line of a post": DemandLine.__dataclass_fields__,
        "form": {**LineForm.base_fields, **DetailsForm.base_fields},
    }
    assert missing(DEMAND_FIELDS, shown | taken) == []
    assert missing(CONTACT_FIELDS, taken) == []


def test_what_is_declared_is_a_field_that_people_may_change() -> None:
    """What only the server sets is `editable=False`, and would be open to all if it were declared."""

    def closed(model: type[models.Model], fields: Collection[str]) -> list[str]:
        return [name for name in fields if not model._meta.get_field(name).editable]

    assert closed(Offer, OFFER_FIELDS) == []
    assert closed(Demand, [*DEMAND_FIELDS, *CONTACT_FIELDS]) == []


def test_contacts_are_taken_and_never_shown() -> None:
    assert not set(CONTACT_FIELDS) & {*DemandSerializer().fields, *(column.name for column in DEMANDS.columns)}
