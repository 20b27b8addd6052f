"""Every address and every action, as everybody who must not get anywhere with it."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from apps.accounts.models import ApiToken, Organisation, User
from apps.accounts.permissions import OrganisationKind, Role
from apps.accounts.services import issue_token
from apps.api.urls import router
from apps.demands.models import Demand
from apps.exports.datasets import DATASETS
from apps.fulfilment.models import Delivery, Order, Shipment
from apps.matching.models import Match
from apps.notifications.models import WebhookEndpoint
from apps.reports.models import AbuseReport
from apps.reports.services import file_report
from apps.reports.subjects import subject_for
from apps.supply.importing import request_import
from apps.supply.models import Offer, SheetImport
from tests.api.conftest import ROOT, Caller, rows_for_a_module
from tests.factories import (
    DemandFactory,
    MatchFactory,
    OfferFactory,
    OrganisationFactory,
    SupplierFactory,
    UserFactory,
    member,
    region,
    standard_of,
)

pytestmark = pytest.mark.django_db

PUBLIC = {"item", "standard", "region", "unit"}


@dataclass(frozen=True)
class Route:
    """One method on one address."""

    basename: str
    name: str
    method: str
    action: str
    lookup: str | None

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.name} ({self.action})"

    @property
    def is_safe(self) -> bool:
        return self.method == "get"


def routes() -> Iterator[Route]:
    urls: Any = router.urls
    for url in urls:
        viewset: Any = url.callback
        keyword = viewset.cls.lookup_url_kwarg or viewset.cls.lookup_field
        lookup = keyword if f"<{keyword}>" in str(url.pattern) else None
        for method, action in viewset.actions.items():
            yield Route(viewset.initkwargs["basename"], url.name, method, action, lookup)


ROUTES = [pytest.param(route, id=str(route)) for route in routes()]
PROTECTED = [param for param in ROUTES if param.values[0].basename not in PUBLIC]  # type: ignore[union-attr]  # ours
EXPORTS = [f"/exports/{name}" for name in DATASETS]


@dataclass
class World:
    """A need, an offer, their match and order, in Hubei and Shenzhen, and what belongs to their people."""

    ids: dict[str, str]
    users: dict[str, User]

    def path(self, route: Route) -> str:
        keywords = {route.lookup: self.ids[route.basename]} if route.lookup else {}
        return reverse(f"api:{route.name}", kwargs=keywords).removeprefix(ROOT)


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    with rows_for_a_module(django_db_blocker):
        yield make_world()


def make_world() -> World:
    hospital = OrganisationFactory.create(name="Wuchang Hospital")
    maker = SupplierFactory.create(name="Shenzhen Maker")
    offices = [
        OrganisationFactory.create(name=f"Office of {code}", kind=OrganisationKind.GOVERNMENT, region=region(code))
        for code in ("420000", "IT-25")
    ]
    users = {
        "buyer": member(hospital, Role.MANAGER),
        "colleague": member(hospital, Role.VIEWER),
        "rival": member(SupplierFactory.create(name="Rival Trader")),
        "partner": member(offices[0]),
        "far_partner": member(offices[1]),
        "stranger": UserFactory.create(),
    }

    demand = DemandFactory.create(organisation=hospital)
    offer = OfferFactory.create(organisation=maker)
    match = MatchFactory.create(demand=demand, offer=offer, state="accepted", responded_at=timezone.now())
    order = Order.objects.create(match=match, quantity=match.quantity)
    shipment = Shipment.objects.create(order=order, quantity=1, shipped_at=timezone.now())
    delivery = Delivery.objects.create(order=order, quantity_accepted=1, received_at=timezone.now())
    webhook = WebhookEndpoint.objects.create(organisation=hospital, url="https://example.org/hook", secret="whsec_x")
    token, _text = issue_token(users["buyer"], name="theirs", scopes=["read"])
    subject = subject_for(users["buyer"], "order", order.pk)
    assert subject is not None
    ids = {
        "item": demand.item.key,
        "standard": standard_of(demand.item).code,
        "region": "420106",
        "unit": "piece",
        "demand": str(demand.pk),
        "offer": str(offer.pk),
        "match": str(match.pk),
        "order": str(order.pk),
        "shipment": str(shipment.pk),
        "delivery": str(delivery.pk),
        "organisation": str(hospital.pk),
        "import": str(request_import(maker, b"", by=member(maker), language="en").pk),
        "webhook": str(webhook.pk),
        "report": str(file_report(subject, by=users["buyer"], reason="price", note="x").pk),
        "token": token.token_key,
    }
    return World(ids, users)


def state() -> dict[str, str]:
    """A hash of what each table holds. One statement: it is asked twice in each of four hundred tests."""
    tables = [
        model._meta.db_table
        for model in (Demand, Offer, Match, Order, Organisation, SheetImport, WebhookEndpoint, AbuseReport)
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join(
                f"SELECT '{table}', md5(string_agg(t::text, ' ' ORDER BY id)) FROM {table} t"  # noqa: S608  # ours
                for table in tables
            )
        )
        return dict(cursor.fetchall())


@pytest.mark.parametrize("route", PROTECTED)
def test_nobody_gets_nowhere(call: Callable[..., Caller], world: World, route: Route) -> None:
    before = state()
    answer = call()(route.method.upper(), world.path(route), {})

    assert (answer.status_code, answer["WWW-Authenticate"], answer["Content-Type"]) == (
        401,
        "Bearer",
        "application/problem+json",
    )
    assert state() == before


@pytest.mark.parametrize("path", EXPORTS)
def test_nobody_exports_anything(call: Callable[..., Caller], path: str) -> None:
    assert call().get(path).status_code == 401


@pytest.mark.parametrize("route", [param for param in ROUTES if param not in PROTECTED])
def test_everybody_reads_reference_data(call: Callable[..., Caller], world: World, route: Route) -> None:
    assert call().get(world.path(route)).status_code == 200


@pytest.mark.parametrize("route", ROUTES)
def test_a_token_that_has_ended_opens_nothing(call: Callable[..., Caller], world: World, route: Route) -> None:
    ended = call(world.users["buyer"])
    ApiToken.objects.filter(name="test").update(expiry=timezone.now() - dt.timedelta(seconds=1))
    before = state()

    assert ended(route.method.upper(), world.path(route), {}).status_code == 401
    assert state() == before


@pytest.mark.parametrize("who", ["stranger", "rival", "far_partner"])
@pytest.mark.parametrize("route", PROTECTED)
def test_who_has_no_business_with_it_does_not_even_see_it(
    call: Callable[..., Caller], world: World, who: str, route: Route
) -> None:
    caller = call(world.users[who])
    before = state()
    answer = caller(route.method.upper(), world.path(route), {} if not route.is_safe else None)

    if route.lookup:
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    elif route.is_safe:
        assert answer.status_code == 200
        assert world.ids[route.basename] not in [row["id"] for row in answer.json()["results"]]
    else:
        assert answer.status_code in {400, 403, 415}
    assert state() == before


@pytest.mark.parametrize("who", ["stranger", "rival", "far_partner"])
@pytest.mark.parametrize("path", EXPORTS)
def test_exports_show_them_nothing_of_it(call: Callable[..., Caller], world: World, who: str, path: str) -> None:
    answer = call(world.users[who]).get(f"{path}?format=jsonl")

    lines = b"".join(answer).decode().splitlines()
    named = DATASETS[path.removeprefix("/exports/")].model._meta.model_name
    assert named is not None
    assert not any(f'"id":"{world.ids[named]}"' in line for line in lines)


@pytest.mark.parametrize(
    "route",
    [param for param in PROTECTED if param.values[0].lookup and not param.values[0].is_safe],  # type: ignore[union-attr]  # ours
)
def test_a_partner_of_the_region_sees_it_and_may_do_nothing_with_it(
    call: Callable[..., Caller], world: World, route: Route
) -> None:
    before = state()
    answer = call(world.users["partner"])(route.method.upper(), world.path(route), {})

    if route.basename in {"offer", "import", "webhook", "token", "report"}:
        assert answer.status_code == 404  # the offer ships from elsewhere, the others are private
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert state() == before


@pytest.mark.parametrize(
    "route",
    [param for param in PROTECTED if param.values[0].lookup and not param.values[0].is_safe],  # type: ignore[union-attr]  # ours
)
def test_a_viewer_of_the_hospital_changes_nothing(call: Callable[..., Caller], world: World, route: Route) -> None:
    before = state()
    answer = call(world.users["colleague"])(route.method.upper(), world.path(route), {})

    assert answer.status_code == (404 if route.basename in {"offer", "import", "token", "report"} else 403)
    assert state() == before


@pytest.mark.parametrize("route", PROTECTED)
def test_a_scope_opens_only_what_it_is_for(call: Callable[..., Caller], world: World, route: Route) -> None:
    wrong = call(world.users["buyer"], scopes=["exports", "contacts", "write" if route.is_safe else "read"])
    before = state()
    answer = wrong(route.method.upper(), world.path(route), {})

    assert (answer.status_code, answer.json()["code"], answer.json()["scope"]) == (
        403,
        "scope_missing",
        "read" if route.is_safe else "write",
    )
    assert state() == before


def test_exports_want_their_scope(call: Callable[..., Caller], buyer: User) -> None:
    answer = call(buyer, scopes=["read", "write", "contacts"]).get("/exports/demands")
    assert (answer.status_code, answer.json()["scope"]) == (403, "exports")
