"""How acts get into the audit trail: services record them, and triggers note what changes in tables of accounts."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import connection, models, transaction

from apps.core.models import AuditEntry
from apps.core.triggers import noted_statements


def record(actor: AbstractBaseUser | None, event: str, target: models.Model, **data: Any) -> AuditEntry:
    """Note in the caller's transaction that `actor` (None: the platform itself) did `event` to `target`.

    `event` is `noun.past`, e.g. `contact.revealed`; `data` must be JSON.
    """
    # Written in the same transaction: no act is without its entry, and no entry without its act.
    entry = _entry(actor, event, target, data)
    entry.save(force_insert=True)
    return entry


def record_each(
    actor: AbstractBaseUser | None, event: str, targets: Iterable[tuple[models.Model, dict[str, Any]]]
) -> None:
    """The same for many targets, each with its data, in one statement."""
    AuditEntry.objects.bulk_create([_entry(actor, event, target, data) for target, data in targets])


def has_done(actor: AbstractBaseUser, event: str, target: models.Model) -> bool:
    """Whether the trail says that `actor` did `event` to `target`."""
    about = AuditEntry.objects.filter(target_type=target._meta.label_lower, target_id=str(target.pk))
    return about.filter(actor_id=actor.pk, event=event).exists()


def _entry(actor: AbstractBaseUser | None, event: str, target: models.Model, data: dict[str, Any]) -> AuditEntry:
    return AuditEntry(
        actor=actor if actor is not None and actor.pk else None,  # type: ignore[misc]  # AUTH_USER_MODEL lives above us
        event=event,
        target_type=target._meta.label_lower,
        target_id=str(target.pk),
        data=data,
    )


def acting(actor: AbstractBaseUser | AnonymousUser | None) -> None:
    """Tell the triggers that note changes in this transaction who acts (None: the platform itself)."""
    with connection.cursor() as cursor:
        # It ends with the transaction, so it never passes to another request on the same connection.
        cursor.execute("SELECT set_config('cosmomatch.actor', %s, true)", [str(getattr(actor, "pk", None) or "")])


def names_actor(actor: Callable[[], AbstractBaseUser | AnonymousUser]) -> Callable[..., Any]:
    """A wrapper for `connection.execute_wrapper`: triggers note the user that `actor()` gives.

    It is asked at each statement, because a program is known only after its token was read. Only statements that a
    trigger notes cost a query more.
    """

    def wrapper(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        if not isinstance(sql, str) or not sql.startswith(_noted_statements()):
            return execute(sql, params, many, context)
        with transaction.atomic(savepoint=False):
            acting(actor())
            return execute(sql, params, many, context)

    return wrapper


# Once for each process: the triggers are known when all models are.
_noted_statements = cache(noted_statements)
