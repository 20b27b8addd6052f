"""What a webhook tells: the row that an event is about, as the API shows it, and the description of all events.

The sender of webhooks stands below this app and finds `data_of` by its name in the settings (`WEBHOOK_DATA`).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from rest_framework.renderers import JSONRenderer

from apps.accounts.models import Organisation
from apps.api.representation.answers import Rows, RowSerializer
from apps.api.resources.demands import DemandSerializer
from apps.api.resources.matches import MatchSerializer, fill_matches
from apps.api.resources.offers import OfferSerializer
from apps.api.resources.orders import OrderSerializer, fill_orders
from apps.api.resources.organisations import OrganisationSerializer, fill_contacts
from apps.core.models import TimeStamped
from apps.demands.models import Demand
from apps.fulfilment.models import Order
from apps.matching.models import Match
from apps.supply.models import Offer


@dataclass(frozen=True)
class Subject:
    """A kind of row that events are about. The first word of an event's name names it: `match.accepted`."""

    model: type[TimeStamped]
    shown: type[RowSerializer]
    # Adds what a row shows of other tables, for many rows at once.
    fill: Callable[[Rows], None] = lambda _rows: None

    @property
    def schema(self) -> str:
        """The name of the row in the description of the API."""
        return self.shown.__name__.removesuffix("Serializer")


SUBJECTS: Final = {
    "demand": Subject(Demand, DemandSerializer),
    "offer": Subject(Offer, OfferSerializer),
    "match": Subject(Match, MatchSerializer, fill_matches),
    "order": Subject(Order, OrderSerializer, fill_orders),
    "organisation": Subject(Organisation, OrganisationSerializer, fill_contacts),
}

# What an organisation is told, for programmers; other events are told to persons only. What people read of an event
# stands in `templates/notifications`.
EVENTS: Final = {
    "account.frozen": "Somebody else had an account of an organisation of your region: this was done by it.",
    "demand.awaits_approval": "A need waits for your review, as every need of its region does.",
    "demand.change_asked": "You are asked whether goods of another standard would do for your need.",
    "demand.escalated": "A need is stuck, and it is your turn to help.",
    "demand.freshness_asked": "Your need must be confirmed, or it will be suspended.",
    "demand.held_for_review": "A need of an unusual quantity waits for your review.",
    "demand.nobody_left": "No supplier is left to ask for your need.",
    "demand.passed_on": "The coordinators were told of your need.",
    "demand.returned": "A coordinator returned your need.",
    "demand.suppliers_asked": "Suppliers were asked for your need.",
    "demand.suspended": "Your need was suspended, because nobody confirmed it.",
    "escalations.gathered": "Many needs are stuck. Webhooks get `demand.escalated` of each need instead.",
    "match.accepted": "A supplier accepted your request.",
    "match.expired": "You did not answer a request in time.",
    "match.proposed": "You are asked to supply.",
    "match.withdrawn": "You are no longer asked.",
    "offer.change_asked": "You are asked to change your offer, as needs wait that it would help then.",
    "offer.escalated": "An offer waits for review, and it is your turn to look.",
    "offer.freshness_asked": "Your offer must be confirmed, or it will be suspended.",
    "offer.held_for_review": "An offer of an unusual quantity, price or certificate waits for your review.",
    "offer.passed_on": "The next coordinators were told of your offer, which nobody has reviewed yet.",
    "offer.returned": "A coordinator returned your offer.",
    "offer.gone": "Your offer was suspended, because you said that the goods are gone.",
    "offer.suspended": "Your offer was suspended, because nobody confirmed it.",
    "order.cancelled": "An order was cancelled.",
    "order.closed": "An order was closed before all of it came.",
    "order.confirmed": "Your acceptance made an order.",
    "order.delivered": "The requester said what it received.",
    "order.redirected": "The requester changed where goods of an open order go, or whom to call.",
    "order.repeated": "A requester ordered again.",
    "order.shipped": "Goods of an order have left.",
    "organisation.dormant": "Nobody manages an organisation of your region any more.",
    "organisation.merged": "An organisation that stood here twice was merged into the other.",
    "organisation.merge_undone": "A merge of two organisations was undone.",
    "organisation.rejected": "Your organisation was not verified.",
    "organisation.submitted": "An organisation of your region asks to be verified.",
    "organisation.unverified": "Your organisation must be verified anew.",
    "organisation.verified": "Your organisation was verified.",
    "invitation.accepted": "A person accepted your invitation.",
    "report.appealed": "An organisation appeals against a decision on a report of abuse.",
    "report.appeal_decided": "An appeal against a decision on a report of abuse was decided.",
    "report.decided": "A report of abuse was decided.",
    "report.filed": "Abuse was reported in your region.",
    "invitation.declined": "A person declined your invitation.",
    "member.left": "A person left your organisation.",
    "webhook.paused": "A webhook of yours failed for a day and was paused.",
    "webhook.test": "You asked for a test.",
}


def data_of(event: str, facts: dict[str, Any]) -> dict[str, Any]:
    """The `data` of a webhook: the row as it is now, as the API shows it where many are listed.

    An event that is about no such row has its facts, with ids as text.
    """
    name, _dot, _what = event.partition(".")
    if (subject := SUBJECTS.get(name)) and (row := _row(subject, facts.get(f"{name}_id"))):
        return row
    return {key: str(value) if key.endswith("_id") and value is not None else value for key, value in facts.items()}


def _row(subject: Subject, pk: Any) -> dict[str, Any] | None:
    rows = [row for _extra, row in subject.shown.read(subject.model._default_manager.filter(pk=pk))]
    subject.fill(rows)
    # Rendered as an answer is: times, for one, have the same form.
    return json.loads(JSONRenderer().render(rows[0])) if rows else None


_HEADERS: Final = {
    "webhook-id": "The id of the message. A repeat has the same.",
    "webhook-timestamp": "When it was signed, in seconds since 1970.",
    "webhook-signature": "The signature, after Standard Webhooks.",
}


def describe_webhooks(result: dict[str, Any], **_context: Any) -> dict[str, Any]:
    """Add the section `webhooks` to the description of the API."""
    return {**result, "webhooks": {event: {"post": _operation(event, words)} for event, words in EVENTS.items()}}


def _operation(event: str, words: str) -> dict[str, Any]:
    subject = SUBJECTS.get(event.partition(".")[0])
    data = {"$ref": f"#/components/schemas/{subject.schema}"} if subject else {"type": "object"}
    body = {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"type": "string", "const": event},
            "timestamp": {"type": "string", "format": "date-time", "description": "When it happened."},
            "data": data,
        },
    }
    # Whoever receives a webhook answers with any 2xx. What it says besides is not read.
    return {
        "operationId": event.replace(".", "_"),
        "summary": words.rstrip("."),
        "description": words,
        "tags": ["webhooks"],
        "parameters": [
            {"in": "header", "name": name, "required": True, "description": text, "schema": {"type": "string"}}
            for name, text in _HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "2XX": {"description": "Taken."},
            "410": {"description": "No more messages: the webhook is paused."},
            "default": {"description": "It is sent again, later and later, for a day."},
        },
    }
