"""What each resource does beyond the story: states, sides, contacts, pages and what a list costs."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.accounts.services import issue_token
from apps.api.resources.demands import DemandSerializer
from apps.api.resources.matches import MatchSerializer
from apps.api.resources.offers import OfferSerializer
from apps.api.resources.orders import OrderSerializer
from apps.api.resources.organisations import OrganisationSerializer
from apps.exports.datasets import DATASETS
from apps.fulfilment.models import Order, Shipment
from apps.matching.services import sweep
from apps.notifications.models import WebhookEndpoint
from apps.reports.services import file_report
from apps.reports.subjects import subject_for
from tests.api.conftest import Caller
from tests.factories import (
    DemandFactory,
    MatchFactory,
    OfferFactory,
    OrganisationFactory,
    SupplierFactory,
    region,
)

pytestmark = pytest.mark.django_db

Call = Callable[..., Caller]

# Contract: these may be added to, never taken from.
PROMISED = {
    DemandSerializer: """
        id reference organisation item quantity quantity_kind quantity_matched quantity_received unit standard
        accepts_substitutes region address needed_by urgency days_of_supply note state state_reason confirmed_at
        opened_at created_at updated_at
    """,
    OfferSerializer: """
        id organisation item standard quantity quantity_reserved daily_capacity minimum_order lead_time_days unit_price
        currency is_donation origin_region ships_to certificate_number certificate_valid_until state confirmed_at
        created_at updated_at
    """,
    MatchSerializer: """
        id demand offer quantity rank score explanation policy_version is_substitute state respond_by responded_at
        decline_reason contact created_at updated_at
    """,
    OrderSerializer: "id match quantity state shipments quantity_received quantity_rejected created_at updated_at",
}


@pytest.mark.parametrize("kind", PROMISED)
def test_what_was_promised_is_there(kind: Any) -> None:
    assert set(PROMISED[kind].split()) - set(kind().fields) == set()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("demands", DemandSerializer),
        ("offers", OfferSerializer),
        ("matches", MatchSerializer),
        ("orders", OrderSerializer),
        ("organisations", OrganisationSerializer),
    ],
)
def test_exports_name_their_columns_as_the_api_does(name: str, kind: Any) -> None:
    assert {column.name for column in DATASETS[name].columns} - set(kind().fields) == set()


# Stats


def test_sums_show_no_single_organisation(call: Call) -> None:
    for _number in range(3):
        DemandFactory.create(quantity=100)
    for few in ("440300", "440300", "110102"):  # three in all: no less would hide enough of them
        DemandFactory.create(organisation=OrganisationFactory.create(region=region(few)), quantity=7)
    OfferFactory.create()

    body = call().get("/stats/").json()

    assert [cell for cell in body["cells"] if cell["item"] == "mask.surgical"] == [
        {
            "item": "mask.surgical",
            "region": "420000",
            "unit": "piece",
            "needs": 3,
            "quantity_needed": 300,
            "quantity_matched": 0,
            "quantity_received": 0,
            "organisations_waiting": 3,
            "offers": None,
            "quantity_offered": None,
        }
    ]
    assert [(cell["region"], cell["needs"], cell["offers"]) for cell in body["totals"]] == [("", 6, None)]
    assert body["as_of"].endswith("Z")


@pytest.fixture(autouse=True)
def _nothing_cached() -> None:
    from django.core.cache import cache

    cache.clear()


# What lists cost


def test_a_list_costs_the_same_queries_at_every_size(call: Call, coordinator: User) -> None:
    """All lists in one test: making the rows takes much longer than asking for a list."""
    mine = call(coordinator)
    need = DemandFactory.create(quantity=100_000)
    lists = ("demands", "offers", "matches", "orders", "organisations", "reports", "tokens", "webhooks")
    paths = [*(f"/{name}/" for name in lists), f"/demands/{need.pk}/matches/"]

    def fill(count: int) -> None:
        for _number in range(count):
            WebhookEndpoint.objects.create(
                organisation=coordinator.grants[0].organisation, url="https://example.org/", secret="whsec_x"
            )
            match = MatchFactory.create(
                demand=need,
                offer=OfferFactory.create(organisation=SupplierFactory.create()),
                state="accepted",
                responded_at=timezone.now(),
            )
            order = Order.objects.create(match=match, quantity=400)
            Shipment.objects.create(order=order, quantity=400, shipped_at=timezone.now())
            issue_token(coordinator, name="more", scopes=["read"])
            subject = subject_for(coordinator, "order", order.pk)
            assert subject is not None
            file_report(subject, by=coordinator, reason="price", note="x")

    def costs() -> dict[str, int]:
        counted = {}
        for path in paths:
            with CaptureQueriesContext(connection) as queries:
                assert mine.get(path).status_code == 200
            counted[path] = len(queries)
        return counted

    fill(2)
    costs()
    few = costs()
    fill(7)
    assert costs() == few
    # The token, the memberships, the rows; of orders their shipments, of reports who reads what, of a need itself.
    assert max(few.values()) <= 4


def test_an_action_wakes_the_matching(call: Call, buyer: User, maker: Organisation) -> None:
    OfferFactory.create(organisation=maker)
    call(buyer).post("/demands/", {"item": "mask.surgical", "quantity": 100, "open": True})
    assert sweep().held == 1
