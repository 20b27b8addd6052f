"""Who sees to a need, and what was tried for it by people. What the program tried stands in matches and escalations."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.core.models import TimeStamped
from apps.demands.models import Demand
from apps.matching.models import Match
from apps.supply.models import Offer


class Handling(TimeStamped):
    """Which coordinator sees to a need. Without a row nobody does."""

    demand = models.OneToOneField(
        Demand, models.CASCADE, primary_key=True, related_name="handling", verbose_name=_("need")
    )
    owner = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("who sees to it"))
    since = models.DateTimeField(_("since"))

    class Meta(TimeStamped.Meta):
        verbose_name = _("handling")
        verbose_name_plural = _("handlings")

    def __str__(self) -> str:
        return f"{self.demand}: {self.owner}"


class NoteKind(models.TextChoices):
    NOTE = "note", _("Note")
    ASKED = "asked", _("Asked now")
    YES = "yes", _("Called: yes")
    NO = "no", _("Called: no")
    NO_ANSWER = "no_answer", _("Called: no answer")


class DeskNote(TimeStamped):
    """What a coordinator wrote down about a need, or tried for it, for colleagues to read."""

    demand = models.ForeignKey(
        Demand, models.CASCADE, db_index=False, related_name="desk_notes", verbose_name=_("need")
    )
    by = models.ForeignKey(User, models.PROTECT, db_index=False, related_name="+", verbose_name=_("by"))
    kind = models.CharField(_("kind"), max_length=10, choices=NoteKind.choices, default=NoteKind.NOTE)
    text = models.CharField(_("text"), max_length=500, blank=True)
    # Whom it was about, if somebody was called or asked, and what they promised.
    offer = models.ForeignKey(
        Offer, models.PROTECT, db_index=False, null=True, blank=True, related_name="+", verbose_name=_("offer")
    )
    match = models.ForeignKey(Match, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("match"))
    quantity = models.BigIntegerField(_("quantity"), null=True, blank=True)

    class Meta(TimeStamped.Meta):
        verbose_name = _("note of the desk")
        verbose_name_plural = _("notes of the desk")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=NoteKind.values), name="desk_note_kind_known"),
            models.CheckConstraint(condition=Q(quantity=None) | Q(quantity__gt=0), name="desk_note_quantity_positive"),
            models.CheckConstraint(
                condition=Q(kind=NoteKind.NOTE, offer=None) & ~Q(text="") | ~Q(kind=NoteKind.NOTE) & ~Q(offer=None),
                name="desk_note_says_something",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["demand", "-id"], name="desk_note_of_need")]

    def __str__(self) -> str:
        return f"{self.demand}: {self.get_kind_display()}"
