"""Celery's way into demands."""

from celery import shared_task

from apps.demands import freshness
from apps.notifications.tasks import clear_wake_mark, wake, wake_senders


@shared_task
def sweep() -> dict[str, int]:
    """What time does to needs: ask before they go stale, suspend what nobody confirmed. Goes on until none is due."""
    clear_wake_mark(sweep)
    done = {"asked": freshness.ask_whether_still_needed(), "suspended": freshness.suspend_stale()}
    # The sweep has queued messages. Their own sweep would find them too, but later.
    if any(done.values()):
        wake_senders()
        wake(sweep)
    return done
