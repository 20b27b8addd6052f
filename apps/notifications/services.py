"""The verbs of the outbox: the only writer of this app's tables."""

import base64
import datetime as dt
import random
import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts import services as accounts_services
from apps.accounts.models import Language, Membership, Organisation, User
from apps.accounts.permissions import Role
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.retention import delete_in_batches
from apps.core.states import move
from apps.notifications import backoff, rendering
from apps.notifications.models import (
    Channel,
    Message,
    MessageState,
    MessageUrgency,
    Notification,
    UsedLink,
    WebhookEndpoint,
)

# How long sent messages are kept, for questions such as "I got no mail".
KEEP_SENT: Final = dt.timedelta(days=90)
# The same for messages that could not be sent, and for the notifications of the portal.
KEEP_FAILED: Final = dt.timedelta(days=90)
KEEP_NOTIFICATIONS: Final = dt.timedelta(days=180)
# An organisation's systems; more endpoints would only multiply what it is sent.
MAX_WEBHOOKS: Final = 10
# An endpoint that has failed for so long is paused. Until then it is tried again and again.
PATIENCE_WITH_ENDPOINT: Final = dt.timedelta(hours=24)
# The longest that nothing is tried at an endpoint that fails. Then one message finds out whether it is back.
LONGEST_REST: Final = dt.timedelta(minutes=15)
# What a paused endpoint missed is kept for it so long.
KEEP_MISSED: Final = dt.timedelta(days=7)
# Longer than any link lasts: a used one could otherwise be used again.
KEEP_USED_LINKS: Final = dt.timedelta(days=60)


# By the fact `urgency` of the need that an event is about. What is about no need is routine.
_URGENCIES: Final = {"emergency": MessageUrgency.EMERGENCY, "urgent": MessageUrgency.URGENT}


@dataclass(frozen=True)
class Address:
    """An e-mail address that may belong to nobody here. It gets a mail, and nothing in the portal."""

    email: str
    language: str


@dataclass(frozen=True)
class News:
    """The arguments of one `queue`, to be queued together with others."""

    event: str
    recipient: Organisation | User | Address
    context: Mapping[str, Any]
    key: str
    address: str = ""
    # Whom of an organisation it is for: its people, or its own systems behind webhooks.
    to_people: bool = True
    to_systems: bool = True


def queue(
    event: str, recipient: Organisation | User | Address, context: Mapping[str, Any], *, key: str, address: str = ""
) -> None:
    """Write the messages that tell `recipient` of `event`, in the transaction of the caller.

    A person is told in the portal and by e-mail, and by text message if a gateway and a phone number are known. An
    organisation is told through its people (without viewers) and its webhooks. While it has no people, its contact
    address is used. `context` must be JSON; a dict whose keys are languages is a text in several languages. Its fact
    `urgency`, that of the need, says what is sent first. The same `key` is never sent twice to the same recipient, so
    callers may repeat themselves. `address` is where the mail to a person goes instead of their own address.
    """
    queue_all([News(event, recipient, context, key, address)])


def queue_all(news: Sequence[News]) -> None:
    """Like `queue` for many events. The number of queries does not depend on how many there are."""
    organisations = [one.recipient for one in news if isinstance(one.recipient, Organisation)]
    people, endpoints = _people(organisations), _endpoints(organisations)
    notifications: list[Notification] = []
    messages: list[Message] = []
    for one in news:
        told: list[User] = []
        if isinstance(one.recipient, User):
            told = [one.recipient]
        elif isinstance(one.recipient, Organisation) and one.to_people:
            told = people[one.recipient.pk]
        facts = dict(one.context)
        urgency = _URGENCIES.get(facts.get("urgency", ""), MessageUrgency.ROUTINE)
        notifications += (Notification(user=user, event=one.event, key=one.key, context=facts) for user in told)
        about = [message for user in told for message in _messages_to(user, one.address)]
        if isinstance(one.recipient, Address):
            about.append(Message(channel=Channel.EMAIL, address=one.recipient.email, language=one.recipient.language))
        if isinstance(one.recipient, Organisation):
            if one.to_people and not told and one.recipient.contact_email:
                about.append(_message_to_contact(one.recipient))
            if one.to_systems:
                about += _messages_to_webhooks(one.event, endpoints[one.recipient.pk])
            for message in about:
                message.organisation = one.recipient
        for message in about:
            message.event, message.key, message.context, message.urgency = one.event, one.key, facts, urgency
        messages += about
    # Conflicts are repeats of a key, which the unique constraints drop.
    Notification.objects.bulk_create(notifications, ignore_conflicts=True)
    Message.objects.bulk_create(messages, ignore_conflicts=True)


@transaction.atomic
def queue_pending_notices() -> int:
    """Queue what accounts wants told: it is below the outbox and cannot queue. Returns how many notices."""
    notices = accounts_services.take_pending_notices()
    queue_all(
        [
            News(
                notice.event,
                notice.organisation or notice.user or Address(notice.email, notice.language),
                notice.context,
                key=notice.key,
            )
            for notice in notices
        ]
    )
    return len(notices)


def _people(organisations: Iterable[Organisation]) -> dict[int, list[User]]:
    """The active members by organisation, without viewers, who cannot act on what they would read."""
    found: dict[int, list[User]] = defaultdict(list)
    wanted = {organisation.pk for organisation in organisations}
    if wanted:
        memberships = Membership.objects.filter(organisation__in=wanted, user__is_active=True)
        for membership in memberships.exclude(role=Role.VIEWER).select_related("user").order_by("pk"):
            found[membership.organisation_id].append(membership.user)
    return found


def _endpoints(organisations: Iterable[Organisation]) -> dict[int, list[WebhookEndpoint]]:
    found: dict[int, list[WebhookEndpoint]] = defaultdict(list)
    wanted = {organisation.pk for organisation in organisations}
    if wanted:
        for endpoint in WebhookEndpoint.objects.filter(organisation__in=wanted, is_active=True).order_by("pk"):
            found[endpoint.organisation_id].append(endpoint)
    return found


def _messages_to(user: User, address: str) -> Iterable[Message]:
    yield Message(channel=Channel.EMAIL, address=address or user.email, language=user.language, user=user)
    if settings.SMS_GATEWAY_URL and user.phone:
        yield Message(channel=Channel.SMS, address=user.phone, language=user.language, user=user)


def _message_to_contact(organisation: Organisation) -> Message:
    """A mail to the contact address of an organisation without members, in the language of its country."""
    language = Language.CHINESE if organisation.region_id[:2].isdigit() else Language.ENGLISH  # 420100, but IT-25
    return Message(channel=Channel.EMAIL, address=organisation.contact_email, language=language)


def _messages_to_webhooks(event: str, endpoints: Iterable[WebhookEndpoint]) -> list[Message]:
    return [
        # The number of the endpoint and not its URL: two endpoints may share a URL, and each gets the message.
        Message(channel=Channel.WEBHOOK, address=f"webhook:{endpoint.pk}", endpoint=endpoint)
        for endpoint in endpoints
        if not endpoint.events or event in endpoint.events
    ]


@transaction.atomic
def mark_read(user: User, ids: Iterable[int] | None = None) -> int:
    """Mark these notifications of the user as read, or all of them (None). Returns how many were unread."""
    unread = Notification.objects.visible_to(user).unread()
    return (unread if ids is None else unread.filter(pk__in=list(ids))).update(read_at=Now())


@transaction.atomic
def retry_message(message: Message, *, by: User, now: dt.datetime | None = None) -> None:
    """Queue a failed message again, with a fresh count of attempts. The other side may have corrected its address."""
    move(message, MessageState.QUEUED, attempts=0, due_at=now or timezone.now(), error="")
    audit.record(by, "message.retried", message)


@transaction.atomic
def add_webhook(organisation: Organisation, *, url: str, events: Iterable[str] = (), by: User) -> WebhookEndpoint:
    """Add an endpoint of an organisation's own system. Its `secret` is to be shown to its owner once.

    Raises `event_unknown`, `url_invalid` and `too_many_webhooks`.
    """
    # The lock makes two requests at once count one after the other.
    Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
    if WebhookEndpoint.objects.filter(organisation=organisation).count() >= MAX_WEBHOOKS:
        raise RuleViolation(
            "too_many_webhooks",
            _("An organisation has at most %(most)s webhooks. Remove one first.") % {"most": MAX_WEBHOOKS},
            field="url",
        )
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
    """The address, if it has a usable form; raises `url_invalid` otherwise.

    Whether it leads into a private network is checked on sending, because a name may resolve elsewhere by then.
    """
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
    """Delete an endpoint, with the messages that wait for it."""
    audit.record(by, "webhook.removed", endpoint.organisation, endpoint=endpoint.pk)
    endpoint.delete()


@transaction.atomic
def pause_webhooks(keys: Collection[int], *, by: User) -> None:
    """Send nothing more to these endpoints, until somebody resumes them."""
    for endpoint in WebhookEndpoint.objects.filter(pk__in=keys, is_active=True).select_related("organisation"):
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(is_active=False)
        _give_up(endpoint, "somebody else had the account that added it.")
        audit.record(by, "webhook.paused", endpoint.organisation, endpoint=endpoint.pk)


def _give_up(endpoint: WebhookEndpoint, reason: str) -> None:
    endpoint.messages.filter(state=MessageState.QUEUED).update(
        state=MessageState.FAILED, error=f"The endpoint was paused: {reason}"[:500]
    )


@transaction.atomic
def note_webhook_failure(endpoint: WebhookEndpoint, reason: str, *, is_gone: bool, now: dt.datetime) -> None:
    """Let an endpoint that failed rest. Pause it if it wants no more (`is_gone`) or has failed for a day.

    The circuit breaker: while an endpoint rests, its messages wait and lose no attempt.
    """
    found = WebhookEndpoint.objects.select_for_update(no_key=True, of=["self"]).select_related("organisation")
    failed = found.filter(pk=endpoint.pk, is_active=True).first()
    if failed is None:
        return
    failed.failures += 1
    failed.failing_since = failed.failing_since or now
    failed.rests_until = now + backoff.wait(failed.failures, random.random(), LONGEST_REST)  # noqa: S311  # jitter is no secret
    failed.is_active = not is_gone and now - failed.failing_since < PATIENCE_WITH_ENDPOINT
    failed.save(update_fields=["failures", "failing_since", "rests_until", "is_active"])
    if not failed.is_active:
        _announce_pause(failed, reason, now)


def _announce_pause(endpoint: WebhookEndpoint, reason: str, now: dt.datetime) -> None:
    """Give up what waits for a paused endpoint, and tell its organisation."""
    _give_up(endpoint, reason)
    audit.record(None, "webhook.paused", endpoint.organisation, endpoint=endpoint.pk, reason=reason)
    queue(
        "webhook.paused",
        endpoint.organisation,
        {
            "organisation_id": str(endpoint.organisation_id),
            "endpoint_id": str(endpoint.pk),
            # Not the whole address, which may hold a password for the system behind it.
            "host": urlsplit(endpoint.url).hostname or "",
            "since_at": (endpoint.failing_since or now).isoformat(),
            "reason": reason,
        },
        key=f"webhook.paused:{endpoint.pk}:{now.isoformat()}",
    )


def note_webhook_success(endpoint: WebhookEndpoint) -> None:
    """Close the circuit: the endpoint takes messages again."""
    if endpoint.failures:
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(failures=0, failing_since=None, rests_until=None)


@transaction.atomic
def resume_webhook(endpoint: WebhookEndpoint, *, by: User, now: dt.datetime | None = None) -> None:
    """Use a paused endpoint again, and send what it missed in the last days. Raises `webhook_in_use`."""
    now = now or timezone.now()
    paused = WebhookEndpoint.objects.filter(pk=endpoint.pk, is_active=False)
    if not paused.update(is_active=True, failures=0, failing_since=None, rests_until=None):
        raise RuleViolation("webhook_in_use", _("This webhook is in use already."))
    missed = endpoint.messages.filter(state=MessageState.FAILED, created_at__gte=now - KEEP_MISSED)
    missed.update(state=MessageState.QUEUED, attempts=0, due_at=now, error="")
    audit.record(by, "webhook.resumed", endpoint.organisation, endpoint=endpoint.pk)


@transaction.atomic
def test_webhook(endpoint: WebhookEndpoint, *, by: User) -> Message:
    """Queue a `webhook.test` for this endpoint alone. The returned message shows later whether it arrived."""
    message = Message.objects.create(
        event="webhook.test",
        key=f"webhook.test:{secrets.token_hex(8)}",  # each test is a message of its own
        context={"endpoint": str(endpoint.pk)},
        channel=Channel.WEBHOOK,
        address=f"webhook:{endpoint.pk}",
        organisation=endpoint.organisation,
        endpoint=endpoint,
    )
    audit.record(by, "webhook.tested", endpoint.organisation, endpoint=endpoint.pk)
    return message


def purge(*, now: dt.datetime | None = None) -> dict[str, int]:
    """Delete messages, notifications and used links that need not be kept any more. Returns how many of each."""
    now = now or timezone.now()
    sent = Message.objects.filter(state=MessageState.SENT, sent_at__lt=now - KEEP_SENT).order_by("sent_at")
    failed = Message.objects.failed().filter(updated_at__lt=now - KEEP_FAILED).order_by("-pk")
    # Keys grow with time, so no index by time is needed: all before the first that is young are old.
    seen = Notification.objects.filter(created_at__lt=now - KEEP_NOTIFICATIONS).order_by("pk")
    if young := Notification.objects.filter(created_at__gte=now - KEEP_NOTIFICATIONS).order_by("pk").first():
        seen = seen.filter(pk__lt=young.pk)
    used = UsedLink.objects.filter(used_at__lt=now - KEEP_USED_LINKS).order_by("used_at")
    return {
        "messages": delete_in_batches(sent) + delete_in_batches(failed),
        "notifications": delete_in_batches(seen),
        "links": delete_in_batches(used),
    }


def warn_of_change(user: User, change: str, *, address: str = "", network: str = "") -> None:
    """Tell a person that their account was changed, with a link to take it back, in the transaction of the caller.

    `change` is a word that the template knows. `address` is where the owner was reached before the change; `network` is
    the address of the computer from which it came.
    """
    # Each change is told, however many there are.
    facts = {"change": change, "network": network, "changed_at": timezone.now().isoformat()}
    queue("account.changed", user, facts, key=f"account.changed:{secrets.token_hex(8)}", address=address)
