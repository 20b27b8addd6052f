"""Whether the API behaves as it is described, for every role, on rows in every state (schemathesis).

The requests are made up once for each operation and sent as each role. Each is taken back, so that all meet the same
rows. They come from a fixed seed, and are few, so that `make check` stays affordable.
"""

import itertools
from collections.abc import Iterator
from typing import Any, Final

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings

from apps.accounts.models import IdentifierKind, Organisation, OrganisationState, User
from apps.accounts.services import issue_token
from apps.core.models import TimeStamped
from apps.demands.models import Demand, DemandState
from apps.fulfilment.models import Delivery, Order, OrderState, Shipment
from apps.matching.models import Match, MatchState
from apps.notifications.models import WebhookEndpoint
from apps.supply.models import Offer, OfferState
from cosmomatch.wsgi import application
from tests.factories import (
    DemandFactory,
    ItemFactory,
    MatchFactory,
    OfferFactory,
    OrganisationFactory,
    standard_of,
)

EXAMPLES: Final = 2  # of each operation

# It wants every valid request to succeed. A body may be valid and name an item that does not exist, which is a 400.
NOT_ASKED: Final = {"positive_data_acceptance"}

MODELS: Final[dict[str, type[TimeStamped]]] = {
    "demands": Demand,
    "offers": Offer,
    "matches": Match,
    "orders": Order,
    "organisations": Organisation,
    "webhooks": WebhookEndpoint,
}


@pytest.fixture
def _lived_in(hospital: Organisation, maker: Organisation, buyer: User) -> None:
    """A need, an offer, a match, an order and an organisation in every state that each can be in."""
    now = timezone.now()
    standard_of(ItemFactory.create())
    for state in DemandState.values:
        DemandFactory.create(organisation=hospital, state=state, opened_at=now, confirmed_at=now)
    for state in OfferState.values:
        OfferFactory.create(organisation=maker, state=state)
    for state in MatchState.values:
        MatchFactory.create(
            demand=DemandFactory.create(organisation=hospital),
            offer=OfferFactory.create(organisation=maker, unit_price=None),
            state=state,
            responded_at=now,
            decline_reason="price" if state == MatchState.DECLINED else "",
            terms=[{"name": "price", "value": None, "score": 0.5, "weight": 0.25}],
        )
    for state in OrderState.values:
        match = MatchFactory.create(
            demand=DemandFactory.create(organisation=hospital),
            offer=OfferFactory.create(organisation=maker),
            state=MatchState.ACCEPTED,
            responded_at=now,
        )
        order = Order.objects.create(match=match, quantity=match.quantity, state=state)
        if state not in {OrderState.CONFIRMED, OrderState.CANCELLED}:
            Shipment.objects.create(order=order, quantity=1, shipped_at=now)
            Delivery.objects.create(order=order, quantity_accepted=1, received_at=now)
    for number, state in enumerate(OrganisationState.values):
        OrganisationFactory.create(
            state=state, state_reason="as it is", identifier_kind=IdentifierKind.OTHER, identifier=f"X{number}"
        )
    for is_active in (True, False):
        WebhookEndpoint.objects.create(
            organisation=hospital, url="https://example.org/hook", secret="whsec_x", is_active=is_active
        )


@pytest.fixture
def _kept_open() -> Iterator[None]:
    """Called by WSGI, every request would close the connection that holds the test's transaction."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def headers_of(*users: User) -> list[dict[str, str]]:
    """What each user's program sends, and a program without a token."""
    scopes = ["read", "write", "exports", "contacts", "tokens"]
    tokens = [issue_token(user, name="fuzz", scopes=scopes)[1] for user in users]
    plain = {"Accept-Encoding": "identity"}  # schemathesis does not unpack what WSGI answers
    return [*({"Authorization": f"Bearer {text}", **plain} for text in tokens), plain]


@pytest.mark.django_db
@pytest.mark.usefixtures("_lived_in", "_kept_open")
@pytest.mark.long
def test_it_behaves_as_described(
    buyer: User, colleague: User, supplier: User, coordinator: User, partner: User, stranger: User
) -> None:
    # Here, because each process of the tests imports this module, and most of them only to collect it.
    from schemathesis import openapi
    from schemathesis.checks import CHECKS, load_all_checks

    roles = headers_of(buyer, colleague, supplier, coordinator, partner, stranger)
    schema = openapi.from_wsgi("/api/v1/schema/?format=json", application)
    # The token is always sent: making up others, and cookies, takes a quarter of the time and tries nothing.
    schema.config.generation.update(with_security_parameters=False)
    load_all_checks()
    checks = [check for check in CHECKS.get_all() if check.__name__ not in NOT_ASKED]
    ids = {
        name: itertools.cycle(model._default_manager.order_by("pk").values_list("pk", flat=True))
        for name, model in MODELS.items()
    }
    tried = 0
    operations: Any = schema.get_all_operations()
    for operation in operations:

        @given(case=operation.ok().as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def check(case: Any) -> None:
            resource = case.operation.path.split("/")[3]
            # A tag that is made up is of no state of the row: each answer would be 412.
            case.headers.pop("If-Match", None)
            for headers in roles:
                if "id" in case.path_parameters and resource in ids:
                    case.path_parameters["id"] = str(next(ids[resource]))
                with transaction.atomic():
                    case.call_and_validate(headers=headers, checks=checks)
                    transaction.set_rollback(True)

        check()
        tried += 1
    assert tried > 50
