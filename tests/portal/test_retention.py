"""What is deleted when its time is over, and that the beat does it."""

import datetime as dt
import re
from pathlib import Path

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.utils import timezone

from apps.accounts.models import User
from apps.notifications.models import Message, MessageState, Notification
from apps.notifications.services import KEEP_FAILED, KEEP_NOTIFICATIONS, purge
from apps.portal.entrance.sessions import forget_ended
from cosmomatch.celery import app
from tests.portal.conftest import Login

pytestmark = pytest.mark.django_db


def test_sessions_and_their_browsers_go_when_they_have_run_out(log_in: Login, buyer: User, supplier: User) -> None:
    for user in (buyer, supplier):
        log_in(user).get("/needs/")
    ended, running = Session.objects.order_by("pk")
    long_ago = timezone.now() - dt.timedelta(days=2)
    Session.objects.filter(pk=ended.pk).update(expire_date=long_ago)
    UserSession.objects.all().delete()
    for session, user in ((ended, buyer), (running, supplier)):
        UserSession.objects.create(user=user, session_key=session.pk, ip="203.0.113.7", user_agent="x")
    UserSession.objects.update(last_seen_at=long_ago)

    assert forget_ended() == 1
    assert Session.objects.get() == running
    assert UserSession.objects.get().session_key == running.pk


def test_old_failures_and_notifications_are_forgotten(buyer: User) -> None:
    now = timezone.now()
    facts = {"event": "x", "channel": "email", "address": "a@example.org", "state": MessageState.FAILED}
    Message.objects.create(key="old", updated_at=now - KEEP_FAILED - dt.timedelta(days=1), **facts)
    Message.objects.create(key="new", **facts)
    for number in range(2):
        Notification.objects.create(user=buyer, event="x", key=str(number))
    Notification.objects.filter(key="0").update(created_at=now - KEEP_NOTIFICATIONS - dt.timedelta(days=1))

    assert purge(now=now) == {"messages": 1, "notifications": 1, "links": 0}
    assert (Message.objects.get().key, Notification.objects.get().key) == ("new", "1")


def test_the_beat_runs_every_task_that_the_table_of_retention_names() -> None:
    table = (Path(__file__).parents[2] / "docs/privacy.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(apps\.[a-z_.]+)`", table))

    assert len(named) > 4
    assert named <= {entry["task"] for entry in app.conf.beat_schedule.values()}
