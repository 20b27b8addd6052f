"""What organisations are looked up by, and the pairs that are put before the desk."""

from typing import Any, ClassVar, Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, User
from apps.core.models import TimeStamped


class OrganisationKey(models.Model):
    """What an organisation is looked up by. It is made anew after each change of the organisation."""

    organisation = models.OneToOneField(Organisation, models.CASCADE, primary_key=True, related_name="+")
    name = models.CharField(max_length=200)
    code = models.CharField(max_length=40)
    phones = ArrayField(models.CharField(max_length=15))
    # A prefecture, or the region of the organisation where that is larger.
    city = models.CharField(max_length=10)
    street = models.CharField(max_length=80)
    # `updated_at` of the organisation as it was read.
    seen_at = models.DateTimeField()

    class Meta:
        verbose_name = _("key of an organisation")
        verbose_name_plural = _("keys of organisations")
        # One index for each way to find a candidate. The table is written seldom, so there is no pending list.
        indexes: ClassVar = [
            GinIndex(OpClass(F("name"), name="gin_trgm_ops"), name="duplicates_name_trgm", fastupdate=False),
            GinIndex(fields=["phones"], name="duplicates_by_phone", fastupdate=False),
            models.Index(fields=["code"], condition=~Q(code=""), name="duplicates_by_code"),
            models.Index(fields=["city", "street"], name="duplicates_by_street"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.city})"


class ProposalState(models.TextChoices):
    OPEN = "open", _("Waiting for a coordinator")
    DISMISSED = "dismissed", _("Two organisations")
    MERGED = "merged", _("Merged")


class DuplicateProposalQuerySet(models.QuerySet["DuplicateProposal"]):
    def waiting(self) -> Self:
        return self.filter(state=ProposalState.OPEN)

    def about(self, organisation: Organisation) -> Self:
        return self.filter(Q(first=organisation) | Q(second=organisation))

    def shown(self) -> Self:
        """With what the desk shows of a pair, in one query."""
        return self.select_related("first__region", "second__region", "proposed_by", "decided_by")


class DuplicateProposal(TimeStamped):
    """Two organisations that are likely one. The search proposes a pair once: a no is remembered.

    A coordinator may propose any pair by hand, also after a no. Then another one decides.
    """

    first = models.ForeignKey(Organisation, models.CASCADE, related_name="+", verbose_name=_("one organisation"))
    second = models.ForeignKey(Organisation, models.CASCADE, related_name="+", verbose_name=_("the other"))
    score = models.FloatField(_("evidence in bits"))
    # By fact, what was found: `evidence.WEIGHTS` has all facts and findings.
    findings: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(_("evidence"), default=dict)
    # Who proposed it by hand, and why; both are empty for a pair that was found.
    proposed_by = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("proposed by")
    )
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=ProposalState.choices, default=ProposalState.OPEN)
    note = models.CharField(_("note"), max_length=500, blank=True)
    decided_by = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("decided by")
    )

    objects = DuplicateProposalQuerySet.as_manager()

    MOVES: ClassVar[dict[Any, Any]] = {
        ProposalState.OPEN: frozenset({ProposalState.DISMISSED, ProposalState.MERGED}),
        ProposalState.DISMISSED: frozenset({ProposalState.OPEN}),
        ProposalState.MERGED: frozenset({ProposalState.OPEN}),
    }

    class Meta(TimeStamped.Meta):
        verbose_name = _("likely duplicate")
        verbose_name_plural = _("likely duplicates")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=ProposalState.values), name="proposal_state_known"),
            # The lower key first, so that a pair has one row.
            models.CheckConstraint(condition=Q(first__lt=F("second")), name="proposal_in_order"),
            models.UniqueConstraint(fields=["first", "second"], name="proposal_once"),
            models.CheckConstraint(
                condition=Q(proposed_by=None, reason="") | Q(proposed_by__isnull=False) & ~Q(reason=""),
                name="proposal_by_hand_has_a_reason",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["-score", "id"], condition=Q(state="open"), name="proposal_waiting"),
        ]

    def __str__(self) -> str:
        return f"{self.first} = {self.second}?"


class OrganisationMergeQuerySet(models.QuerySet["OrganisationMerge"]):
    def in_force(self) -> Self:
        return self.filter(undone_at=None)


class OrganisationMerge(TimeStamped):
    """One organisation was taken for another: who decided it, what was moved, and what the merged one was before."""

    survivor = models.ForeignKey(Organisation, models.PROTECT, related_name="+", verbose_name=_("merged into"))
    merged = models.ForeignKey(Organisation, models.PROTECT, related_name="+", verbose_name=_("merged"))
    with_people = models.BooleanField(_("its people came along"))
    note = models.CharField(_("note"), max_length=500, blank=True)
    # Primary keys of the rows that were moved, by the name of the relation (`merging.RELATIONS`).
    moved: models.JSONField[dict[str, list[int]], dict[str, list[int]]] = models.JSONField(default=dict, editable=False)
    # The columns of the merged organisation that a merge changes, as they were.
    before: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict, editable=False)
    # Primary keys of the posts that the merge suspended, in the same form.
    suspended: models.JSONField[dict[str, list[int]], dict[str, list[int]]] = models.JSONField(
        default=dict, editable=False
    )
    was_managed = models.BooleanField(default=False, editable=False)
    merged_by = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("merged by"))
    undone_at = models.DateTimeField(_("undone at"), null=True, blank=True)
    undone_by = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("undone by")
    )

    objects = OrganisationMergeQuerySet.as_manager()

    class Meta(TimeStamped.Meta):
        verbose_name = _("merge of organisations")
        verbose_name_plural = _("merges of organisations")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["merged"], condition=Q(undone_at=None), name="merged_once"),
            models.CheckConstraint(condition=~Q(survivor=F("merged")), name="merged_into_another"),
        ]

    def __str__(self) -> str:
        return f"{self.merged} → {self.survivor}"
