"""Sends the outbox, each channel by itself: claims messages, sends them outside any transaction, then marks each.

Delivery is at least once. If a worker dies after handing a message over and before marking it, the message is sent
again when the lease ends, with the same id. `due_at` is both lease and back-off. The end of a lease also says whose a
message is, so a slow worker marks nothing that another one has claimed since. Leases are short, so that a dead worker's
messages wait no longer than half a minute, and are renewed while a batch goes on.

A claim counts an attempt before it is made. So a message that kills each sender is given up in the end.

What is told of urgent needs goes first. Among messages that are as urgent recipients take turns, so a crowd of messages
to one organisation delays no other. Webhooks are sent by a few threads. An organisation has at most one of them at a
time, so its slow endpoints cost only its own messages time.
"""

import datetime as dt
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import Final

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apps.notifications import backoff, services
from apps.notifications.channels import DeliveryError, EndpointGoneError, RouteDownError, Sender, email, sms, webhook
from apps.notifications.models import Channel, Message, MessageQuerySet, MessageState
from apps.notifications.promises import Promise, observe

log = structlog.get_logger(__name__)

# Messages that are claimed at once and sent through one connection.
BATCH: Final = 50
# Longer than one message takes; a batch that takes longer renews it after a third of it.
LEASE: Final = dt.timedelta(seconds=15)
# One task takes up messages no longer than this; the next wake-up or beat goes on.
RUN_SECONDS: Final = 60
# How soon a batch is tried again when its server is down. The server is asked by one message of each batch, and the
# first that is handed over releases all others.
ROUTE_DOWN: Final = dt.timedelta(seconds=20)
# Channels whose server this process found down, and not up again since.
_ROUTES_DOWN: Final[set[str]] = set()
# What is promised within seconds: that a supplier is asked, and that the other side hears of an answer.
PROMISED: Final = {"match.proposed": Promise.ASKED_TO_TOLD, "match.accepted": Promise.ANSWER_TO_TOLD}
# Webhooks under way at once, each to another organisation.
LANES: Final = 8
# While webhooks are under way and lanes are free, how often is looked for new ones.
LOOK_SECONDS: Final = 1


def send_due(*channels: str, now: dt.datetime | None = None) -> int:
    """Send what is due through these channels (all, if none is named); returns how many messages were handed over.

    Safe to run twice and side by side.
    """
    return sum(_SENDERS[channel](now) for channel in channels or _SENDERS)


def _send_emails(now: dt.datetime | None) -> int:
    return _send_one_by_one(Channel.EMAIL, email.EmailSender, now)


def _send_texts(now: dt.datetime | None) -> int:
    return _send_one_by_one(Channel.SMS, sms.SmsSender, now)


def _send_one_by_one(channel: str, sender: Callable[[], Sender], now: dt.datetime | None) -> int:
    """Send through a channel with one server, batch by batch, until nothing is due or the server is down."""
    until = time.monotonic() + RUN_SECONDS
    sent = 0
    is_up = True
    with ExitStack() as stack:
        connection: Sender | None = None
        while is_up and time.monotonic() < until:
            moment = now or timezone.now()
            batch = _claim(Message.objects.due(moment).filter(channel=channel).in_order(), moment, most=BATCH)
            if not batch:
                break
            connection = connection or stack.enter_context(sender())
            handed_over, is_up = _send_batch(batch, connection, until, now)
            _count_promises(batch)
            sent += handed_over
            if not is_up:
                _ROUTES_DOWN.add(channel)
            elif handed_over and channel in _ROUTES_DOWN:
                _ROUTES_DOWN.discard(channel)
                _release(channel, moment)
    return sent


def _release(channel: str, now: dt.datetime) -> None:
    """Let the messages for which there was no way to the other side wait no longer: the server is back."""
    waiting = Message.objects.filter(channel=channel, state=MessageState.QUEUED, attempts=0, due_at__gt=now)
    waiting.update(due_at=now)


def _send_webhooks(now: dt.datetime | None) -> int:
    """Send webhooks, several at once: one for each organisation, which then waits until the others had their turn."""
    until = time.monotonic() + RUN_SECONDS
    sent = 0
    under_way: dict[Future[None], Message] = {}
    had_their_turn: set[int] = set()
    with webhook.WebhookSender() as channel, ThreadPoolExecutor(LANES) as lanes:
        while True:
            batch: list[Message] = []
            if (free := LANES - len(under_way)) and time.monotonic() < until:
                busy = {message.organisation_id for message in under_way.values() if message.organisation_id}
                batch = _claim_webhooks(busy | had_their_turn, now, free)
                if not batch and had_their_turn - busy:
                    had_their_turn = set()  # a new round
                    batch = _claim_webhooks(busy, now, free)
            for message in batch:
                had_their_turn.add(message.organisation_id or 0)
                if _may_try(message, now or timezone.now()) and _fill(message, now or timezone.now()):
                    under_way[lanes.submit(channel.send, message)] = message

            # Threads only talk to the other side. The tables are written here, through one connection.
            done, _others = wait(under_way, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
            for attempt in done:
                sent += _mark(under_way.pop(attempt), attempt.exception(), now or timezone.now())
            if not batch and not under_way and not done:
                return sent


def _claim_webhooks(others: set[int], now: dt.datetime | None, most: int) -> list[Message]:
    """One due message for each organisation that is not among `others`, to endpoints that do not rest."""
    moment = now or timezone.now()
    due = Message.objects.due(moment).filter(channel=Channel.WEBHOOK).exclude(organisation__in=others)
    awake = due.exclude(endpoint__rests_until__gt=moment)
    return _claim(awake.first_of_each(), moment, most=most)


@transaction.atomic
def _claim(due: MessageQuerySet, now: dt.datetime, *, most: int) -> list[Message]:
    """Take the first messages of `due` for the time of the lease."""
    # Two steps, because a query with a window takes no locks.
    places = {pk: place for place, pk in enumerate(due.values_list("pk", flat=True)[:most])}
    free = Message.objects.these(places).filter(due_at__lte=now).select_related("user", "endpoint__organisation")
    # Several workers claim side by side: each skips the rows that another one has locked.
    batch = list(free.select_for_update(of=["self"], skip_locked=True, no_key=True))
    # What was tried before is claimed last and alone. So a message that kills its sender takes no others with it again.
    batch.sort(key=lambda message: (message.attempts, places[message.pk]))
    claimed = [message for message in batch if message.attempts == 0] or batch[:1]
    lease_ends = now + LEASE
    Message.objects.filter(pk__in=[message.pk for message in claimed]).update(
        due_at=lease_ends, attempts=F("attempts") + 1
    )
    for message in claimed:
        message.due_at = lease_ends
        message.attempts += 1
    return claimed


def _send_batch(batch: Sequence[Message], channel: Sender, until: float, now: dt.datetime | None) -> tuple[int, bool]:
    """How many were handed over, and whether the channel is up."""
    sent = 0
    for index, message in enumerate(batch):
        moment = now or timezone.now()
        if time.monotonic() > until:
            _put_back(batch[index:], moment)
            break
        if message.due_at - moment < LEASE * 2 / 3 and not _renew(batch[index:], moment):
            break  # This process was away for longer than its lease, and others send the rest.
        if not _may_try(message, moment):
            continue
        error: Exception | None = None
        try:
            channel.send(message)
        except RouteDownError as caught:
            log.warning("route_down", channel=message.channel, reason=_reason(caught))
            _put_back(batch[index:], (now or timezone.now()) + ROUTE_DOWN, _reason(caught))
            return sent, False
        except Exception as caught:  # noqa: BLE001  # one message that cannot be rendered must not hold up the others
            error = caught
        sent += _mark(message, error, now or timezone.now())
        if isinstance(error, DeliveryError) and error.unreachable:
            _put_back(batch[index + 1 :], (now or timezone.now()) + ROUTE_DOWN)
            return sent, False
    return sent, True


def _count_promises(batch: Iterable[Message]) -> None:
    """Count how long those of these messages waited that were handed over and are promised within seconds."""
    waited: dict[Promise, list[float]] = defaultdict(list)
    for message in batch:
        if message.sent_at and (promise := PROMISED.get(message.event)):
            waited[promise].append((message.sent_at - message.created_at).total_seconds())
    for promise, seconds in waited.items():
        observe(promise, seconds)


def _may_try(message: Message, now: dt.datetime) -> bool:
    """False for a message that is given up here, because the attempts that were counted ended their processes."""
    if message.attempts <= backoff.MAX_ATTEMPTS:
        return True
    message.attempts = backoff.MAX_ATTEMPTS
    _own([message], attempts=backoff.MAX_ATTEMPTS)
    _mark_failure(message, DeliveryError("Each sender ended while it sent this message.", permanent=True), now)
    return False


def _fill(message: Message, now: dt.datetime) -> bool:
    """Fill in what is told of the event, which reads tables; false if that fails."""
    try:
        message.context = webhook.data_of(message)
    except Exception as caught:  # noqa: BLE001  # one message that cannot be made must not hold up the others
        _mark(message, caught, now)
        return False
    return True


def _own(messages: Sequence[Message], **changes: object) -> int:
    """Change messages of one claim if their lease is still ours."""
    # A message is claimed again only after its lease, so the end of the lease names the claim.
    keys, lease_ends = [message.pk for message in messages], messages[0].due_at
    return Message.objects.these(keys).filter(due_at=lease_ends).update(**changes)


def _renew(batch: Sequence[Message], now: dt.datetime) -> bool:
    """Whether the lease was still ours; it is longer now."""
    lease_ends = now + LEASE
    ours = _own(batch, due_at=lease_ends) == len(batch)
    for message in batch:
        message.due_at = lease_ends
    return ours


def _mark(message: Message, error: BaseException | None, now: dt.datetime) -> int:
    """Note what became of an attempt; returns how many messages were handed over, 1 or 0."""
    if error is None:
        if message.endpoint is not None:
            services.note_webhook_success(message.endpoint)
        return _mark_sent(message, now)

    if not isinstance(error, Exception):
        raise error  # the process is to end
    if not isinstance(error, DeliveryError):
        log.error("message_broken", message=message.pk, message_event=message.event, exc_info=error)
        error = DeliveryError(f"{type(error).__name__}: {error}")
    _mark_failure(message, error, now)
    # Only an endpoint that was spoken to, or could not be, is at fault.
    is_gone = isinstance(error, EndpointGoneError)
    if message.endpoint is not None and (error.unreachable or is_gone):
        services.note_webhook_failure(message.endpoint, _reason(error), is_gone=is_gone, now=now)
    return 0


def _mark_sent(message: Message, now: dt.datetime) -> int:
    message.sent_at = now
    return _own([message], state=MessageState.SENT, sent_at=now, error="")


def _put_back(messages: Sequence[Message], due_at: dt.datetime, reason: str = "") -> None:
    """Release messages that were not handed over; this was no attempt of theirs."""
    if messages:
        _own(messages, due_at=due_at, attempts=F("attempts") - 1, error=reason)


def _mark_failure(message: Message, error: DeliveryError, now: dt.datetime) -> None:
    for_good = error.permanent or message.attempts >= backoff.MAX_ATTEMPTS
    log.warning(
        "message_failed" if for_good else "message_delayed",
        message=message.pk,
        channel=message.channel,
        message_event=message.event,
        attempts=message.attempts,
        reason=_reason(error),
    )
    if for_good:
        _own([message], state=MessageState.FAILED, error=_reason(error))
    else:
        due_at = now + backoff.wait(message.attempts, random.random())  # noqa: S311  # jitter is no secret
        # It takes a new place, so that claims need not pass over it until then.
        _own([message], due_at=due_at, turn_at=due_at, error=_reason(error))


def _reason(error: DeliveryError) -> str:
    # PostgreSQL stores no NUL, and a server may answer anything.
    return str(error).replace("\x00", "")[:500]


_SENDERS: Final[dict[str, Callable[[dt.datetime | None], int]]] = {
    Channel.WEBHOOK: _send_webhooks,
    Channel.SMS: _send_texts,
    Channel.EMAIL: _send_emails,
}
