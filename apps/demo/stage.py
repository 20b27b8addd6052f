"""The stage of the demo: its people, its clock, and what people do on it, each by the services of the program."""

import datetime as dt
from collections.abc import Iterable
from typing import Any, Final

from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password
from django.db import models
from django.db.models import Max

from apps.accounts import services as accounts
from apps.accounts.models import IdentifierKind, Organisation, User
from apps.accounts.permissions import OrganisationKind, Role
from apps.catalogue.models import Item, Region, Standard
from apps.demands import freshness as demand_freshness
from apps.demands import services as demands
from apps.demands.lines import DemandLine
from apps.demands.models import Demand, QuantityKind
from apps.demo.cast import ADMIN, EVERYBODY, OFFERS, PASSWORD, CastMember, uscc
from apps.fulfilment import services as fulfilment
from apps.fulfilment.models import ContactReveal, Delivery, Order, Shipment
from apps.matching import services as matching
from apps.matching.models import Escalation, Match
from apps.notifications.models import Message, MessageState, Notification
from apps.policy.models import Policy, PolicyDraft
from apps.supply import freshness as offer_freshness
from apps.supply import services as supply
from apps.supply.models import Offer

# The story also needs these items, which nobody offers at first.
OTHER_ITEMS: Final = frozenset(
    {
        *("o2.highflow", "vent.invasive", "mask.daily", "dis.alcohol75", "thermo.imaging", "cover.shoe", "mask.child"),
        *("syringe", "bag.waste"),
    }
)

# Mails about what happened longer ago than this are not sent any more.
FRESH: Final = dt.timedelta(minutes=30)


class ReferenceMissing(Exception):
    """The demo needs items, standards or regions that are not in the database."""


class Stage:
    """The people, the reference data, and a clock that only goes forward, from two weeks ago until now."""

    STAMPED: Final[tuple[tuple[type[models.Model], str], ...]] = tuple(
        [
            (model, "created_at")
            for model in (
                Organisation,
                Demand,
                Offer,
                Match,
                Escalation,
                Order,
                Shipment,
                Delivery,
                Notification,
                Message,
                Policy,
                PolicyDraft,
            )
        ]
        + [(ContactReveal, "at")]
    )

    def __init__(self, end: dt.datetime) -> None:
        self.end = end
        # Before the first scene, as `at` only goes forward.
        self.now = end - dt.timedelta(days=30)
        self.users: dict[str, User] = {}
        self.organisations: dict[str, Organisation] = {}
        self.items = self._all_of(Item, "key", {offer.item for offer in OFFERS} | OTHER_ITEMS)
        self.standards = self._all_of(
            Standard,
            "code",
            {offer.facts["standard"] for offer in OFFERS if "standard" in offer.facts} | {"GB 19083-2010 Grade 3"},
        )
        self.regions = self._all_of(Region, "code", {member.region for member in EVERYBODY} | {"CN", "420000"})
        # Rows are recognised as new by their keys, because their times are what is about to change.
        self._seen = {model: self._newest(model) for model, _field in self.STAMPED}

    @staticmethod
    def _all_of(model: Any, field: str, wanted: set[str]) -> dict[str, Any]:
        found = {getattr(row, field): row for row in model.objects.filter(**{f"{field}__in": wanted})}
        # Said before anything is made: the reference data are loaded by a command of their own.
        if missing := sorted(wanted - set(found)):
            raise ReferenceMissing(f"{model._meta.verbose_name_plural}: {', '.join(missing)}")
        return found

    @staticmethod
    def _newest(model: Any) -> int:
        newest: int | None = model.objects.aggregate(newest=Max("pk"))["newest"]
        return newest or 0

    def at(self, *, days: float = 0, hours: float = 0, minutes: float = 0) -> None:
        """Go on to this long before the end; what was made until now gets the time it was made at."""
        then = self.end - dt.timedelta(days=days, hours=hours, minutes=minutes)
        assert then > self.now, "the clock of the demo goes forward"
        self.stamp()
        self.now = then

    def stamp(self) -> None:
        """Set back the times of the rows made since the last stamp, and count old mails as sent."""
        for model, field in self.STAMPED:
            made = model._default_manager.filter(pk__gt=self._seen[model])
            # Nobody wants a mail today about what happened two weeks ago in the story.
            if model is Message and self.end - self.now > FRESH:
                made.update(state=MessageState.SENT, sent_at=self.now, attempts=1)
            if model is Notification and self.end - self.now > dt.timedelta(days=1):
                made.update(read_at=self.now + dt.timedelta(hours=1))
            # Afterwards, because the database sets these times itself and services take no other.
            made.update(**{field: self.now})
            self._seen[model] = self._newest(model)

    def work(self) -> None:
        """What the worker does until nothing is left to do."""
        demand_freshness.ask_whether_still_needed(now=self.now)
        demand_freshness.suspend_stale(now=self.now)
        offer_freshness.ask_whether_still_there(now=self.now)
        offer_freshness.suspend_stale(now=self.now)
        # A bound, so that a fault in matching ends the demo instead of hanging it.
        for _round in range(10):
            if not matching.sweep(now=self.now):
                return

    # What people do.

    def join(self, member: CastMember, serial: int) -> Organisation:
        """Register an organisation with its manager; coordinators are set up as the back office does it."""
        user = self.user(member.email, member.person, language=member.language)
        region = self.regions[member.region]
        is_uscc = member.identifier_kind == IdentifierKind.USCC
        register = region.code if region.code.isdigit() else "100000"  # 100000: registered with the State
        facts: dict[str, Any] = {
            "identifier_kind": member.identifier_kind,
            "identifier": uscc(member.sector, register, serial) if is_uscc else f"RUNTS-{serial:06d}",
            "address": member.address,
            "contact_name": member.person,
            "contact_phone": member.phone,
            "contact_email": member.email,
        }
        if member.kind == OrganisationKind.COORDINATOR:
            organisation = Organisation.objects.create(
                name=member.organisation, kind=member.kind, region=region, **facts
            )
            accounts.add_member(organisation, user, role=Role.MANAGER, by=self.users[ADMIN])
        else:
            organisation = accounts.register_organisation(
                by=user, name=member.organisation, kind=member.kind, region=region, **facts
            )
        self.users[member.login], self.organisations[member.login] = user, organisation
        return organisation

    def user(self, email: str, name: str, **facts: Any) -> User:
        # Not through the sign-up pages: nobody will click on the links in mails to invented addresses.
        user = User.objects.create(email=email, name=name, password=self.password, date_joined=self.now, **facts)
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
        return user

    @property
    def password(self) -> str:
        """Hashed once, since hashing is slow on purpose."""
        if not hasattr(self, "_password"):
            self._password = make_password(PASSWORD)
        return self._password

    def offer(self, who: str, item: str, quantity: int, *, publish: bool = True, **facts: Any) -> Offer:
        if "standard" in facts:
            facts["standard"] = self.standards[facts["standard"]]
        offer = supply.create_offer(
            self.organisations[who], item=self.items[item], by=self.users[who], quantity=quantity, **facts
        )
        return supply.publish_offer(offer, by=self.users[who], now=self.now) if publish else offer

    def line(self, item: str, quantity: int | None, *, in_days: float | None = None, **facts: Any) -> DemandLine:
        if "standard" in facts:
            facts["standard"] = self.standards[facts["standard"]]
        if quantity is None:
            facts["quantity_kind"] = QuantityKind.UNSPECIFIED
        needed_by = None if in_days is None else self.now + dt.timedelta(days=in_days)
        return DemandLine(item=self.items[item], quantity=quantity, needed_by=needed_by, **facts)

    def draft(self, who: str, *lines: DemandLine, by: str = "") -> list[Demand]:
        return demands.post_demands(self.organisations[who], lines, by=self.users[by or who], now=self.now)

    def need(self, who: str, *lines: DemandLine, by: str = "") -> list[Demand]:
        """Post, open, and let the worker ask."""
        posted = self.draft(who, *lines, by=by)
        opened = [demands.open_demand(demand, by=self.users[by or who], now=self.now) for demand in posted]
        self.work()
        return opened

    def asked(self, demand: Demand) -> list[Match]:
        """The suppliers that are asked and have not answered, best first."""
        return list(Match.objects.held().filter(demand=demand).shown().order_by("rank"))

    def answering(self, match: Match) -> User | None:
        return User.objects.filter(memberships__organisation=match.offer.organisation_id).order_by("pk").first()

    def accept(self, demand: Demand, **answer: Any) -> list[Order]:
        """Everybody who was asked says yes; the requester looks up whom to call."""
        orders = []
        for match in self.asked(demand):
            orders.append(fulfilment.accept_match(match, by=self.answering(match), now=self.now, **answer))
            for side in (demand.posted_by, self.answering(match)):
                if side is not None:
                    fulfilment.reveal_contact(Match.objects.shown().get(pk=match.pk), to=side)
        self.work()
        return orders

    def decline(self, demand: Demand, reason: str, note: str) -> None:
        for match in self.asked(demand):
            matching.decline(match, by=self.answering(match), reason=reason, note=note, now=self.now)
        self.work()

    def ship(self, orders: Iterable[Order], quantity: int | None = None, *, carrier: str = "武汉迅岭物流") -> None:
        for order in orders:
            fulfilment.ship_order(
                order,
                by=order.placed_by,
                quantity=quantity,
                carrier=carrier,
                tracking_number=f"XL{order.pk:08d}",
                expected_on=(self.now + dt.timedelta(days=2)).date(),
                now=self.now,
            )

    def receive(self, orders: Iterable[Order], *, rejected: int = 0, reason: str = "") -> None:
        for order in orders:
            # Goods may arrive without a note of their dispatch; then all of the order has come.
            shipped = sum(order.shipments.values_list("quantity", flat=True)) or order.quantity
            fulfilment.deliver_order(
                order,
                by=order.match.demand.posted_by,
                quantity_accepted=shipped - rejected,
                quantity_rejected=rejected,
                reason=reason,
                now=self.now,
            )
        self.work()
