"""Text messages through a real HTTP gateway."""

import datetime as dt

import pytest
from django.conf import settings as django_settings
from django.utils import timezone
from pytest_django import Settings

from apps.accounts.models import User
from apps.notifications import sending, services
from apps.notifications.models import Channel, Message, MessageState
from tests.notifications.receivers import Receiver
from tests.notifications.test_rendering import ORDER

pytestmark = pytest.mark.django_db


@pytest.fixture
def gateway(partner_system: Receiver, settings: Settings, buyer: User) -> Receiver:
    settings.SMS_GATEWAY_URL = partner_system.url
    settings.SMS_GATEWAY_TOKEN = "gateway token"
    User.objects.filter(pk=buyer.pk).update(phone="+8613800000000")
    return partner_system


def tell(number: int = 1) -> None:
    for index in range(number):
        services.queue("order.cancelled", User.objects.get(), ORDER | {"reason": ""}, key=str(index))
    Message.objects.exclude(channel=Channel.SMS).delete()


def test_the_gateway_is_told_whom_what_and_under_which_id(gateway: Receiver) -> None:
    tell()

    assert sending.send_due() == 1

    [request] = gateway.requests
    assert request.headers["authorization"] == "Bearer gateway token"
    assert request.json == {
        "to": "+8613800000000",
        "text": f"Cancelled: the order of 20,000 pcs of Surgical mask {django_settings.SITE_URL}/orders/3/",
        "id": str(Message.objects.get().uid),
    }


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, MessageState.SENT),
        (301, MessageState.QUEUED),
        (400, MessageState.FAILED),
        (401, MessageState.QUEUED),
        (422, MessageState.FAILED),
        (408, MessageState.QUEUED),
        (429, MessageState.QUEUED),
        (500, MessageState.QUEUED),
    ],
)
def test_what_each_answer_means(status: int, state: str, gateway: Receiver) -> None:
    gateway.answers = [status]
    tell()

    sending.send_due()

    assert Message.objects.get().state == state
    assert len(gateway.requests) == 1


def test_a_repeat_has_the_same_id(gateway: Receiver) -> None:
    gateway.answers = [503]
    tell(3)

    assert sending.send_due() == 0
    assert len(gateway.requests) == 1, "a gateway that is down is asked once a run"
    assert sending.send_due(now=timezone.now() + dt.timedelta(minutes=1)) == 3
    ids = [request.json["id"] for request in gateway.requests]
    assert (len(ids), len(set(ids))) == (4, 3)


def test_without_a_gateway_or_a_phone_nothing_is_queued(gateway: Receiver, settings: Settings) -> None:
    User.objects.update(phone="")
    tell()
    assert not Message.objects.exists()

    User.objects.update(phone="+8613800000000")
    settings.SMS_GATEWAY_URL = ""
    services.queue("order.cancelled", User.objects.get(), ORDER | {"reason": ""}, key="later")
    assert set(Message.objects.values_list("channel", flat=True)) == {Channel.EMAIL}
