"""Celery's way into supply."""

from celery import shared_task

from apps.notifications.tasks import clear_wake_mark, wake, wake_senders, wake_while
from apps.supply import freshness, importing
from apps.supply.models import SheetImport


@shared_task
def sweep() -> dict[str, int]:
    """What time does to offers: ask before they go stale, suspend what nobody confirmed. Goes on until none is due."""
    clear_wake_mark(sweep)
    done = {"asked": freshness.ask_whether_still_there(), "suspended": freshness.suspend_stale()}
    # The sweep has queued messages. Their own sweep would find them too, but later.
    if any(done.values()):
        wake_senders()
        wake(sweep)
    return done


@shared_task
def import_sheets() -> bool:
    """Read or save one sheet of offers, and go on if more are waiting."""
    clear_wake_mark(import_sheets)
    more = importing.import_due()
    if more:
        wake(import_sheets)
    return more


@shared_task
def purge_imports() -> int:
    """Delete sheets whose import was over a week ago."""
    return importing.purge()


wake_while(import_sheets, SheetImport.objects.due)
