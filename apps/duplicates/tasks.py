"""Celery's way into duplicates."""

from typing import Final

from celery import shared_task

from apps.duplicates import merging, services
from apps.notifications.tasks import clear_wake_mark, wake

# Organisations looked at in one turn: some seconds, and then others have theirs.
TURN: Final = 200


@shared_task
def look() -> int:
    """Look at organisations that are new or changed, and go on if there are more."""
    clear_wake_mark(look)
    looked = services.look_for_duplicates(limit=TURN)
    if looked >= TURN:
        wake(look)
    return looked


@shared_task
def follow() -> int:
    """Move what was posted for an organisation while it was merged."""
    return merging.follow_merges()
