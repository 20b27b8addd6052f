"""Sends the outbox: claims a batch, sends it outside any transaction, then marks each message.

Delivery is at least once. If a worker dies after handing a message over and before marking it, the message is sent
again when the lease ends, with the same id. `due_at` is both lease and back-off. Together with the number of attempts
it says which worker owns a message, so a slow worker marks nothing that another one has claimed since.
"""

import datetime as dt
import random
import time
from collections.abc import Callable
from typing import Final

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apps.notifications import backoff
from apps.notifications.channels import DeliveryError, EndpointGoneError, Sender, email, sms, webhook
from apps.notifications.models import Channel, Message, MessageState, WebhookEndpoint

log = structlog.get_logger(__name__)

# Messages that one connection sends in a row before the next channel has its turn.
BATCH: Final = 50
# Longer than the slowest batch, which stops taking up messages after BATCH_SECONDS.
LEASE: Final = dt.timedelta(seconds=120)
BATCH_SECONDS: Final = 60
# One task runs no longer than this; the next wake-up or beat goes on.
RUN_SECONDS: Final = 60
# How soon the rest of a batch is tried again when its route is down.
ROUTE_DOWN: Final = dt.timedelta(seconds=20)

_SENDERS: Final[dict[str, Callable[[], Sender]]] = {
    Channel.WEBHOOK: webhook.WebhookSender,
    Channel.SMS: sms.SmsSender,
    Channel.EMAIL: email.EmailSender,
}


def send_due(*, now: dt.datetime | None = None) -> int:
    """Send what is due, channel by channel in turn; returns how many messages were handed over.

    Safe to run twice and side by side. A channel that is down is left alone for the rest of the run.
    """
    until = time.monotonic() + RUN_SECONDS
    # Channels take turns by batches, so a crowd of e-mails does not delay webhooks.
    up = dict(_SENDERS)
    sent = 0
    while up and time.monotonic() < until:
        for channel, sender in list(up.items()):
            batch = _claim(channel, now or timezone.now())
            handed_over, is_up = _send_batch(batch, sender, now) if batch else (0, True)
            sent += handed_over
            # A batch that is not full was the last one of its channel.
            if len(batch) < BATCH or not is_up:
                del up[channel]
    return sent


@transaction.atomic
def _claim(channel: str, now: dt.datetime) -> list[Message]:
    """Take up to `BATCH` due messages for the time of the lease."""
    due = Message.objects.due(now).filter(channel=channel).select_related("user", "endpoint")
    # Several workers claim side by side: each skips the rows that another one has locked.
    batch = list(due.select_for_update(of=["self"], skip_locked=True, no_key=True).order_by("due_at", "pk")[:BATCH])
    lease_ends = now + LEASE
    # The attempt is counted at the claim, because the count and the lease together name the claim (`_own`).
    Message.objects.filter(pk__in=[message.pk for message in batch]).update(
        attempts=F("attempts") + 1, due_at=lease_ends
    )
    for message in batch:
        message.attempts += 1
        message.due_at = lease_ends
    return batch


def _send_batch(batch: list[Message], sender: Callable[[], Sender], now: dt.datetime | None) -> tuple[int, bool]:
    """How many were handed over, and whether the channel as a whole is up."""
    # Past this time the rest of the batch is put back, so that no message outlives its lease while it waits.
    until = time.monotonic() + BATCH_SECONDS
    down: set[str] = set()
    sent = 0
    with sender() as channel:
        for message in batch:
            route = _route(message)
            if route in down or time.monotonic() > until:
                _put_back(message, now or timezone.now())
                continue
            try:
                channel.send(message)
            except DeliveryError as error:
                if error.unreachable:
                    down.add(route)
                _mark_failure(message, error, now or timezone.now())
            except Exception as error:  # one message that cannot be rendered must not hold up the others
                log.exception("message_broken", message=message.pk, message_event=message.event)
                _mark_failure(message, DeliveryError(f"{type(error).__name__}: {error}"), now or timezone.now())
            else:
                sent += _mark_sent(message, now or timezone.now())
    # One endpoint that is down says nothing about the others, so webhooks as a whole are never down.
    # The route of a channel with one server is the channel itself.
    return sent, not (down & set(Channel.values))


def _route(message: Message) -> str:
    """The route that is down if this message cannot be delivered.

    A channel has one server; each webhook has an endpoint of its own.
    """
    return message.address if message.channel == Channel.WEBHOOK else message.channel


def _own(message: Message, **changes: object) -> int:
    """Change the message if its lease is still ours."""
    # Each claim changes both columns, so they name the claim.
    mine = Message.objects.filter(
        pk=message.pk, state=MessageState.QUEUED, attempts=message.attempts, due_at=message.due_at
    )
    return mine.update(**changes)


def _mark_sent(message: Message, now: dt.datetime) -> int:
    return _own(message, state=MessageState.SENT, sent_at=now, error="")


def _put_back(message: Message, now: dt.datetime) -> None:
    """Release a message that was not tried. The claim had counted an attempt, which is taken back."""
    _own(message, attempts=message.attempts - 1, due_at=now + ROUTE_DOWN)


def _mark_failure(message: Message, error: DeliveryError, now: dt.datetime) -> None:
    # PostgreSQL stores no NUL, and a server may answer anything.
    reason = str(error).replace("\x00", "")[:500]
    for_good = error.permanent or message.attempts >= backoff.MAX_ATTEMPTS
    log.warning(
        "message_failed" if for_good else "message_delayed",
        message=message.pk,
        channel=message.channel,
        message_event=message.event,
        attempts=message.attempts,
        reason=reason,
    )
    if for_good:
        _own(message, state=MessageState.FAILED, error=reason)
    else:
        due_at = now + backoff.wait(message.attempts, random.random())  # noqa: S311  # jitter is no secret
        _own(message, due_at=due_at, error=reason)
    if isinstance(error, EndpointGoneError) and message.endpoint_id:
        WebhookEndpoint.objects.filter(pk=message.endpoint_id).update(is_active=False)
