"""A small market, and what is seen of it after a sweep."""

from collections.abc import Callable
from typing import Any

from apps.accounts.models import Organisation, User
from apps.demands.models import Demand
from apps.matching.models import Match
from apps.notifications.models import Message
from apps.supply.models import Offer
from tests.factories import (
    DemandFactory,
    OfferFactory,
    OrganisationFactory,
    SupplierFactory,
    member,
    region,
)

WUHAN, SHENZHEN, XINJIANG, BEIJING = "420100", "440300", "650000", "110102"

Sweep = Callable[..., list[tuple[str, str]]]


def supplier_in(place: str) -> Organisation:
    """A supplier without people: its messages go to its contact address."""
    return SupplierFactory.create(region=region(place))


def offer_in(place: str, quantity: int = 5000, **facts: Any) -> Offer:
    return OfferFactory.create(
        organisation=facts.pop("organisation", None) or supplier_in(place), quantity=quantity, **facts
    )


def need(quantity: int | None = 1000, **facts: Any) -> Demand:
    """An open need of a hospital with one person, in the queue."""
    organisation = facts.pop("organisation", None) or OrganisationFactory.create(**facts.pop("by", {}))
    if not organisation.memberships.exists():
        member(organisation)
    return DemandFactory.create(organisation=organisation, quantity=quantity, queued=True, **facts)


def person_of(demand: Demand) -> User:
    return demand.organisation.memberships.get().user


def asked() -> dict[tuple[int, int], int]:
    """What is asked and not answered, by (demand, offer)."""
    held = Match.objects.held().values_list("demand_id", "offer_id", "quantity")
    return {(demand, offer): quantity for demand, offer, quantity in held}


def state_of(demand: Demand, offer: Offer) -> list[str]:
    return list(Match.objects.filter(demand=demand, offer=offer).order_by("pk").values_list("state", flat=True))


def told() -> list[tuple[str, str]]:
    """Everything that was queued: (event, address)."""
    return sorted(Message.objects.values_list("event", "address"))


def proposed(offer: Offer) -> tuple[str, str]:
    return "match.proposed", offer.organisation.contact_email


def withdrawn(offer: Offer) -> tuple[str, str]:
    return "match.withdrawn", offer.organisation.contact_email


def nobody_left(demand: Demand) -> tuple[str, str]:
    return "demand.nobody_left", person_of(demand).email


def suppliers_asked(demand: Demand) -> tuple[str, str]:
    return "demand.suppliers_asked", person_of(demand).email
