"""Versions of the policy."""

from typing import Any, Final

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.core.models import TimeStamped
from apps.policy.values import PolicyValues

BUILT_IN: Final = 1


class PolicyQuerySet(models.QuerySet["Policy"]):
    def current(self) -> "Policy":
        """The newest version; version 1, which stands in the code, while nobody has made another."""
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
    def values(self) -> PolicyValues:
        return PolicyValues.from_json(self.settings)
