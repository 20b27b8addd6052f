"""Sheets of offers on their way: one row is one file that somebody sent to be imported."""

import datetime as dt
from typing import Any, ClassVar, Self

from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, User
from apps.core.models import TimeStamped
from apps.core.states import may_move


class ImportState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    RUNNING = "running", _("Running")
    CHECKED = "checked", _("Checked")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


UNDER_WAY = (ImportState.WAITING, ImportState.RUNNING)


class SheetImportQuerySet(models.QuerySet["SheetImport"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """An organisation's own people see its imports, and whoever sent the sheet for it."""
        if not user.is_authenticated:
            return self.none()
        own = Q(organisation__in=[grant.organisation_id for grant in user.grants]) | Q(requested_by=user)
        if user.region_limit:
            own &= Q(organisation__region__path__startswith=user.region_limit.path)
        return self.filter(own)

    def due(self, now: dt.datetime) -> Self:
        """Nobody is at work on it, or whoever was has died."""
        # A claim is a lease: a worker that died loses it when its time is over.
        return self.filter(Q(claimed_until=None) | Q(claimed_until__lt=now), state__in=UNDER_WAY)

    def under_way(self) -> Self:
        return self.filter(state__in=UNDER_WAY)

    def over(self) -> Self:
        return self.exclude(state__in=UNDER_WAY)


class SheetImport(TimeStamped):
    """A sheet of offers that a worker reads, and saves once its sender has confirmed it.

    `checked` means that each row is read and nothing is saved: the sender has not confirmed, or rows have faults.
    """

    organisation = models.ForeignKey(
        Organisation, models.PROTECT, db_index=False, related_name="imports", verbose_name=_("organisation")
    )
    # A coordinator may send a sheet for an organisation.
    requested_by = models.ForeignKey(
        User, models.PROTECT, db_index=False, related_name="+", verbose_name=_("requested by")
    )
    language = models.CharField(_("language"), max_length=10)  # of its faults
    data = models.BinaryField(editable=False)  # the file, emptied when it is not needed any more
    publish = models.BooleanField(_("publish"), default=False)
    is_confirmed = models.BooleanField(_("confirmed"), default=False)

    state = models.CharField(
        _("state"), max_length=10, choices=ImportState.choices, default=ImportState.WAITING, editable=False
    )
    progress = models.PositiveSmallIntegerField(_("progress"), default=0, editable=False, help_text=_("Per cent."))
    # While its offers are saved: how many of how many. Both are 0 before.
    saved = models.PositiveIntegerField(_("saved rows"), default=0, editable=False)
    to_save = models.PositiveIntegerField(_("rows to save"), default=0, editable=False)
    # How each row was understood (`reading.describe`), and the names of columns that were left out.
    rows: models.JSONField[list[dict[str, Any]], list[dict[str, Any]]] = models.JSONField(
        _("rows"), default=list, editable=False
    )
    faulty = models.PositiveIntegerField(_("rows with faults"), default=0, editable=False)
    unknown_columns = ArrayField(models.CharField(max_length=200), default=list, editable=False)
    offers = ArrayField(models.BigIntegerField(), default=list, editable=False)
    # Why it failed: a public code, and words for its sender.
    problem_code = models.CharField(_("code"), max_length=40, blank=True, editable=False)
    problem = models.TextField(_("what is wrong"), blank=True, editable=False)

    # The number of an attempt names the claim, so that a worker which lost it writes nothing.
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)

    objects = SheetImportQuerySet.as_manager()

    MOVES: ClassVar = {
        ImportState.WAITING: frozenset({ImportState.RUNNING, ImportState.CANCELLED}),
        ImportState.RUNNING: frozenset(
            {ImportState.CHECKED, ImportState.DONE, ImportState.FAILED, ImportState.CANCELLED}
        ),
        ImportState.CHECKED: frozenset({ImportState.WAITING, ImportState.CANCELLED}),
        ImportState.DONE: frozenset(),
        ImportState.FAILED: frozenset(),
        ImportState.CANCELLED: frozenset(),
    }

    class Meta(TimeStamped.Meta):
        verbose_name = _("import of a sheet")
        verbose_name_plural = _("imports of sheets")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=ImportState.values), name="import_state_known"),
            models.CheckConstraint(condition=Q(progress__lte=100), name="import_progress_in_per_cent"),
            models.UniqueConstraint(
                fields=["organisation"], condition=Q(state__in=UNDER_WAY), name="import_one_under_way"
            ),
        ]
        # The list of an organisation, what a sender sees, and the queue.
        indexes: ClassVar = [
            models.Index(fields=["organisation", "-id"], name="import_by_organisation"),
            models.Index(fields=["requested_by"], name="import_by_sender"),
            models.Index(fields=["id"], condition=Q(state__in=UNDER_WAY), name="import_queue"),
        ]

    def __str__(self) -> str:
        return f"{self.organisation} {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def is_under_way(self) -> bool:
        return self.state in UNDER_WAY

    @property
    def can_be_confirmed(self) -> bool:
        return self.state == ImportState.CHECKED and not self.faulty

    @property
    def can_be_cancelled(self) -> bool:
        return may_move(self, ImportState.CANCELLED)
