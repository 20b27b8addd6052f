"""What one receiver, one organisation or one message must not do to the others. Each test attacks."""

import datetime as dt
from contextlib import ExitStack, suppress

import pytest
from django.utils import timezone
from pytest_django import Settings

from apps.accounts.models import Organisation, User
from apps.core.errors import RuleViolation
from apps.notifications import backoff, sending, services
from apps.notifications.models import Channel, Message, MessageState, Notification, WebhookEndpoint
from tests.notifications.receivers import PostOffice, Receiver, receiver
from tests.notifications.test_rendering import ORDER
from tests.notifications.test_sending import letters

pytestmark = pytest.mark.django_db


def tell(organisation: Organisation, key: str) -> None:
    """An event for the organisation's webhooks alone."""
    services.queue("order.cancelled", organisation, ORDER | {"reason": ""}, key=key)
    Message.objects.exclude(channel=Channel.WEBHOOK).delete()


def test_slow_endpoints_of_one_organisation_hold_back_no_other(
    partner_system: Receiver,
    hospital: Organisation,
    buyer: User,
    maker: Organisation,
    supplier: User,
) -> None:
    with ExitStack() as slow:
        for _number in range(6):
            server = slow.enter_context(receiver())
            server.drips_until = lambda: bool(partner_system.requests)
            services.add_webhook(hospital, url=server.url, by=buyer)
        services.add_webhook(maker, url=partner_system.url, by=supplier)
        for number in range(3):
            tell(hospital, f"slow:{number}")
        tell(maker, "urgent")

        sending.send_due(Channel.WEBHOOK)

    # The slow ones let go when the other was reached. Whoever waited for one of them waited until it was given up.
    assert len(partner_system.requests) == 1
    tried = Message.objects.filter(organisation=hospital).exclude(error="")
    assert tried.count() == 6
    assert not tried.filter(error__contains="ReadTimeout").exists(), "it waited for none of the six"


def test_a_flood_to_one_organisation_lets_the_next_mail_of_another_through(
    office: PostOffice, hospital: Organisation, maker: Organisation
) -> None:
    letters(59, organisation=maker)
    letters(1, first=59, organisation=hospital)

    sending.send_due(Channel.EMAIL)

    assert "person59@example.org" in [mail["To"] for mail in office.mails[:2]]


@pytest.mark.parametrize("channel", [Channel.EMAIL, Channel.SMS, Channel.WEBHOOK])
def test_each_channel_is_sent_without_the_others(
    channel: Channel, office: PostOffice, partner_system: Receiver, hospital: Organisation, buyer: User,
    settings: Settings,
) -> None:  # fmt: skip
    settings.SMS_GATEWAY_URL, settings.SMS_GATEWAY_TOKEN = partner_system.url, "token"
    User.objects.update(phone="+8613800000000")
    services.add_webhook(hospital, url=partner_system.url, by=buyer)
    services.queue("order.cancelled", hospital, ORDER | {"reason": ""}, key="1")

    assert sending.send_due(channel) == 1
    assert [message.channel for message in Message.objects.filter(state=MessageState.SENT)] == [channel]


def test_a_message_that_kills_its_sender_is_given_up(office: PostOffice, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "tests.notifications.receivers.DeadlyBackend"
    letters(4)
    Message.objects.filter(key="order.cancelled:1").update(address="deadly@example.org")
    moment = timezone.now()

    for _restart in range(backoff.MAX_ATTEMPTS + 3):
        with suppress(SystemExit):
            sending.send_due(Channel.EMAIL, now=moment)
        moment += sending.LEASE

    deadly = Message.objects.get(address="deadly@example.org")
    assert (deadly.state, deadly.attempts) == (MessageState.FAILED, backoff.MAX_ATTEMPTS)
    assert "ended" in deadly.error
    others = Message.objects.exclude(pk=deadly.pk)
    assert set(others.values_list("state", flat=True)) == {MessageState.SENT}
    assert max(others.values_list("attempts", flat=True)) == 2, "claimed with the deadly one once, and then no more"


@pytest.mark.parametrize(
    "status", [302, 500, *(pytest.param(status, marks=pytest.mark.long) for status in (400, 404, 429))]
)
def test_an_endpoint_that_refuses_for_a_day_is_paused_and_its_owner_told(
    status: int, partner_system: Receiver, hospital: Organisation, buyer: User
) -> None:
    endpoint = services.add_webhook(hospital, url=partner_system.url, by=buyer)
    partner_system.answers = [status] * 99
    tell(hospital, "1")
    tell(hospital, "2")
    began = moment = timezone.now()

    while endpoint.is_active:
        sending.send_due(Channel.WEBHOOK, now=moment)
        moment += dt.timedelta(hours=2)
        endpoint.refresh_from_db()
        assert moment < began + dt.timedelta(days=3)

    assert moment - began > services.PATIENCE_WITH_ENDPOINT
    assert len(partner_system.requests) > 8
    waiting = Message.objects.filter(channel=Channel.WEBHOOK)
    assert set(waiting.values_list("state", flat=True)) == {MessageState.FAILED}
    assert Notification.objects.get(event="webhook.paused").user == buyer


def test_an_endpoint_that_fails_rests_and_one_try_says_whether_it_is_back(
    partner_system: Receiver, hospital: Organisation, buyer: User
) -> None:
    endpoint = services.add_webhook(hospital, url=partner_system.url, by=buyer)
    partner_system.answers = [500, 503]
    for number in range(5):
        tell(hospital, str(number))
    now = timezone.now()

    sending.send_due(Channel.WEBHOOK, now=now)
    sending.send_due(Channel.WEBHOOK, now=now + dt.timedelta(seconds=20))
    assert len(partner_system.requests) == 1
    sending.send_due(Channel.WEBHOOK, now=now + dt.timedelta(seconds=40))
    assert len(partner_system.requests) == 2

    assert sending.send_due(Channel.WEBHOOK, now=now + dt.timedelta(hours=1)) == 5
    endpoint.refresh_from_db()
    assert (endpoint.failures, endpoint.failing_since, endpoint.rests_until) == (0, None, None)


def test_a_paused_endpoint_gets_what_it_missed_when_its_owner_resumes_it(
    partner_system: Receiver, hospital: Organisation, buyer: User
) -> None:
    endpoint = services.add_webhook(hospital, url=partner_system.url, by=buyer)
    partner_system.answers = [410]
    tell(hospital, "1")
    tell(hospital, "2")
    sending.send_due(Channel.WEBHOOK)
    endpoint.refresh_from_db()
    assert not endpoint.is_active

    services.resume_webhook(endpoint, by=buyer)

    assert sending.send_due(Channel.WEBHOOK) == 2
    with pytest.raises(RuleViolation):
        services.resume_webhook(endpoint, by=buyer)


def test_an_organisation_has_at_most_ten_endpoints(hospital: Organisation, buyer: User, maker: Organisation) -> None:
    for number in range(services.MAX_WEBHOOKS):
        services.add_webhook(hospital, url=f"https://example.org/{number}", by=buyer)

    with pytest.raises(RuleViolation) as caught:
        services.add_webhook(hospital, url="https://example.org/more", by=buyer)

    assert caught.value.code == "too_many_webhooks"
    assert WebhookEndpoint.objects.filter(organisation=hospital).count() == 10
    assert services.add_webhook(maker, url="https://example.org/", by=buyer).is_active
