"""What was published, so that the next publication can be held against it."""

from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class Publication(models.Model):
    """The public sums of one hour, as everybody read them. There is at most one an hour."""

    hour = models.DateTimeField(_("hour"), unique=True)
    sums: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(_("sums"))
    # When numbers were published that were not renewed since, by side, item and region.
    held: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(_("held back since"), default=dict)

    class Meta:
        verbose_name = _("publication")
        verbose_name_plural = _("publications")
        default_permissions: ClassVar = ()

    def __str__(self) -> str:
        return str(self.hour)
