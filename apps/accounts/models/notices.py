from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.accounts.models.organisations import Organisation
from apps.accounts.models.users import User


class PendingNotice(models.Model):
    """An event of this app that somebody must be told. This app is below the outbox, which takes these rows from here.

    It is for an organisation, a person, or an address that may belong to nobody here.
    """

    event = models.CharField(max_length=60)
    key = models.CharField(max_length=160)
    context: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    organisation = models.ForeignKey(Organisation, models.CASCADE, null=True, related_name="+")
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="+")
    email = models.EmailField(max_length=254, blank=True)
    language = models.CharField(max_length=10, blank=True)

    class Meta:
        verbose_name = _("pending notice")
        verbose_name_plural = _("pending notices")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(organisation__isnull=False, user__isnull=True, email="")
                | models.Q(organisation__isnull=True, user__isnull=False, email="")
                | (models.Q(organisation__isnull=True, user__isnull=True) & ~models.Q(email="")),
                name="pending_notice_for_one",
            )
        ]

    def __str__(self) -> str:
        return f"{self.event} → {self.organisation_id or self.user_id or self.email}"
