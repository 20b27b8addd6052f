"""In which order messages are sent: emergencies first, whatever waits, and for the price of those that are sent."""

import datetime as dt
from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.notifications import sending, services
from apps.notifications.models import Channel, Message, MessageState, MessageUrgency
from tests.notifications.receivers import PostOffice
from tests.notifications.test_rendering import ORDER
from tests.notifications.test_sending import letters
from tests.plans import rows_read

pytestmark = pytest.mark.django_db

WAITING = 100_000


def tell(user: User, urgency: str) -> None:
    services.queue("order.cancelled", user, ORDER | {"reason": "", "urgency": urgency}, key=urgency)


def test_after_an_outage_emergencies_go_first_and_nothing_rests(office: PostOffice, buyer: User) -> None:
    letters(120)
    office.close()
    moment = timezone.now()
    for _minute in range(10):
        sending.send_due(Channel.EMAIL, now=moment)
        moment += dt.timedelta(minutes=6)
    # What was tried a moment ago rests, and an emergency with it.
    tell(buyer, "emergency")
    sending.send_due(Channel.EMAIL, now=moment)
    tell(buyer, "urgent")

    office.open()
    assert sending.send_due(Channel.EMAIL, now=moment + dt.timedelta(seconds=1)) == 122

    to_buyer = [place for place, mail in enumerate(office.mails) if mail["To"] == buyer.email]
    assert to_buyer == [0, sending.BATCH], "at once, and with the first batch after the server was found up"


def test_emergencies_overtake_a_backlog_that_waits(office: PostOffice, buyer: User) -> None:
    letters(120)
    tell(buyer, "emergency")

    sending.send_due(Channel.EMAIL)

    assert office.mails[0]["To"] == buyer.email


def test_a_crowd_to_one_recipient_is_overtaken_by_those_that_come_later(hospital: Organisation, buyer: User) -> None:
    for number in range(100):
        services.queue("order.cancelled", hospital, ORDER | {"reason": ""}, key=str(number))
    other = letters(1)[0]

    place = list(Message.objects.in_order().values_list("pk", flat=True)).index(other.pk)

    assert place < 50


def test_a_message_that_is_sent_again_takes_a_place_of_now() -> None:
    letters(2)
    first = Message.objects.in_order()[0]
    Message.objects.filter(pk=first.pk).update(state=MessageState.FAILED)

    Message.objects.filter(pk=first.pk).update(state=MessageState.QUEUED)

    assert Message.objects.in_order()[1].pk == first.pk


@pytest.fixture
def backlog(transactional_db: None) -> Iterator[None]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # without triggers it takes a second
        cursor.execute(
            "INSERT INTO notifications_message (uid, event, key, context, channel, address, language, state, attempts, "
            "error, urgency) SELECT gen_random_uuid(), 'order.cancelled', number, '{}', 'email', number, 'en', "
            "'queued', 0, '', number %% 3 FROM generate_series(1, %s) AS number",
            [WAITING],
        )
        cursor.execute("ANALYZE notifications_message")
    yield
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE notifications_message")  # rows that were rolled back would count as dead for all tests


@pytest.mark.usefixtures("backlog")
def test_a_claim_among_a_hundred_thousand_reads_what_it_takes() -> None:
    now = timezone.now()
    due = Message.objects.due(now).filter(channel=Channel.EMAIL)

    assert rows_read(lambda: list(due.in_order()[: sending.BATCH])) == sending.BATCH
    batch = sending._claim(due.in_order(), now, most=sending.BATCH)
    assert {message.urgency for message in batch} == {MessageUrgency.EMERGENCY}
    assert rows_read(lambda: list(due.in_order()[: sending.BATCH])) == 2 * sending.BATCH, "those that are claimed too"


def test_in_a_sudden_backlog_messages_are_found_by_their_keys() -> None:
    """Statistics say that nothing waits."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for state in ("sent", "queued"):
            cursor.execute(
                "INSERT INTO notifications_message (uid, event, key, context, channel, address, language, state, "
                "sent_at, attempts, error, urgency) SELECT gen_random_uuid(), 'order.cancelled', %s || number, '{}', "
                "'email', number, 'en', %s, now(), 0, '', 2 FROM generate_series(1, 3000) AS number",
                [state, state],
            )
            if state == "sent":
                cursor.execute("ANALYZE notifications_message")
        cursor.execute("SET LOCAL session_replication_role = origin")
    waiting = list(Message.objects.filter(state=MessageState.QUEUED).order_by("-pk").values_list("pk", flat=True)[:10])

    assert rows_read(lambda: list(Message.objects.these(waiting))) == 10
    assert not Message.objects.these([waiting[0] - 3000]), "that one was sent"
