"""Bases of models: times that the database keeps, queues of rows, and the audit trail."""

import datetime as dt
from collections.abc import Collection, Sequence
from functools import reduce
from operator import or_
from typing import Any, ClassVar, Self, TypeVar

import pgtrigger
from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.triggers import Protect, Trigger

Row = TypeVar("Row", bound=models.Model)


class HourOf(Func):
    """The hour of an instant, as the instant at which that hour began."""

    function = "date_bin"
    # In UTC, and immutable: PostgreSQL refuses `date_trunc` in a generated column, as it depends on the time zone.
    template = "%(function)s(interval '1 hour', %(expressions)s, timestamptz '2000-01-01 00:00:00+00')"
    output_field = models.DateTimeField()


def keeps_updated_at(condition: pgtrigger.Condition | None = None) -> Trigger:
    """A trigger that sets `updated_at` on every update, or on those that meet the condition.

    `clock_timestamp` and not `now()`: the latter is the start of the transaction, which may be long ago.
    """
    return Trigger(
        name="keep_updated_at",
        when=pgtrigger.Before,
        operation=pgtrigger.Update,
        condition=condition,
        func="NEW.updated_at = clock_timestamp(); RETURN NEW;",
    )


class OrderedUpdateQuerySet(models.QuerySet[Row]):
    """Rows that are locked in the order of their keys: two transactions then never wait for each other in a circle."""

    @transaction.atomic
    def update_in_order(self, **changes: Any) -> int:
        """Like `update`, which locks rows in any order and could deadlock with a statement that locks them by key.

        Returns the number of rows that were changed.
        """
        # NO KEY: other rows may point at these meanwhile, which takes a lock on their keys.
        rows = list(self.select_for_update(of=["self"], no_key=True).order_by("pk").values_list("pk", flat=True))
        return self.model._default_manager.filter(pk__in=rows).update(**changes)


class EitherQuerySet(OrderedUpdateQuerySet[Row]):
    """Rows that meet one of some conditions across different joins, such as those of either side of an order.

    PostgreSQL answers an OR across two joins by reading the whole table, and each side by itself from an index. So the
    rows are kept without the OR beside it (`apart`), for `first_keys`.
    """

    either: tuple[Q, ...] = ()
    apart: Self | None = None

    def _clone(self) -> Self:
        clone: Self = super()._clone()  # type: ignore[misc]  # Django's own way to carry more
        clone.either, clone.apart = self.either, self.apart
        return clone

    def that_meet(self, *conditions: Q) -> Self:
        rows = self.filter(reduce(or_, conditions))
        rows.either, rows.apart = conditions, self
        return rows

    def filter(self, *args: Any, **kwargs: Any) -> Self:
        rows = super().filter(*args, **kwargs)
        rows.apart = None if self.apart is None else self.apart.filter(*args, **kwargs)
        return rows

    def exclude(self, *args: Any, **kwargs: Any) -> Self:
        rows = super().exclude(*args, **kwargs)
        rows.apart = None if self.apart is None else self.apart.exclude(*args, **kwargs)
        return rows


def first_keys(rows: models.QuerySet[Any], number: int) -> list[Any]:
    """The keys of the first rows. Those of `that_meet` must be ordered by key."""
    if not isinstance(rows, EitherQuerySet) or rows.apart is None:
        return list(rows.values_list("pk", flat=True)[:number])
    apart = rows.apart.order_by(*rows.query.order_by)
    first, *others = [apart.filter(one).values_list("pk", flat=True)[:number] for one in rows.either]
    return sorted(first.union(*others), reverse=rows.query.order_by == ("-pk",))[:number]


class QueuedQuerySet(OrderedUpdateQuerySet[Row]):
    """Rows that are a queue of work for matching.

    A row is queued from `match_requested_at` on. A worker claims it until `match_claimed_until`; after that time, the
    worker is taken to be dead and the row is free again.
    """

    def awaiting_match(self, now: dt.datetime) -> Self:
        """Queued rows that no worker has claimed."""
        # A request may lie in the future (`finish(again=…, at=…)`), and is not due before.
        return self.filter(Q(match_claimed_until=None) | Q(match_claimed_until__lt=now), match_requested_at__lte=now)

    def next_to_match(self, now: dt.datetime) -> Self:
        """The same rows, locked, the longest waiting first. Rows that another worker is claiming are skipped."""
        due = self.awaiting_match(now).select_for_update(of=["self"], skip_locked=True, no_key=True)
        return due.order_by("match_requested_at", "pk")

    def claim(self, rows: Sequence[Row], *, until: dt.datetime) -> None:
        """Give locked rows to this worker until that time."""
        for row in rows:
            setattr(row, "match_claimed_until", until)  # noqa: B010  a field of whatever model it is
        # No condition is needed: `next_to_match` has locked these rows for the present transaction.
        self.filter(pk__in=[row.pk for row in rows]).update(match_claimed_until=until)

    @transaction.atomic
    def finish(self, claimed: Sequence[Row], *, again: Collection[Any] = (), at: dt.datetime | None = None) -> None:
        """Release claimed rows, and take them off the queue unless matching was requested again meanwhile.

        Rows that another worker has claimed since are left to it. The keys in `again` are queued for the time `at`.
        """
        # The time of the claim names its owner. A claim that has run out and was renewed by another worker differs in
        # it.
        ours = self._as_claimed(claimed, "match_claimed_until")
        keys = list(ours.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
        rows = self.filter(pk__in=keys)
        # The keys are read before the column is cleared, because the condition does not hold any more after that.
        done = list(rows.unasked_since(claimed).values_list("pk", flat=True))
        rows.filter(pk__in=done).update(match_requested_at=None)
        rows.filter(pk__in=set(done).intersection(again)).update(match_requested_at=at)
        rows.update(match_claimed_until=None)

    def unasked_since(self, claimed: Sequence[Row]) -> Self:
        """The claimed rows for which matching was not requested again since."""
        return self._as_claimed(claimed, "match_requested_at")

    def _as_claimed(self, claimed: Sequence[Row], field: str) -> Self:
        if not claimed:
            return self.none()
        return self.filter(reduce(or_, (Q(pk=row.pk, **{field: getattr(row, field)}) for row in claimed)))


class TimeStamped(models.Model):
    """Rows with the times at which they were created and last changed.

    A trigger sets `updated_at` on every change, by the clock of the database. Incremental exports rely on it, so no
    path may be able to forget it.
    """

    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("changed"), db_default=Now(), editable=False)

    # The order of rows by their last change. Tables from which changes are pulled have an index on it.
    BY_CHANGE: ClassVar[tuple[str, ...]] = ("updated_at", "pk")

    class Meta:
        abstract = True
        triggers: ClassVar[list[Trigger]] = [keeps_updated_at()]

    @classmethod
    def changed_since(cls, moment: dt.datetime) -> Q:
        """The condition that a row was changed at `moment` or later."""
        return Q(updated_at__gte=moment)


class HourStamped(TimeStamped):
    """Rows whose counters change all the time, so that their index of changes holds only the hour of the last one.

    All but the first change within an hour leave every index alone, and PostgreSQL keeps the new version of the row on
    its page (a heap-only tuple). No other index may contain a counter.
    """

    updated_hour = models.GeneratedField(
        expression=HourOf(F("updated_at")), output_field=models.DateTimeField(), db_persist=True
    )

    BY_CHANGE: ClassVar = ("updated_hour", *TimeStamped.BY_CHANGE)

    class Meta(TimeStamped.Meta):
        abstract = True
        # Statements that count set `updated_at` themselves, at a tenth of the cost of a trigger call. The trigger
        # corrects every statement that forgets it.
        triggers: ClassVar = [keeps_updated_at(condition=pgtrigger.Condition("NEW.updated_at <= OLD.updated_at"))]

    @classmethod
    def changed_since(cls, moment: dt.datetime) -> Q:
        """The same condition. The index finds the hour, and the exact time decides."""
        return super().changed_since(moment) & Q(updated_hour__gte=HourOf(Value(moment)))


class AuditEntryQuerySet(EitherQuerySet["AuditEntry"]):
    pass


class AuditEntry(models.Model):
    """One act that somebody is accountable for: who did what to which row, and when.

    A trigger refuses every change and deletion.
    """

    at = models.DateTimeField(_("at"), db_default=Now(), editable=False)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("who")
    )
    event = models.CharField(_("what"), max_length=80)
    target_type = models.CharField(_("kind of target"), max_length=80)
    # Text, as keys may be codes as well as numbers; no foreign key, as the target may be in any table.
    target_id = models.CharField(_("target"), max_length=40)
    data: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(_("details"), default=dict)

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        # Pages show the history of one row. The back office looks for a number, whatever it is the number of.
        indexes: ClassVar = [models.Index(fields=["target_id", "target_type", "at"], name="audit_by_row")]
        triggers: ClassVar = [
            Protect(name="never_changed", operation=pgtrigger.Update | pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.target_type} {self.target_id}"


class Restore(models.Model):
    """A time at which the database was put back to an earlier state (`manage.py after_restore`).

    What was told before it may be about rows that are gone, and whose keys were given again to others.
    """

    restored_at = models.DateTimeField(_("restored"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("restore")
        verbose_name_plural = _("restores")

    def __str__(self) -> str:
        return self.restored_at.isoformat()

    @classmethod
    def since(cls, moment: dt.datetime) -> bool:
        """Whether the database was restored after this moment."""
        return cls.objects.filter(restored_at__gt=moment).exists()
