"""Celery's way into the API's own rows."""

from celery import shared_task

from apps.api.protocol import idempotency


@shared_task
def forget_old_keys() -> int:
    """Delete the answers that need not be repeated any more; returns how many."""
    return idempotency.forget_old()
