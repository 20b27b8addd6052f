"""Answers that are kept for a while, so that a request can be repeated."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User


class IdempotencyKey(models.Model):
    """A POST that a client may send again, and its answer. The transaction of the action writes both."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+", verbose_name=_("user"))
    key = models.CharField(_("key"), max_length=255)
    fingerprint = models.CharField(_("fingerprint of the request"), max_length=64)
    # None until the request is answered, which no other transaction ever sees.
    status = models.PositiveSmallIntegerField(_("status"), null=True)
    body = models.TextField(_("answer"), blank=True)
    # The index is for `forget_old`.
    created_at = models.DateTimeField(_("created"), db_default=models.functions.Now(), db_index=True)

    class Meta:
        verbose_name = _("idempotency key")
        verbose_name_plural = _("idempotency keys")
        # By user, so that nobody can guess another's key and read the answer.
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return self.key
