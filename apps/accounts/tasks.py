"""Celery's way into accounts."""

from celery import shared_task

from apps.accounts import access, invitations


@shared_task
def purge() -> dict[str, int]:
    """Delete tokens and invitations that ended long ago; returns how many of each."""
    return {"tokens": access.forget_ended_tokens(), "invitations": invitations.forget_old()}
