"""Replays of what would have been under a draft of the policy."""

import datetime as dt
from typing import Any, ClassVar, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.core.models import TimeStamped
from apps.demands.models import Demand
from apps.policy.models import PolicyDraft


class ReplayState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")


class ReplayQuerySet(models.QuerySet["Replay"]):
    def due(self, now: dt.datetime) -> Self:
        """Nobody is at work on it, or whoever was has died."""
        # A claim is a lease: a worker that died loses it when its time is over.
        unclaimed = Q(claimed_until=None) | Q(claimed_until__lt=now)
        return self.filter(unclaimed, state__in=[ReplayState.WAITING, ReplayState.RUNNING])

    def over(self) -> Self:
        return self.filter(state__in=[ReplayState.DONE, ReplayState.FAILED])


class Replay(TimeStamped):
    """The needs of some days served once more, under the policy in force and under a draft: what would have been.

    Items that are linked by substitutes are a group; groups are replayed one by one, and what came of one is kept at
    once, so a worker that dies loses one group.
    """

    draft = models.ForeignKey(PolicyDraft, models.CASCADE, related_name="replays", verbose_name=_("draft"))
    # A copy, because the draft may be edited while it is replayed.
    settings: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(_("settings of the draft"))
    policy_version = models.PositiveIntegerField(_("compared with version"))
    requested_by = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("by"))
    since = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("until"))

    state = models.CharField(_("state"), max_length=10, choices=ReplayState.choices, default=ReplayState.WAITING)
    groups: models.JSONField[Any, Any] = models.JSONField(_("groups of items"), null=True, default=None)
    groups_done = models.PositiveIntegerField(_("groups done"), default=0)
    needs = models.PositiveIntegerField(_("needs"), default=0)
    left_out = models.PositiveIntegerField(_("needs left out"), default=0)
    apart = models.PositiveIntegerField(_("times that too much competed to be decided together"), default=0)
    differing = models.PositiveIntegerField(_("needs served otherwise"), default=0)
    totals: models.JSONField[Any, Any] = models.JSONField(_("sums"), default=dict)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ReplayQuerySet.as_manager()

    MOVES: ClassVar = {
        ReplayState.WAITING: frozenset({ReplayState.RUNNING, ReplayState.FAILED}),
        ReplayState.RUNNING: frozenset({ReplayState.DONE, ReplayState.FAILED}),
        ReplayState.DONE: frozenset(),
        ReplayState.FAILED: frozenset(),
    }

    class Meta(TimeStamped.Meta):
        verbose_name = _("replay of a draft")
        verbose_name_plural = _("replays of a draft")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=ReplayState.values), name="replay_state_known"),
            models.CheckConstraint(condition=Q(since__lt=F("until")), name="replay_since_before_until"),
            models.CheckConstraint(condition=Q(differing__lte=F("needs")), name="replay_differing_of_needs"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["id"], condition=Q(state__in=[ReplayState.WAITING, ReplayState.RUNNING]), name="replay_queue"
            )
        ]

    def __str__(self) -> str:
        return f"{self.draft} {self.since:%Y-%m-%d}"

    @property
    def is_over(self) -> bool:
        return self.state in {ReplayState.DONE, ReplayState.FAILED}

    @property
    def groups_in_all(self) -> int:
        return len(self.groups or ())


class ReplayedNeedQuerySet(models.QuerySet["ReplayedNeed"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        if not user.is_authenticated:
            return self.none()
        return self.filter(user.visibility("demand__organisation", "demand__region"))


class ReplayedNeed(models.Model):
    """A need that would have been served otherwise. Each side is a list of `[offer, quantity, hours after posting]`."""

    replay = models.ForeignKey(Replay, models.CASCADE, related_name="replayed", verbose_name=_("replay"))
    demand = models.ForeignKey(Demand, models.CASCADE, related_name="+", verbose_name=_("need"))
    before: models.JSONField[list[Any], list[Any]] = models.JSONField(_("under the policy in force"))
    after: models.JSONField[list[Any], list[Any]] = models.JSONField(_("under the draft"))

    objects = ReplayedNeedQuerySet.as_manager()

    class Meta:
        verbose_name = _("need replayed")
        verbose_name_plural = _("needs replayed")
        constraints: ClassVar = [models.UniqueConstraint(fields=["replay", "demand"], name="replayed_once")]
        indexes: ClassVar = [models.Index(fields=["replay", "-id"], name="replayed_by_replay")]

    def __str__(self) -> str:
        return f"{self.replay}: {self.demand}"
