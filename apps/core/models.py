"""Times that the database keeps, and the audit trail."""

import datetime as dt
from typing import Any, ClassVar

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class HourOf(Func):
    """The hour in which an instant lies, as the instant when it began."""

    function = "date_bin"
    template = "%(function)s(interval '1 hour', %(expressions)s, timestamptz '2000-01-01 00:00:00+00')"
    output_field = models.DateTimeField()


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
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Trigger(
                name="keep_updated_at",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                func="NEW.updated_at = clock_timestamp(); RETURN NEW;",
            )
        ]

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
