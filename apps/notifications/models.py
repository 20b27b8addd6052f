"""Notifications in the portal, and messages through other channels."""

import datetime as dt
import uuid
from collections.abc import Collection
from typing import Any, ClassVar, Final, Self

import pgtrigger
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q, Window
from django.db.models.functions import Coalesce, RowNumber
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, User
from apps.core.models import TimeStamped
from apps.core.triggers import Trigger


class Channel(models.TextChoices):
    EMAIL = "email", _("e-mail")
    SMS = "sms", _("text message")
    WEBHOOK = "webhook", _("webhook")


class MessageState(models.TextChoices):
    QUEUED = "queued", _("Waiting to be sent")
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Failed permanently")


class MessageUrgency(models.IntegerChoices):
    """What is told first: by the urgency of the need behind it."""

    EMERGENCY = 0, _("Emergency")
    URGENT = 1, _("Urgent")
    ROUTINE = 2, _("Routine")


class NotificationQuerySet(models.QuerySet["Notification"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        return self.filter(user=user) if user.is_authenticated else self.none()

    def unread(self) -> Self:
        return self.filter(read_at=None)


class Notification(models.Model):
    """One event in the portal's inbox of one person."""

    user = models.ForeignKey(User, models.CASCADE, related_name="notifications")
    event = models.CharField(max_length=60)
    key = models.CharField(max_length=160)  # the same key is told once to a user
    context: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=models.functions.Now())
    read_at = models.DateTimeField(null=True, blank=True)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "key"], name="notification_once")]
        # The list of one user, newest first; and the number of unread ones, which every page shows.
        indexes: ClassVar = [
            models.Index(fields=["user", "-id"], name="notification_by_user"),
            models.Index(fields=["user"], condition=Q(read_at=None), name="notification_unread"),
        ]

    def __str__(self) -> str:
        return f"{self.event} → {self.user_id}"


class WebhookEndpointQuerySet(models.QuerySet["WebhookEndpoint"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Only an organisation's own people see its endpoints, and coordinators do not."""
        if not user.is_authenticated:
            return self.none()
        own = self.filter(organisation__in=[grant.organisation_id for grant in user.grants])
        if user.region_limit:
            return own.filter(organisation__region__path__startswith=user.region_limit.path)
        return own


class WebhookEndpoint(TimeStamped):
    """The address of an organisation's own system that receives events, signed as Standard Webhooks says."""

    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="webhooks")
    url = models.URLField(_("address"), max_length=500)
    secret = models.CharField(_("signing secret"), max_length=120, editable=False)
    events = ArrayField(
        models.CharField(max_length=60), default=list, blank=True, help_text=_("Event names; empty means all.")
    )
    is_active = models.BooleanField(_("in use"), default=True)
    # The circuit breaker: since when each attempt has failed, how many did, and until when nothing is tried.
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True, editable=False)
    failures = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    rests_until = models.DateTimeField(null=True, blank=True, editable=False)

    objects = WebhookEndpointQuerySet.as_manager()

    class Meta(TimeStamped.Meta):
        verbose_name = _("webhook endpoint")
        verbose_name_plural = _("webhook endpoints")

    def __str__(self) -> str:
        return self.url


class MessageQuerySet(models.QuerySet["Message"]):
    def due(self, now: dt.datetime) -> Self:
        return self.filter(state=MessageState.QUEUED, due_at__lte=now)

    def these(self, keys: Collection[int]) -> Self:
        """The messages with these keys that are still in the queue.

        The state is said in such a way that no index of the queue serves. PostgreSQL would read all of it while it
        believes it to be short: from the beginning of a backlog until the table is analysed.
        """
        return self.filter(pk__in=keys).exclude(state__in=(MessageState.SENT, MessageState.FAILED))

    def failed(self) -> Self:
        return self.filter(state=MessageState.FAILED)

    def in_order(self) -> Self:
        """What is urgent first, then by turn: as the index of the queue has them."""
        return self.order_by("urgency", "turn_at", "pk")

    def first_of_each(self) -> Self:
        """The first message of each recipient, in the order of the queue. Reads all rows."""
        place = Window(RowNumber(), partition_by=RECIPIENT, order_by=["urgency", "turn_at", "pk"])
        return self.annotate(place=place).filter(place=1).in_order()


# An organisation, or a person to whom a message belongs by itself.
RECIPIENT: Final = Coalesce(F("organisation"), -F("user"), 0)
# What waits for one recipient and is as urgent, as one number: with two columns the planner could take the index of the
# queue, and walk it from the end to a message of this recipient.
LINE: Final = RECIPIENT * 4 + F("urgency")
# Run when a message is queued. The expression is `LINE`, as PostgreSQL has to find it in the index.
TAKES_TURNS: Final = """
    NEW.turn_at = greatest(clock_timestamp(), (
        SELECT turn_at + interval '1 second' FROM notifications_message
        WHERE state = 'queued' AND channel = NEW.channel
            AND coalesce(organisation_id, user_id * -1, 0) * 4 + urgency
                = coalesce(NEW.organisation_id, NEW.user_id * -1, 0) * 4 + NEW.urgency
        ORDER BY turn_at DESC LIMIT 1
    ));
    RETURN NEW;
"""


class Message(TimeStamped):
    """One delivery to one address through one channel. Sent at least once; `uid` lets the receiver drop a repeat."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    event = models.CharField(max_length=60)
    key = models.CharField(max_length=160)
    context: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    channel = models.CharField(max_length=10, choices=Channel.choices)
    address = models.CharField(max_length=500)
    language = models.CharField(max_length=10, default="en")
    # Whom the message is for. `address` is a copy of theirs, so a message is kept when they are deleted.
    user = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="messages")
    organisation = models.ForeignKey(Organisation, models.SET_NULL, null=True, blank=True, related_name="messages")
    # Nothing can be sent to an endpoint that is gone, so its messages go with it.
    endpoint = models.ForeignKey(WebhookEndpoint, models.CASCADE, null=True, blank=True, related_name="messages")

    state = models.CharField(max_length=10, choices=MessageState.choices, default=MessageState.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    urgency = models.SmallIntegerField(db_default=MessageUrgency.ROUTINE, choices=MessageUrgency.choices)
    # Its place among those that are as urgent: when it was queued, or a second after the last one that waits for the
    # same recipient, if that is later. So a crowd of messages to one recipient delays no other.
    turn_at = models.DateTimeField(db_default=models.functions.Now(), editable=False)
    # No worker touches the message before this time. It is the lease while one sends, and the back-off after a failure.
    # No index holds it, so that a claim moves no row in any index.
    due_at = models.DateTimeField(db_default=models.functions.Now())
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)

    objects = MessageQuerySet.as_manager()

    MOVES: ClassVar = {
        MessageState.QUEUED: frozenset({MessageState.SENT, MessageState.FAILED}),
        MessageState.SENT: frozenset(),
        MessageState.FAILED: frozenset({MessageState.QUEUED}),
    }

    class Meta(TimeStamped.Meta):
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        triggers: ClassVar = [
            *TimeStamped.Meta.triggers,
            Trigger(
                name="take_turns",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.UpdateOf("state"),  # type: ignore[no-untyped-call]  # no types
                condition=pgtrigger.Q(new__state="queued"),
                func=TAKES_TURNS,
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=MessageState.values), name="message_state_known"),
            models.CheckConstraint(
                condition=~Q(state=MessageState.SENT) | Q(sent_at__isnull=False), name="message_sent_at_known"
            ),
            # A caller that repeats itself, after a crash for example, sends nothing twice.
            models.UniqueConstraint(fields=["key", "channel", "address"], name="message_once"),
        ]
        # Partial, because nearly all messages are sent: the queue and the failed ones stay small. The last one is for
        # `purge`.
        indexes: ClassVar = [
            models.Index(
                fields=["channel", "urgency", "turn_at", "id"],
                condition=Q(state=MessageState.QUEUED),
                name="message_queue_in_order",
            ),
            models.Index(
                LINE,
                "channel",
                "turn_at",
                condition=Q(state=MessageState.QUEUED),
                name="message_last_of_recipient",
            ),
            models.Index(fields=["-id"], condition=Q(state=MessageState.FAILED), name="message_failed"),
            models.Index(fields=["sent_at"], condition=Q(state=MessageState.SENT), name="message_sent"),
        ]

    def __str__(self) -> str:
        return f"{self.event} → {self.address}"


class UsedLink(models.Model):
    """A one-click link that was used. The primary key makes a second use fail."""

    digest = models.CharField(max_length=64, primary_key=True)
    used_at = models.DateTimeField(db_default=models.functions.Now())
    user = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta:
        verbose_name = _("used link")
        verbose_name_plural = _("used links")
        indexes: ClassVar = [models.Index(fields=["used_at"], name="used_link_by_time")]  # for `purge`

    def __str__(self) -> str:
        return self.digest
