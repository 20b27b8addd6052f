"""The verbs of the outbox: the only writer of this app's tables."""

import base64
import datetime as dt
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Language, Membership, Organisation, User
from apps.accounts.permissions import Role
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.states import move
from apps.notifications import rendering
from apps.notifications.models import Channel, Message, MessageState, Notification, UsedLink, WebhookEndpoint

KEEP_SENT: Final = dt.timedelta(days=90)
# Longer than any link lives.
KEEP_USED_LINKS: Final = dt.timedelta(days=60)


def queue(event: str, recipient: Organisation | User, context: Mapping[str, Any], *, key: str) -> None:
    """Tell `recipient` that `event` happened, in the caller's transaction.

    A person is told in the portal and by e-mail, and by text message where a gateway and a phone number are known; an
    organisation is its people (viewers excepted), or its contact address while it has none, and its webhooks. `context`
    must be JSON; a dict whose keys are languages is a text in several languages. The same `key` is never told twice
    to the same recipient.
    """
    users = [recipient] if isinstance(recipient, User) else _people(recipient)
    messages = [message for user in users for message in _messages_to(user)]
    if isinstance(recipient, Organisation):
        if not users and recipient.contact_email:
            language = Language.CHINESE if recipient.region_id[:2].isdigit() else Language.ENGLISH  # 420100, but IT-25
            messages.append(Message(channel=Channel.EMAIL, address=recipient.contact_email, language=language))
        messages += _messages_to_webhooks(event, recipient)
        for message in messages:
            message.organisation = recipient

    for message in messages:
        message.event, message.key, message.context = event, key, dict(context)
    Notification.objects.bulk_create(
        [Notification(user=user, event=event, key=key, context=dict(context)) for user in users],
        ignore_conflicts=True,
    )
    Message.objects.bulk_create(messages, ignore_conflicts=True)


def _people(organisation: Organisation) -> list[User]:
    memberships = (
        Membership.objects.filter(organisation=organisation, user__is_active=True)
        .exclude(role=Role.VIEWER)
        .select_related("user")
        .order_by("pk")
    )
    return [membership.user for membership in memberships]


def _messages_to(user: User) -> Iterable[Message]:
    yield Message(channel=Channel.EMAIL, address=user.email, language=user.language, user=user)
    if settings.SMS_GATEWAY_URL and user.phone:
        yield Message(channel=Channel.SMS, address=user.phone, language=user.language, user=user)


def _messages_to_webhooks(event: str, organisation: Organisation) -> list[Message]:
    endpoints = WebhookEndpoint.objects.filter(organisation=organisation, is_active=True).order_by("pk")
    return [
        Message(channel=Channel.WEBHOOK, address=f"webhook:{endpoint.pk}", endpoint=endpoint)
        for endpoint in endpoints
        if not endpoint.events or event in endpoint.events
    ]


@transaction.atomic
def mark_read(user: User, ids: Iterable[int] | None = None) -> int:
    """The user has seen these notifications, or all of theirs (None). Returns how many were unread."""
    unread = Notification.objects.visible_to(user).unread()
    return (unread if ids is None else unread.filter(pk__in=list(ids))).update(read_at=Now())


@transaction.atomic
def retry_message(message: Message, *, by: User, now: dt.datetime | None = None) -> None:
    """Send once more what failed for good, e.g. because the other side has mended its address; it starts anew."""
    move(message, MessageState.QUEUED, attempts=0, due_at=now or timezone.now(), error="")
    audit.record(by, "message.retried", message)


@transaction.atomic
def add_webhook(organisation: Organisation, *, url: str, events: Iterable[str] = (), by: User) -> WebhookEndpoint:
    """Have an organisation's own system told. `secret` of what is returned is for its owner's eyes, once."""
    chosen = sorted(set(events))
    unknown = [event for event in chosen if event not in rendering.events()]
    if unknown:
        raise RuleViolation(
            "event_unknown", _("There is no event %(names)s.") % {"names": ", ".join(unknown)}, field="events"
        )
    endpoint = WebhookEndpoint(
        organisation=organisation,
        url=_check_url(url),
        events=chosen,
        secret=f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}",
    )
    endpoint.save()
    audit.record(by, "webhook.added", organisation, endpoint=endpoint.pk, host=urlsplit(url).hostname)
    return endpoint


def _check_url(url: str) -> str:
    """Whether it leads out of our own network is judged when something is sent: a name may lead elsewhere by then."""
    url = url.strip()
    schemes = ["http", "https"] if settings.WEBHOOKS_MAY_BE_PRIVATE else ["https"]
    try:
        URLValidator(schemes=schemes)(url)
        parts = urlsplit(url)
        usable = url.isascii() and len(url) <= 500 and not parts.username and parts.port != 0
    except (ValidationError, ValueError):
        usable = False
    if not usable:
        raise RuleViolation(
            "url_invalid", _("Give a full address that begins with https:// and holds no password."), field="url"
        )
    return url


@transaction.atomic
def remove_webhook(endpoint: WebhookEndpoint, *, by: User) -> None:
    """Nothing more is sent there; what waits to be sent goes with it."""
    audit.record(by, "webhook.removed", endpoint.organisation, endpoint=endpoint.pk)
    endpoint.delete()


@transaction.atomic
def test_webhook(endpoint: WebhookEndpoint, *, by: User) -> Message:
    """Queue a `webhook.test` for this endpoint alone; what is returned can be asked later what became of it."""
    message = Message.objects.create(
        event="webhook.test",
        key=f"webhook.test:{secrets.token_hex(8)}",
        context={"endpoint": str(endpoint.pk)},
        channel=Channel.WEBHOOK,
        address=f"webhook:{endpoint.pk}",
        organisation=endpoint.organisation,
        endpoint=endpoint,
    )
    audit.record(by, "webhook.tested", endpoint.organisation, endpoint=endpoint.pk)
    return message


def purge(*, now: dt.datetime | None = None, limit: int = 10_000) -> dict[str, int]:
    """Forget what was sent, and which links were used, after the time that the policy gives."""
    now = now or timezone.now()
    old = Message.objects.filter(state=MessageState.SENT, sent_at__lt=now - KEEP_SENT).order_by("pk")
    used = UsedLink.objects.filter(used_at__lt=now - KEEP_USED_LINKS).order_by("used_at")
    messages, _by_model = Message.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:limit])).delete()
    links, _by_model = UsedLink.objects.filter(pk__in=list(used.values_list("pk", flat=True)[:limit])).delete()
    return {"messages": messages, "links": links}
