"""Versions of the policy, and drafts of the next."""

from functools import cached_property
from typing import Any, ClassVar, Final, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.accounts.permissions import Permission, can
from apps.core.models import TimeStamped
from apps.policy.values import PolicyValues

BUILT_IN: Final = 1


class PolicyQuerySet(models.QuerySet["Policy"]):
    def current(self) -> "Policy":
        """The newest version. Until somebody makes one, it is version 1 with the defaults of the code.

        This costs one query, so code that decides many things reads it once and passes it on.
        """
        return self.order_by("-version").first() or Policy(version=BUILT_IN)


class Policy(TimeStamped):
    """One version of the numbers by which goods are given out. Never changed: a change is a new version."""

    version = models.PositiveIntegerField(_("version"), primary_key=True)
    settings: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(_("settings"), default=dict)
    note = models.CharField(_("why"), max_length=500, blank=True)
    made_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("by"))

    objects = PolicyQuerySet.as_manager()

    class Meta(TimeStamped.Meta):
        verbose_name = _("policy")
        verbose_name_plural = _("policies")

    def __str__(self) -> str:
        return str(self.version)

    @property
    def is_built_in(self) -> bool:
        """Whether this version is only in the code and not in the database."""
        return self._state.adding

    @cached_property
    def values(self) -> PolicyValues:
        return PolicyValues.from_json(self.settings)


class DraftState(models.TextChoices):
    OPEN = "open", _("Draft")
    IN_FORCE = "in_force", _("Put into force")
    DISCARDED = "discarded", _("Discarded")


class PolicyDraftQuerySet(models.QuerySet["PolicyDraft"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Coordinators of every region see all drafts."""
        return self.all() if can(user, Permission.COORDINATE) else self.none()

    def open(self) -> Self:
        return self.filter(state=DraftState.OPEN)


class PolicyDraft(TimeStamped):
    """Settings that somebody proposes. They are valid, and are looked at before they are put into force or discarded.

    A draft can be put into force only while `based_on` is the newest version.
    """

    based_on = models.PositiveIntegerField(_("based on version"))
    settings: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(_("settings"))
    made_by = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("by"))
    state = models.CharField(_("state"), max_length=10, choices=DraftState.choices, default=DraftState.OPEN)
    # The version that the draft became. It proves what was looked at before it was put into force.
    became = models.OneToOneField(
        Policy, models.PROTECT, null=True, blank=True, related_name="draft", verbose_name=_("version")
    )

    objects = PolicyDraftQuerySet.as_manager()

    MOVES: ClassVar = {
        DraftState.OPEN: frozenset({DraftState.IN_FORCE, DraftState.DISCARDED}),
        DraftState.IN_FORCE: frozenset(),
        DraftState.DISCARDED: frozenset(),
    }

    class Meta(TimeStamped.Meta):
        verbose_name = _("draft of a policy")
        verbose_name_plural = _("drafts of a policy")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=DraftState.values), name="policy_draft_state_known"),
            models.CheckConstraint(
                condition=Q(state=DraftState.IN_FORCE, became__isnull=False)
                | (~Q(state=DraftState.IN_FORCE) & Q(became=None)),
                name="policy_draft_in_force_is_a_version",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["-id"], condition=Q(state=DraftState.OPEN), name="policy_draft_open")]

    def __str__(self) -> str:
        return f"{self.pk}"

    @cached_property
    def values(self) -> PolicyValues:
        return PolicyValues.from_json(self.settings)
