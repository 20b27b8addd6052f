"""What a supplier reads when a request that it has not answered is taken back."""

from collections.abc import Callable

import pytest

from apps.accounts import services as accounts
from apps.demands import services as demands
from apps.matching import services as matching
from apps.matching.models import Match
from apps.notifications import rendering
from apps.notifications.models import Message
from apps.supply import services as supply
from apps.supply.amending import amend_offer
from tests.factories import member, region
from tests.matching.rematching import WUHAN, XINJIANG, need, offer_in, person_of

pytestmark = pytest.mark.django_db


def a_hospital_needs_it(_match: Match) -> None:
    need(1000)


def the_need_is_cancelled(match: Match) -> None:
    demands.cancel_demand(match.demand, by=person_of(match.demand))


def the_need_is_paused(match: Match) -> None:
    demands.pause_demand(match.demand, by=person_of(match.demand))


def the_requester_is_not_verified(match: Match) -> None:
    accounts.amend_organisation(match.demand.organisation, by=person_of(match.demand), name="Another name")


def the_supplier_is_not_verified(match: Match) -> None:
    maker = match.offer.organisation
    accounts.amend_organisation(maker, by=maker.memberships.get().user, name="Another name")


def the_offer_is_paused(match: Match) -> None:
    supply.pause_offer(match.offer, by=person_of(match.demand))


def the_offer_ships_elsewhere(match: Match) -> None:
    amend_offer(match.offer, by=person_of(match.demand), ships_to=[region(XINJIANG).pk])


PRIORITY = "the goods go to a need of higher priority."
VERIFICATION = "one of the two sides is not verified any more."
ENDED = "nothing more is needed there for now."


@pytest.mark.parametrize(
    ("happens", "because"),
    [
        (a_hospital_needs_it, PRIORITY),
        (the_need_is_cancelled, ENDED),
        (the_need_is_paused, ENDED),
        (the_requester_is_not_verified, VERIFICATION),
        (the_supplier_is_not_verified, VERIFICATION),
        (the_offer_is_paused, "your offer is not published any more."),
        (the_offer_ships_elsewhere, "the need or your offer has changed, and they no longer fit."),
    ],
)
def test_it_says_why_a_request_is_withdrawn(happens: Callable[[Match], None], because: str) -> None:
    need(1000, by={"kind": "enterprise"})
    member(offer_in(WUHAN, 1000).organisation)
    matching.sweep()
    match = Match.objects.held().get()

    happens(match)
    matching.sweep()

    told = Message.objects.get(event="match.withdrawn")
    told.language = "en"
    sentence = next(line for line in rendering.render_mail(told).text.splitlines() if "is withdrawn" in line)
    assert because in sentence
