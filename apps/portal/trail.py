"""The audit trail in words: who did what to a row, for those whom it concerns."""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, OrganisationState, User
from apps.accounts.permissions import Role
from apps.core.models import AuditEntry
from apps.demands.models import Demand
from apps.fulfilment.models import Order
from apps.matching.models import Match
from apps.supply.models import Offer

# What the trail says of each event. One without words here is shown by its name.
WORDS: Final[dict[str, str | Promise]] = {
    "access.ended": _("Logged out everywhere"),
    "account.frozen": _("Account frozen by its owner"),
    "address.added": _("E-mail address added"),
    "address.changed": _("E-mail address changed"),
    "address.removed": _("E-mail address removed"),
    "contact.seen": _("Saw the contact"),
    "demand.amended": _("Need changed"),
    "demand.blocked": _("Need blocked after a report"),
    "demand.cancelled": _("Need cancelled"),
    "demand.confirmed": _("Need confirmed"),
    "demand.held_for_review": _("Need held for review"),
    "demand.opened": _("Need opened"),
    "demand.opening_asked": _("Review asked for"),
    "demand.paused": _("Need paused"),
    "demand.posted": _("Needs posted"),
    "demand.resumed": _("Need resumed"),
    "demand.returned": _("Need returned to its owner"),
    "demand.unblocked": _("Need no longer blocked"),
    "duplicate.proposed": _("Proposed as a duplicate"),
    "duplicate.dismissed": _("Found not to be a duplicate"),
    "evidence.added": _("Document added"),
    "evidence.opened": _("Document opened"),
    "export.pulled": _("Export pulled"),
    "factor.added": _("Second factor added"),
    "factor.refused": _("Wrong second factor"),
    "factor.removed": _("Second factor removed"),
    "invitation.declined": _("Invitation declined"),
    "invitation.withdrawn": _("Invitation withdrawn"),
    "lever.pulled": _("Asked for a change that would help many needs"),
    "match.accepted": _("Request accepted"),
    "match.called_off": _("Acceptance taken back"),
    "match.declined": _("Request declined"),
    "member.added": _("Member added"),
    "member.changed": _("Role changed"),
    "member.invited": _("Member invited"),
    "member.removed": _("Member removed"),
    "offer.amended": _("Offer changed"),
    "offer.blocked": _("Offer blocked after a report"),
    "offer.confirmed": _("Offer confirmed"),
    "offer.created": _("Offer drafted"),
    "offer.held_for_review": _("Offer held for review"),
    "offer.paused": _("Offer paused"),
    "offer.published": _("Offer published"),
    "offer.returned": _("Offer returned to its owner"),
    "offer.unblocked": _("Offer no longer blocked"),
    "offer.withdrawn": _("Offer withdrawn"),
    "offers.imported": _("Offers imported"),
    "order.cancelled": _("Order cancelled"),
    "order.closed": _("Order closed"),
    "order.delivered": _("Receipt confirmed"),
    "order.redirected": _("Delivery address or contact changed"),
    "order.repeated": _("Ordered again"),
    "order.shipped": _("Order shipped"),
    "organisation.amended": _("Facts changed"),
    "organisation.dormant": _("Organisation dormant"),
    "organisation.imported": _("Organisation imported"),
    "organisation.merge_undone": _("Merge undone"),
    "organisation.merged": _("Organisations merged"),
    "organisation.registered": _("Organisation registered"),
    "organisation.rejected": _("Verification refused"),
    "organisation.submitted": _("Verification asked for"),
    "organisation.verification_cleared": _("Verification ended"),
    "organisation.verified": _("Organisation verified"),
    "organisation.woken": _("Organisation no longer dormant"),
    "password.refused": _("Wrong password"),
    "report.appeal_decided": _("Appeal decided"),
    "report.appealed": _("Decision appealed against"),
    "report.decided": _("Report of abuse decided"),
    "report.filed": _("Abuse reported"),
    "session.begun": _("Log-in"),
    "session.ended": _("Log-out"),
    "token.added": _("API token made"),
    "token.changed": _("API token changed"),
    "token.removed": _("API token revoked"),
    "trail.searched": _("Audit trail searched"),
    "user.added": _("Account made"),
    "user.changed": _("Account changed"),
    "verification.changed": _("State of verification changed"),
    "webhook.added": _("Webhook added"),
    "webhook.paused": _("Webhook paused"),
    "webhook.removed": _("Webhook removed"),
    "webhook.resumed": _("Webhook resumed"),
    "webhook.tested": _("Webhook tested"),
}
# Values that are put behind the words, in this order. Others are for auditors, in the back office and the file.
_DETAILS: Final = (
    "reason", "note", "email", "type", "name", "dataset", "region", "item", "states", "rows", "network", "browser",
)  # fmt: skip
# Events whose note is for coordinators alone.
_NOTES_OF_THE_DESK: Final = {"duplicate.dismissed", "organisation.merged"}
# Columns whose change is shown, with the words of their values.
_CHANGES: Final[dict[str, dict[str, Any]]] = {
    "role": dict(Role.choices), "email": {}, "state": dict(OrganisationState.choices), "scopes": {},
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One entry in words."""

    at: dt.datetime
    who: str
    what: str
    details: str


def lines_of(entries: Sequence[AuditEntry], *, insiders: Collection[int] | None) -> list[Line]:
    """Entries in words. People in `insiders` (all, where it is None) are named, of others only their organisation."""
    mentioned = {key for entry in entries for key in (entry.actor_id, entry.data.get("user_id")) if key}
    people = {
        one.pk: one for one in User.objects.filter(pk__in=mentioned).prefetch_related("memberships__organisation")
    }
    return [
        Line(
            entry.at,
            _who(entry, people, insiders),
            str(WORDS.get(entry.event, entry.event)),
            _details(entry, people, for_desk=insiders is None),
        )
        for entry in entries
    ]


def _who(entry: AuditEntry, people: dict[int, User], insiders: Collection[int] | None) -> str:
    actor = people.get(entry.actor_id or 0)
    if actor is None:
        return gettext("Unknown") if entry.event.endswith(".refused") else gettext("The platform")
    if insiders is not None and actor.pk in insiders:
        return str(actor)
    bodies = entry.data.get("name") if entry.event == "contact.seen" else ""
    bodies = bodies or ", ".join(membership.organisation.name for membership in actor.memberships.all())
    if insiders is None:
        return f"{actor} ({bodies})" if bodies else str(actor)
    return bodies or gettext("Somebody from outside")


def _details(entry: AuditEntry, people: dict[int, User], *, for_desk: bool) -> str:
    data = entry.data
    if entry.event in _NOTES_OF_THE_DESK and not for_desk:
        data = {**data, "note": ""}
    said = [str(people[data["user_id"]])] if data.get("user_id") in people else []
    # The organisation that looked is who did it.
    named = [name for name in _DETAILS if data.get(name) and not (name == "name" and entry.event == "contact.seen")]
    said += [_value(data[name]) for name in named]
    for name, words in _CHANGES.items():
        values = [side[name] for side in (data.get("from"), data.get("to")) if isinstance(side, dict) and name in side]
        if values and name not in named:
            said.append(" → ".join(_value(value, words) for value in values))
    return " · ".join(said)


def _value(value: Any, words: Mapping[str, Any] = MappingProxyType({})) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    # Reasons of the platform itself are kept in English.
    return str(words.get(value) or gettext(str(value)))


# --- Whose entries ----------------------------------------------------------------------------------------------------


def about(*rows: Any) -> QuerySet[AuditEntry]:
    """Entries about these rows."""
    wanted = Q(pk__in=[])
    for row in rows:
        wanted |= Q(target_type=row._meta.label_lower, target_id=str(row.pk))
    return AuditEntry.objects.filter(wanted)


def about_each(*sets: QuerySet[Any]) -> Iterator[Q]:
    """For each of these sets, the condition that an entry is about a row of it."""
    for rows in sets:
        keys = rows.order_by().values_list(Cast("pk", TextField()))
        yield Q(target_type=rows.model._meta.label_lower, target_id__in=keys)


def about_organisations(organisations: Iterable[Organisation]) -> Iterator[Q]:
    """The conditions that an entry is about one of these, or about a need, an offer, a match or an order of theirs."""
    keys = [one.pk for one in organisations]
    return about_each(
        Organisation.objects.filter(pk__in=keys),
        Demand.objects.filter(organisation__in=keys),
        Offer.objects.filter(organisation__in=keys),
        Match.objects.filter(demand__organisation__in=keys),
        Match.objects.filter(offer__organisation__in=keys),
        Order.objects.filter(match__demand__organisation__in=keys),
        Order.objects.filter(match__offer__organisation__in=keys),
    )
