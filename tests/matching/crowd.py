"""The members of a crowd: people who post, answer, change their minds and fulfil at random, and the workers that
serve them, until their time is over or they are killed.
"""

import random
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from django.db import connections, models
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.models import Organisation, User
from apps.catalogue.models import Item
from apps.core.errors import RuleViolation
from apps.demands import services as demands
from apps.demands.lines import DemandLine
from apps.demands.models import Demand, Urgency
from apps.fulfilment import services as fulfilment
from apps.fulfilment.models import Order, Side
from apps.matching import notices
from apps.matching import services as matching
from apps.matching.models import DeclineReason, Match
from apps.notifications import sending
from apps.supply import services as supply
from apps.supply.amending import amend_offer
from apps.supply.models import Offer, OfferState
from tests.factories import CALL_BACK

Row = TypeVar("Row", bound=models.Model)


class Member:
    """Acts on rows it picks at random. What the rules refuse is part of the game; anything else ends its process."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.items = list(Item.objects.order_by("pk"))
        kinds = ["hospital", "community", "enterprise"]
        self.requesters = list(Organisation.objects.filter(kind__in=kinds).order_by("pk"))
        # Somebody else verifies than who has changed the facts.
        self.person, self.verifier = User.objects.order_by("pk")[:2]
        self.verbs: dict[Callable[[], object], int] = {
            self.post: 5,
            self.accept: 6,
            self.decline: 2,
            self.let_pass: 1,
            self.change_demand: 3,
            self.change_offer: 3,
            self.doubt: 1,
            self.fulfil: 5,
        }

    def play(self, going: Callable[[], bool]) -> None:
        while going():
            try:
                self.chance.choices(list(self.verbs), list(self.verbs.values()))[0]()
            except RuleViolation:
                continue

    def one_of(self, rows: models.QuerySet[Row]) -> Row:
        found = rows.order_by("?").first()
        if found is None:
            raise RuleViolation("nothing_there", "There is nothing to act on yet.")
        return found

    def post(self) -> None:
        line = DemandLine(
            item=self.chance.choice(self.items),
            **self.chance.choice([{"quantity": self.chance.randint(1, 3000)}] * 9 + [{"quantity_kind": "unspecified"}]),
            urgency=self.chance.choice(Urgency.values),
        )
        [draft] = demands.post_demands(self.chance.choice(self.requesters), [line], by=self.person)
        demands.open_demand(draft, by=self.person, quantity_confirmed=True)

    def accept(self) -> None:
        match = self.one_of(Match.objects.held())
        part = self.chance.choice([None, max(1, match.quantity // 2)])
        fulfilment.accept_match(match, by=self.person, quantity=part)

    def decline(self) -> None:
        reason = self.chance.choice(DeclineReason.values)
        matching.decline(self.one_of(Match.objects.held()), by=self.person, reason=reason)

    def let_pass(self) -> None:
        """A supplier does not answer: its time is over."""
        Match.objects.filter(pk=self.one_of(Match.objects.held()).pk).update(respond_by=timezone.now())

    def doubt(self) -> None:
        """Somebody loses its verification, or gets it back."""
        chosen = self.one_of(Organisation.objects.filter(kind__in=["hospital", "community", "enterprise", "supplier"]))
        if chosen.is_verified and self.chance.random() < 0.5:
            accounts.amend_organisation(chosen, by=self.person, name=f"{chosen.pk} {self.chance.random()}")
            return
        for unverified in Organisation.objects.filter(state="unverified").order_by("pk"):
            accounts.verify_organisation(unverified, by=self.verifier, call_back=CALL_BACK)

    def change_demand(self) -> None:
        demand = self.one_of(Demand.objects.live())
        if self.chance.random() < 0.5:
            matching.amend_demand(demand, by=self.person, quantity=self.chance.randint(1, 4000))
            return
        verbs = [demands.pause_demand, demands.resume_demand, demands.confirm_demand, demands.cancel_demand]
        self.chance.choice(verbs)(demand, by=self.person)

    def change_offer(self) -> None:
        offer = self.one_of(Offer.objects.live())
        if self.chance.random() < 0.6:
            more = offer.quantity_reserved + self.chance.randint(0, 4000)
            amend_offer(offer, by=self.person, quantity=more)
        elif offer.state == OfferState.PUBLISHED:
            supply.pause_offer(offer, by=self.person)
        else:
            supply.publish_offer(offer, by=self.person)

    def fulfil(self) -> None:
        order = self.one_of(Order.objects.filter(state__in=["confirmed", "shipped"]))
        left = order.quantity_outstanding
        part = self.chance.randint(0, left)
        chosen = self.chance.choice(["ship", "deliver", "cancel", "repeat", "close"])
        if chosen == "ship":
            fulfilment.ship_order(order, by=self.person)
        elif chosen == "deliver":
            fulfilment.deliver_order(
                order, by=self.person, quantity_accepted=part, quantity_rejected=left - part, reason="wet"
            )
        elif chosen == "cancel":
            fulfilment.cancel_order(order, by=self.person, side=self.chance.choice(list(Side)))
        elif chosen == "repeat":
            fulfilment.repeat_order(order, by=self.person, quantity=self.chance.randint(1, 500))
        else:
            fulfilment.close_order(order, by=self.person)


def people(seed: int, going: Callable[[], bool]) -> None:
    Member(seed).play(going)


def worker(_seed: int, going: Callable[[], bool]) -> None:
    """What a Celery worker does all day."""
    while going():
        matching.sweep(limit=20)
        notices.announce_verifications()


def micro_batch(_seed: int, going: Callable[[], bool]) -> None:
    while going():
        matching.reallocate(seconds=1)


def sender(_seed: int, going: Callable[[], bool]) -> None:
    while going():
        if not sending.send_due():
            time.sleep(0.1)


Role = Callable[[int, Callable[[], bool]], None]
ROLES: Final[Sequence[Role]] = (micro_batch, sender, worker, worker, *(people for _i in range(12)))


def play(role: Role, seed: int, seconds: float) -> None:
    """The life of one process of the crowd, which was forked and must not use what it inherited."""
    connections.close_all()
    end = time.monotonic() + seconds
    role(seed, lambda: time.monotonic() < end)
