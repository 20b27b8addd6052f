"""Celery's way into what is kept for exports."""

from celery import shared_task

from apps.exports import services


@shared_task
def forget_tombstones() -> int:
    """Delete tombstones that are older than they are kept; returns how many."""
    return services.forget_tombstones()
