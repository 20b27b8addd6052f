"""The outbox against a real mail server: refused, rejected, cut off, raced and killed, and nothing lost or doubled."""

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from django.conf import settings
from django.db import connection, connections
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apps.accounts.models import Organisation, User
from apps.core.errors import RuleViolation
from apps.notifications import backoff, sending, services
from apps.notifications.models import Channel, Message, MessageState, Notification, UsedLink
from tests.factories import OrganisationFactory, UserFactory, member, region
from tests.notifications.receivers import PostOffice, Receiver
from tests.notifications.test_rendering import ORDER

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]


def letters(number: int, *, first: int = 0, organisation: Organisation | None = None) -> list[Message]:
    facts = ORDER | {"reason": "Fire"}
    return Message.objects.bulk_create(
        Message(
            event="order.cancelled",
            key=f"order.cancelled:{index}",
            context=facts,
            channel=Channel.EMAIL,
            address=f"person{index}@example.org",
            organisation=organisation,
        )
        for index in range(first, first + number)
    )


def states() -> Counter[str]:
    return Counter(Message.objects.values_list("state", flat=True))


def later(**span: float) -> dt.datetime:
    return timezone.now() + dt.timedelta(**span)


def test_a_mail_arrives_with_both_bodies_in_the_language_of_its_reader(office: PostOffice, buyer: User) -> None:
    User.objects.update(language="zh-hans")
    services.queue("order.cancelled", User.objects.get(), ORDER | {"reason": "着火"}, key="1")

    assert sending.send_due() == 1

    message = Message.objects.get()
    [mail] = office.mails
    assert (message.state, message.attempts, message.error) == (MessageState.SENT, 1, "")
    assert message.sent_at is not None
    assert mail["To"] == "buyer@example.org"
    assert mail["Message-ID"] == f"<{message.uid}@{settings.SITE_HOST}>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Content-Language"] == "zh-hans"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    plain, html = [part.get_content() for part in mail.iter_parts()]
    assert "着火" in plain
    assert "着火" in html


def test_a_batch_takes_one_connection(office: PostOffice) -> None:
    letters(30)

    assert sending.send_due() == 30
    assert (len(office.mails), office.connections) == (30, 1)


def test_what_is_sent_is_not_sent_again_and_what_is_not_due_waits(office: PostOffice) -> None:
    letters(2)
    Message.objects.filter(address="person1@example.org").update(due_at=later(minutes=1))

    assert (sending.send_due(), sending.send_due()) == (1, 0)
    assert sending.send_due(now=later(minutes=2)) == 1
    assert len(set(office.ids)) == 2


def test_a_mail_server_that_refuses_then_accepts_gets_every_mail_once(office: PostOffice) -> None:
    letters(60)
    office.close()

    assert sending.send_due() == 0
    assert states() == {MessageState.QUEUED: 60}
    waiting = Message.objects.exclude(error="")
    assert waiting.count() == sending.BATCH, "one connection is enough to see that nobody is there"
    assert "cannot be reached" in waiting[0].error
    assert set(Message.objects.values_list("attempts", flat=True)) == {0}, "nothing was tried"

    office.open()
    assert sending.send_due(now=later(minutes=5)) == 60
    assert states() == {MessageState.SENT: 60}
    assert len(set(office.ids)) == len(office.ids) == 60


def test_a_dead_mail_server_holds_up_nobody_else(
    office: PostOffice, partner_system: Receiver, hospital: Organisation, buyer: User
) -> None:
    letters(200)
    services.add_webhook(hospital, url=partner_system.url, by=buyer)
    office.close()
    for number in range(3):
        services.queue("order.cancelled", hospital, ORDER | {"reason": ""}, key=str(number))

    began = time.monotonic()
    assert sending.send_due() == 3
    assert time.monotonic() - began < 10
    assert len(partner_system.requests) == 3
    assert not Message.objects.filter(channel=Channel.EMAIL, attempts__gt=0).exists()


def test_an_outage_of_hours_delays_no_mail_by_more_than_its_route_rests(office: PostOffice) -> None:
    letters(3)
    office.close()
    moment = timezone.now()
    for _turn in range(3 * 12):
        sending.send_due(Channel.EMAIL, now=moment)
        moment += dt.timedelta(minutes=5)

    office.open()
    assert sending.send_due(Channel.EMAIL, now=moment + sending.ROUTE_DOWN) == 3


def test_a_renewed_lease_keeps_its_messages() -> None:
    letters(3)
    now = timezone.now()
    batch = sending._claim(Message.objects.due(now), now, most=9)

    assert sending._renew(batch, now + sending.LEASE * 0.9)
    ended = now + sending.LEASE
    assert sending._claim(Message.objects.due(ended), ended, most=9) == []
    assert [sending._mark_sent(message, ended) for message in batch] == [1, 1, 1]


def test_what_failed_before_is_claimed_alone_and_last() -> None:
    letters(4)
    Message.objects.filter(key__in=["order.cancelled:0", "order.cancelled:1"]).update(attempts=1)
    now = timezone.now()

    claims = [sending._claim(Message.objects.due(now), now, most=9) for _turn in range(4)]

    assert [[message.key[-1] for message in batch] for batch in claims] == [["2", "3"], ["0"], ["1"], []]


def test_a_rejected_recipient_is_given_up_and_the_others_get_their_mail(office: PostOffice) -> None:
    letters(5)
    office.refused = {"person2@example.org": "550 5.1.1 no such person", "person3@example.org": "451 4.7.1 greylisted"}

    assert sending.send_due() == 3

    gone, later_on = Message.objects.get(key="order.cancelled:2"), Message.objects.get(key="order.cancelled:3")
    assert (gone.state, gone.error) == (MessageState.FAILED, "550 5.1.1 no such person")
    assert (later_on.state, later_on.error) == (MessageState.QUEUED, "451 4.7.1 greylisted")
    assert later_on.due_at > timezone.now() + dt.timedelta(seconds=20)

    office.refused = {}
    assert sending.send_due(now=later(minutes=2)) == 1
    assert states() == {MessageState.SENT: 4, MessageState.FAILED: 1}


def test_rejected_content_is_given_up_and_a_busy_server_is_tried_again(office: PostOffice) -> None:
    letters(1)
    office.answer = "452 try again later"
    assert sending.send_due() == 0
    assert states() == {MessageState.QUEUED: 1}

    office.answer = "554 we do not like it"
    assert sending.send_due(now=later(minutes=5)) == 0
    assert states() == {MessageState.FAILED: 1}


def test_a_server_that_hangs_up_gets_the_rest_on_a_new_connection(office: PostOffice) -> None:
    letters(10)
    office.hang_up_after = 4

    assert sending.send_due() == 10

    # The fourth was taken in and never answered: sent again with the same id, by which its receiver knows it.
    assert office.connections == 2
    assert len(office.mails) == 11
    assert len(set(office.ids)) == 10
    assert states() == {MessageState.SENT: 10}


def test_an_address_that_is_none_is_given_up(office: PostOffice) -> None:
    letters(3)
    Message.objects.filter(key="order.cancelled:0").update(address="a@example.org\nBcc: all@example.org")
    Message.objects.filter(key="order.cancelled:1").update(address="")

    assert sending.send_due() == 1
    assert states() == {MessageState.FAILED: 2, MessageState.SENT: 1}


def test_a_message_that_cannot_be_rendered_waits_and_holds_up_no_other(office: PostOffice) -> None:
    letters(3)
    Message.objects.filter(key="order.cancelled:0").update(event="no.such_event")

    assert sending.send_due() == 2

    broken = Message.objects.get(event="no.such_event")
    assert (broken.state, broken.attempts) == (MessageState.QUEUED, 1)
    assert broken.error == "TemplateDoesNotExist: no.such_event.txt"


def test_after_ten_attempts_in_about_two_days_a_message_has_failed(office: PostOffice) -> None:
    letters(1)
    office.answer = "451 later"
    began = moment = timezone.now()

    for attempt in range(1, backoff.MAX_ATTEMPTS + 1):
        sending.send_due(now=moment)
        message = Message.objects.get()
        assert message.attempts == attempt
        moment = message.due_at

    assert message.state == MessageState.FAILED
    assert dt.timedelta(days=1.4) < moment - began < dt.timedelta(days=2.4)


def test_the_waits_grow_up_to_a_limit_and_differ_a_little() -> None:
    waits = [backoff.wait(attempt, 0.5) for attempt in range(1, 200)]

    assert waits == sorted(waits)
    assert waits[0] == dt.timedelta(seconds=30)
    assert waits[-1] == backoff.LONGEST
    assert sum(waits[:9], dt.timedelta()) < dt.timedelta(days=2)
    assert backoff.wait(1, 0) == dt.timedelta(seconds=24)
    assert backoff.wait(1, 1) == dt.timedelta(seconds=36)


def test_who_lost_the_lease_marks_nothing() -> None:
    letters(1)
    now = timezone.now()
    [slow] = sending._claim(Message.objects.due(now), now, most=9)
    assert sending._claim(Message.objects.due(now), now, most=9) == []
    later_on = now + sending.LEASE
    [quick] = sending._claim(Message.objects.due(later_on), later_on, most=9)

    assert sending._mark_sent(slow, now) == 0
    assert not sending._renew([slow], now)
    sending._put_back([slow], now)
    assert Message.objects.get().attempts == 2
    assert sending._mark_sent(quick, now) == 1


def test_a_failed_message_is_sent_again_when_the_desk_says_so(office: PostOffice, coordinator: User) -> None:
    letters(1)
    office.refused = {"person0@example.org": "550 no such person"}
    sending.send_due()
    message = Message.objects.failed().get()
    office.refused = {}

    services.retry_message(message, by=coordinator)

    assert sending.send_due() == 1
    with pytest.raises(RuleViolation, match="not possible any more"):
        services.retry_message(Message.objects.get(), by=coordinator)


def test_what_was_sent_long_ago_is_forgotten(office: PostOffice, buyer: User) -> None:
    letters(3)
    sending.send_due()
    letter_ids = list(Message.objects.order_by("pk").values_list("pk", flat=True))
    Message.objects.filter(pk=letter_ids[0]).update(sent_at=later(days=-91))
    Message.objects.filter(pk=letter_ids[1]).update(state=MessageState.FAILED, sent_at=later(days=-91))
    UsedLink.objects.create(digest="old", user=buyer, used_at=later(days=-61))
    UsedLink.objects.create(digest="new", user=buyer)

    assert services.purge() == {"messages": 1, "notifications": 0, "links": 1}
    assert list(Message.objects.order_by("pk").values_list("pk", flat=True)) == letter_ids[1:]
    assert UsedLink.objects.get().digest == "new"


@pytest.mark.parametrize("people", [1, 12])
def test_queueing_takes_the_same_queries_for_one_person_and_for_twelve(
    people: int, hospital: Organisation, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _person in range(people):
        member(hospital)

    with django_assert_num_queries(4):
        services.queue("order.cancelled", hospital, ORDER | {"reason": ""}, key="1")

    assert Message.objects.count() == Notification.objects.count() == people


def test_the_same_thing_is_told_once_and_a_viewer_is_not_told(
    hospital: Organisation, buyer: User, colleague: User
) -> None:
    for _time in range(2):
        services.queue("order.cancelled", hospital, ORDER | {"reason": ""}, key="1")

    assert [notification.user for notification in Notification.objects.all()] == [buyer]
    assert [message.address for message in Message.objects.all()] == [buyer.email]


def test_an_organisation_without_people_is_told_at_its_contact_address() -> None:
    for code in ("420106", "IT-25"):
        clinic = OrganisationFactory.create(region=region(code))
        services.queue("order.cancelled", clinic, ORDER | {"reason": ""}, key=code)

    assert list(Message.objects.order_by("pk").values_list("language", flat=True)) == ["zh-hans", "en"]


def test_people_mark_their_own_notifications_as_read(buyer: User, stranger: User) -> None:
    for number in range(3):
        for user in (buyer, stranger):
            services.queue("order.cancelled", user, ORDER | {"reason": ""}, key=str(number))
    mine = Notification.objects.filter(user=buyer).order_by("pk")
    theirs = Notification.objects.filter(user=stranger)

    assert services.mark_read(buyer, [mine[0].pk, theirs[0].pk]) == 1
    assert theirs.unread().count() == 3
    assert services.mark_read(buyer) == 2
    assert services.mark_read(buyer) == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.servers
def test_eight_senders_at_once_send_each_of_two_hundred_exactly_once(office: PostOffice) -> None:
    letters(200)
    at_once = Barrier(8)

    def run(_number: int) -> int:
        at_once.wait()
        try:
            return sending.send_due()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(run, range(8)))

    assert sum(sent) == 200
    assert len(office.ids) == len(set(office.ids)) == 200
    assert states() == {MessageState.SENT: 200}
    assert set(Message.objects.values_list("attempts", flat=True)) == {1}


SENDER = """
import django; django.setup()
from apps.notifications.sending import send_due
send_due()
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.servers
def test_a_killed_sender_loses_nothing_and_repeats_at_most_one_with_its_id(office: PostOffice) -> None:
    UserFactory.create()
    OrganisationFactory.create()
    letters(40)
    office.seconds_per_mail = 0.05
    parts = connection.settings_dict
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "cosmomatch.settings",
        "DATABASE_URL": f"postgresql://{parts['USER']}@/{parts['NAME']}?host={parts['HOST']}",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(office.port),
        "EMAIL_SECURITY": "none",
    }
    sender = subprocess.Popen([sys.executable, "-c", SENDER], cwd=ROOT, env=environment)
    deadline = time.monotonic() + 60
    while len(office.mails) < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    sender.send_signal(signal.SIGKILL)
    sender.wait()
    office.seconds_per_mail = 0
    sent_before = states()[MessageState.SENT]

    assert 0 < sent_before < 40
    assert sending.send_due() == 0, "the lease of the dead still runs"
    assert sending.send_due(now=timezone.now() + sending.LEASE) == 40 - sent_before

    assert states() == {MessageState.SENT: 40}
    assert set(office.ids) == {f"<{uid}@{settings.SITE_HOST}>" for uid in Message.objects.values_list("uid", flat=True)}
    assert len(office.ids) - 40 <= 1
