"""What is deleted when its time is over, and that the beat does it."""

import datetime as dt
import re
from pathlib import Path

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.utils import timezone

from apps.accounts import invitations, tasks
from apps.accounts.access import KEEP_ENDED_TOKENS
from apps.accounts.models import ApiToken, Invitation, Organisation, User
from apps.accounts.services import issue_token
from apps.notifications.models import Message, MessageState, Notification
from apps.notifications.services import KEEP_FAILED, KEEP_NOTIFICATIONS, KEEP_SENT, KEEP_USED_LINKS, purge
from apps.portal.entrance.sessions import forget_ended
from apps.supply import importing
from cosmomatch.celery import app
from tests.portal.conftest import Login

pytestmark = pytest.mark.django_db

DAY = dt.timedelta(days=1)


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


def test_tokens_and_invitations_go_some_time_after_they_ended(buyer: User, hospital: Organisation) -> None:
    now = timezone.now()
    for name, ended in (("old", KEEP_ENDED_TOKENS + DAY), ("ended", KEEP_ENDED_TOKENS - DAY), ("running", -DAY)):
        token, _text = issue_token(buyer, name=name, scopes=["read"])
        ApiToken.objects.filter(pk=token.pk).update(expiry=now - ended)
    for name, ended in (("old", invitations.KEEP + DAY), ("over", invitations.KEEP - DAY), ("open", -DAY)):
        invited = invitations.invite(hospital, f"{name}@example.org", role="member", by=buyer)
        Invitation.objects.filter(pk=invited.pk).update(expires_at=now - ended)

    assert tasks.purge() == {"tokens": 1, "invitations": 1}
    assert set(ApiToken.objects.values_list("name", flat=True)) == {"ended", "running"}
    assert set(Invitation.objects.values_list("email", flat=True)) == {"over@example.org", "open@example.org"}


TABLE = (Path(__file__).parents[2] / "docs/privacy.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("what", "kept"),
    [
        ("invitations to an address", invitations.KEEP),
        ("tokens of programs", KEEP_ENDED_TOKENS),
        ("messages that were sent", KEEP_SENT),
        ("messages that were sent", KEEP_FAILED),
        ("notifications in the inbox", KEEP_NOTIFICATIONS),
        ("links that were used", KEEP_USED_LINKS),
        ("sheets of offers", importing.KEEP),
    ],
)
def test_the_table_of_retention_says_as_many_days_as_the_code(what: str, kept: dt.timedelta) -> None:
    (row,) = re.findall(rf"^\| {what}.*$", TABLE, re.MULTILINE)
    assert re.findall(r"(\d+) days", row) == [str(kept.days)]


def test_the_beat_runs_every_task_that_the_table_of_retention_names() -> None:
    named = set(re.findall(r"`(apps\.[a-z_.]+)`", TABLE))

    assert len(named) > 4
    assert named <= {entry["task"] for entry in app.conf.beat_schedule.values()}
