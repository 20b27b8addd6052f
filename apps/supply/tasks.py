"""Celery's way into supply."""

import threading
from typing import Final

from celery import shared_task

from apps.notifications.tasks import clear_wake_mark, wake, wake_senders
from apps.supply import importing, services

_UNDER_WAY: Final = threading.Lock()


@shared_task
def sweep() -> dict[str, int]:
    """What time does to offers: ask before they go stale, suspend what nobody confirmed."""
    done = {"asked": services.ask_whether_still_there(), "suspended": services.suspend_stale()}
    # The sweep has queued messages. Their own sweep would find them too, but later.
    if any(done.values()):
        wake_senders()
    return done


@shared_task
def import_sheets() -> bool:
    """Read or save one sheet of offers, and go on if more are waiting."""
    clear_wake_mark(import_sheets)
    # It shares a process with the senders of messages: a second sheet beside it would take a thread of theirs.
    if not _UNDER_WAY.acquire(blocking=False):
        return False
    try:
        more = importing.import_due()
    finally:
        _UNDER_WAY.release()
    if more:
        wake(import_sheets)
    return more


@shared_task
def purge_imports() -> int:
    """Delete sheets whose import was over a week ago."""
    return importing.purge()
