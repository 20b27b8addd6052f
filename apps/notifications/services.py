"""The verbs of the outbox: the only writer of this app's tables."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings

from apps.accounts.models import Membership, Organisation, User
from apps.accounts.permissions import Role
from apps.notifications.models import Channel, Message, Notification, WebhookEndpoint


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
            messages.append(Message(channel=Channel.EMAIL, address=recipient.contact_email, language="zh-hans"))
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
