"""Celery's way into what is kept for exports, and what is published."""

from celery import shared_task

from apps.exports import publishing, region_sums, services
from apps.notifications.tasks import clear_wake_mark


@shared_task
def forget_tombstones() -> int:
    """Delete tombstones that are older than they are kept; returns how many."""
    return services.forget_tombstones()


@shared_task
def publish() -> bool:
    """Count the public sums of this hour, unless they are there."""
    return publishing.publish()


@shared_task
def count_regions() -> int:
    """Count the sums of regions that readers found too old; returns of how many."""
    clear_wake_mark(count_regions)
    return region_sums.count_asked()
