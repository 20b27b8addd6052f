"""Celery's way into what is kept for exports, and what is published."""

from celery import shared_task

from apps.exports import publishing, services


@shared_task
def forget_tombstones() -> int:
    """Delete tombstones that are older than they are kept; returns how many."""
    return services.forget_tombstones()


@shared_task
def publish() -> bool:
    """Count the public sums of this hour, unless they are there."""
    return publishing.publish()
