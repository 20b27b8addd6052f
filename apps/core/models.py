"""Times that the database keeps, and the audit trail."""

import datetime as dt
from typing import Any, ClassVar, TypeVar

import pgtrigger
from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

Row = TypeVar("Row", bound=models.Model)


class HourOf(Func):
    """The hour in which an instant lies, as the instant when it began."""

    function = "date_bin"
    template = "%(function)s(interval '1 hour', %(expressions)s, timestamptz '2000-01-01 00:00:00+00')"
    output_field = models.DateTimeField()


def keeps_updated_at(condition: pgtrigger.Condition | None = None) -> pgtrigger.Trigger:
    """On which updates: all by default."""
    return pgtrigger.Trigger(
        name="keep_updated_at",
        when=pgtrigger.Before,
        operation=pgtrigger.Update,
        condition=condition,
        func="NEW.updated_at = clock_timestamp(); RETURN NEW;",
    )


class KeyedQuerySet(models.QuerySet[Row]):
    """Rows that many take at once: who takes several takes them in the order of their keys."""

    @transaction.atomic
    def update_in_order(self, **changes: Any) -> int:
        """`update` takes the rows in any order, and could wait in a circle with whoever takes them by key."""
        rows = list(self.select_for_update(of=["self"], no_key=True).order_by("pk").values_list("pk", flat=True))
        return self.model._default_manager.filter(pk__in=rows).update(**changes)


class TimeStamped(models.Model):
    """Rows that know when they were made and last changed.

    A trigger moves `updated_at` on every change, whichever way it is made, by the clock of the database: an incremental
    export relies on no path being able to forget it.
    """

    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("changed"), db_default=Now(), editable=False)

    # What sorts rows by their change, and has an index where changes are pulled.
    BY_CHANGE: ClassVar[tuple[str, ...]] = ("updated_at", "pk")

    class Meta:
        abstract = True
        triggers: ClassVar[list[pgtrigger.Trigger]] = [keeps_updated_at()]

    @classmethod
    def changed_since(cls, moment: dt.datetime) -> Q:
        """Changed at `moment` or later."""
        return Q(updated_at__gte=moment)


class Counted(TimeStamped):
    """Rows with counters that change all the time.

    Their index of changes holds the hour only, so that all but the first change within an hour leave every index alone
    and the new version of the row stays on its page (heap-only). No other index may hold what is counted.
    """

    updated_hour = models.GeneratedField(
        expression=HourOf(F("updated_at")), output_field=models.DateTimeField(), db_persist=True
    )

    BY_CHANGE: ClassVar = ("updated_hour", *TimeStamped.BY_CHANGE)

    class Meta(TimeStamped.Meta):
        abstract = True
        # Counting says when it did so, for a tenth of what a call of the trigger costs; whoever does not is corrected.
        triggers: ClassVar = [keeps_updated_at(condition=pgtrigger.Condition("NEW.updated_at <= OLD.updated_at"))]

    @classmethod
    def changed_since(cls, moment: dt.datetime) -> Q:
        """Changed at `moment` or later: the hour finds them, the time decides."""
        return super().changed_since(moment) & Q(updated_hour__gte=HourOf(Value(moment)))


class AuditEntry(models.Model):
    """Something that somebody must be able to answer for: who did what to which row, when. Never changed, never
    deleted.
    """

    at = models.DateTimeField(_("at"), db_default=Now(), editable=False)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("who")
    )
    event = models.CharField(_("what"), max_length=80)
    target_type = models.CharField(_("kind of target"), max_length=80)
    target_id = models.CharField(_("target"), max_length=40)
    data: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(_("details"), default=dict)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        indexes: ClassVar = [models.Index(fields=["target_type", "target_id", "at"], name="audit_by_target")]
        triggers: ClassVar = [
            pgtrigger.Protect(name="never_changed", operation=pgtrigger.Update | pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.target_type} {self.target_id}"
