"""The one way to write the audit trail."""

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models

from apps.core.models import AuditEntry


def record(actor: AbstractBaseUser | None, event: str, target: models.Model, **data: Any) -> AuditEntry:
    """Note in the caller's transaction that `actor` (None: the platform itself) did `event` to `target`.

    `event` is `noun.past`, e.g. `contact.revealed`; `data` must be JSON.
    """
    # Written in the same transaction: no act is without its entry, and no entry without its act.
    return AuditEntry.objects.create(
        actor=actor if actor is not None and actor.pk else None,  # type: ignore[misc]  # AUTH_USER_MODEL lives above us
        event=event,
        target_type=target._meta.label_lower,
        target_id=str(target.pk),
        data=data,
    )
