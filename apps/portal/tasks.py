"""Celery's way into the portal's own rows."""

from celery import shared_task

from apps.portal.entrance import sessions


@shared_task
def forget_ended_sessions() -> int:
    """Delete sessions that have run out; returns how many."""
    return sessions.forget_ended()
