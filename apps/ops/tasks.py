"""The heartbeat: that it runs proves beat, Redis and a worker at once."""

from celery import shared_task


@shared_task
def heartbeat() -> None:
    """Say that a worker works."""
