"""The rows and people of `test_walk.py`: whatever a text of theirs says is a mark that tells whose it is."""

import re
import time
from typing import Any, Final

from allauth.mfa.models import Authenticator
from django.test import Client
from django.utils import timezone

from apps.accounts.invitations import invite
from apps.accounts.models import Evidence, Organisation, TokenScope, User
from apps.accounts.permissions import OrganisationKind, Role
from apps.accounts.services import issue_token
from apps.core import audit
from apps.duplicates.models import DuplicateProposal, OrganisationMerge
from apps.fulfilment.models import Delivery, Order, Shipment
from apps.matching.models import Lever, LeverEffect
from apps.notifications.models import Message, Notification
from apps.notifications.services import add_webhook, queue
from apps.policy.services import draft_policy
from apps.reports.services import file_report
from apps.reports.subjects import subject_for
from apps.supply.importing import request_import
from apps.supply.models import SheetImport
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

# What a text is: the name of an organisation or of a person, an address, a contact, a note, what only the organisation
# itself sees (`inside`: webhooks, invitations, evidence), a token of a person, the note of a report.
MARK: Final = re.compile(r"zq(own|colleague|rival|far)-(requester|supplier)-(\w+?)-qz")

Things = dict[str, Any]


def mark(whose: str, side: str, what: str) -> str:
    return f"zq{whose}-{side}-{what}-qz"


def person(whose: str, side: str, role: str, organisation: Organisation) -> User:
    # No password: to hash one takes longer than a hundred requests.
    return member(organisation, role, name=mark(whose, side, "person"), password=None)


def organisation(whose: str, side: str, place: str) -> Organisation:
    factory = SupplierFactory if side == "supplier" else OrganisationFactory
    return factory.create(
        name=mark(whose, side, "name"),
        region=region(place),
        address=mark(whose, side, "address"),
        contact_name=mark(whose, side, "contact"),
        contact_email=f"{mark(whose, side, 'contact')}@example.org",
    )


def office(kind: str, place: str) -> User:
    desk = OrganisationFactory.create(name=f"{kind} of {place}", kind=kind, region=region(place))
    return member(desk, password=None)


def things(whose: str, hospital: Organisation, maker: Organisation, buyer: User, supplier: User) -> Things:
    """Something behind every argument of an address, of one hospital and its supplier."""

    def need() -> Any:
        contact, note = mark(whose, "requester", "contact"), mark(whose, "requester", "note")
        return DemandFactory.create(
            organisation=hospital, posted_by=buyer, contact_name=contact, contact_phone=contact, note=note
        )

    offer = OfferFactory.create(organisation=maker, posted_by=supplier, note=mark(whose, "supplier", "note"))
    held = MatchFactory.create(demand=need(), offer=offer)
    accepted = MatchFactory.create(demand=need(), offer=offer, state="accepted", responded_at=timezone.now())
    order = Order.objects.create(match=accepted, quantity=accepted.quantity)
    Shipment.objects.create(order=order, quantity=1, shipped_at=timezone.now())
    Delivery.objects.create(order=order, quantity_accepted=1, received_at=timezone.now())

    # Of an organisation one is under way at a time.
    sheet = SheetImport.objects.filter(organisation=maker).first()
    sheet = sheet or request_import(maker, b"", by=supplier, language="en")

    inside = mark(whose, "requester", "inside")
    token, _text = issue_token(buyer, name=mark(whose, "requester", "token"), scopes=["read"])
    evidence = Evidence.objects.create(
        organisation=hospital, document=f"evidence/{inside}.pdf", note=inside, uploaded_by=buyer
    )
    subject = subject_for(buyer, "order", order.pk)
    assert subject is not None
    report = file_report(subject, by=buyer, reason="not_reachable", note=mark(whose, "requester", "report"))
    queue("webhook.test", buyer, {"text": mark(whose, "requester", "token")}, key=f"walk:{whose}")
    first, second = sorted((hospital, maker), key=lambda one: one.pk)
    pair, _made = DuplicateProposal.objects.get_or_create(first=first, second=second, defaults={"score": 9})
    merged = OrganisationMerge.objects.create(
        survivor=hospital, merged=maker, with_people=False, merged_by=buyer, undone_at=timezone.now()
    )
    lever = Lever.objects.create(
        cause="minimum", item=offer.item, offer=offer, minimum=1, offers=[offer.pk], suppliers=1
    )
    for code in hospital.region.path.strip("/").split("/"):
        LeverEffect.objects.create(lever=lever, region_id=code, needs=1, organisations=1, quantity=1, tier=1)
    return {
        "demand": held.demand_id,
        "offer": offer.pk,
        "match": held.pk,
        "order": order.pk,
        "import": sheet.pk,
        "organisation": hospital.pk,
        "evidence": evidence.pk,
        "membership": buyer.memberships.get().pk,
        "invitation": invite(hospital, f"{inside}{whose}@example.org", role="member", by=buyer).pk,
        "webhook": add_webhook(hospital, url=f"https://example.org/{inside}/{whose}", by=buyer).pk,
        "token": token.token_key,
        "notification": Notification.objects.filter(user=buyer).latest("pk").pk,
        "message": Message.objects.filter(user=buyer).latest("pk").pk,
        "report": report.pk,
        "duplicate": pair.pk,
        "merge": merged.pk,
        "lever": lever.pk,
    }


class World:
    """Two pairs of hospital and supplier in Hubei, one in Lombardy, and people by role."""

    def __init__(self) -> None:
        self.people: dict[str, User] = {}
        self.things: dict[str, Things] = {}
        for whose, place in (("own", "420106"), ("rival", "420106"), ("far", "IT-25")):
            hospital, maker = (organisation(whose, side, place) for side in ("requester", "supplier"))
            buyer = person(whose, "requester", Role.MANAGER, hospital)
            seller = person(whose, "supplier", Role.MANAGER, maker)
            self.things[whose] = things(whose, hospital, maker, buyer, seller)
            if whose == "own":
                colleague = person("colleague", "requester", Role.MEMBER, hospital)
                viewer = person("own", "requester", Role.VIEWER, hospital)
                self.people |= {"manager": buyer, "member": colleague, "viewer": viewer, "supplier": seller}
                self.things["colleague"] = things("colleague", hospital, maker, colleague, seller)
            if whose == "rival":
                self.people |= {"rival": buyer, "rival_supplier": seller}
            audit.acting(None)  # who acted last would be named for all that follows in the transaction
        self.people |= {
            "stranger": UserFactory.create(password=None),
            "coordinator": office(OrganisationKind.COORDINATOR, "420000"),
            "far_coordinator": office(OrganisationKind.COORDINATOR, "IT-25"),
            "partner": office(OrganisationKind.GOVERNMENT, "420000"),
            "far_partner": office(OrganisationKind.GOVERNMENT, "IT-25"),
            "staff": UserFactory.create(is_staff=True, password=None),
            "superuser": UserFactory.create(is_staff=True, is_superuser=True, password=None),
        }
        national = office(OrganisationKind.COORDINATOR, "CN")
        draft = draft_policy({}, based_on=1, by=national).pk
        # Of a person who does not walk: what a browser signed stands in the row, and its owner would read that.
        far = Notification.objects.get(pk=self.things["far"]["notification"]).user
        key = {"name": mark("far", "requester", "token")}
        passkey = Authenticator.objects.create(user=far, type=Authenticator.Type.WEBAUTHN, data=key)
        for of in self.things.values():
            of |= {"draft": draft, "passkey": passkey.pk}
        standard_of(OfferFactory._meta.model.objects.earliest("pk").item)
        audit.acting(None)

    def enter(self, role: str) -> tuple[Client, dict[str, str]]:
        """A browser that is logged in and has given the password just now, and the headers of a program's token."""
        client = Client(raise_request_exception=False, headers={"accept-language": "en"})
        if role == "nobody":
            return client, {}
        user = self.people[role]
        client.force_login(user)
        session = client.session
        session["account_authentication_methods"] = [{"method": "password", "at": time.time()}]
        session.save()
        _token, text = issue_token(user, name="walk", scopes=list(TokenScope.values))
        return client, {"authorization": f"Bearer {text}"}
