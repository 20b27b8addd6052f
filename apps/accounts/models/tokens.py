from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken

from apps.catalogue.models import Region


class TokenScope(models.TextChoices):
    READ = "read", _("read what the user may see")
    WRITE = "write", _("post, answer, ship and confirm")
    EXPORTS = "exports", _("pull exports")
    CONTACTS = "contacts", _("see contacts that are revealed to the user")
    TOKENS = "tokens", _("make other tokens")


class ApiToken(AbstractAuthToken):
    """A key for programs: kept as a hash, shown once, with scopes, an expiry and optionally one region."""

    name = models.CharField(_("name"), max_length=100, help_text=_("What it is for, e.g. “provincial dashboard”."))
    scopes = ArrayField(models.CharField(max_length=20, choices=TokenScope.choices), verbose_name=_("scopes"))
    region = models.ForeignKey(
        Region, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("only this region")
    )
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(scopes__contained_by=TokenScope.values, scopes__len__gt=0),
                name="token_scopes_known",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.token_key}…)"
