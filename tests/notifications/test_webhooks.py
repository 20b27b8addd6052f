"""Webhooks against a real HTTP server, checked with the library that receivers use."""

import datetime as dt
import socket
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from standardwebhooks import Webhook, WebhookVerificationError

from apps.accounts.models import Organisation, User
from apps.core.errors import RuleViolation
from apps.notifications import sending, services
from apps.notifications.channels import webhook
from apps.notifications.models import Message, MessageState, WebhookEndpoint
from tests.notifications.receivers import Receiver
from tests.notifications.test_rendering import ORDER

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint(partner_system: Receiver, hospital: Organisation, buyer: User) -> WebhookEndpoint:
    endpoint = services.add_webhook(hospital, url=partner_system.url, by=buyer)
    Message.objects.all().delete()
    return endpoint


def tell(hospital: Organisation, event: str = "order.cancelled", number: int = 1) -> None:
    for index in range(number):
        services.queue(event, hospital, ORDER | {"reason": "着火"}, key=f"{event}:{index}")
    Message.objects.exclude(channel="webhook").delete()


def test_a_webhook_is_signed_and_says_what_happened(
    partner_system: Receiver, endpoint: WebhookEndpoint, hospital: Organisation
) -> None:
    tell(hospital)

    assert sending.send_due() == 1

    message = Message.objects.get()
    [request] = partner_system.requests
    assert request.path == "/hook"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == str(message.uid)
    said = Webhook(endpoint.secret).verify(request.body, request.headers)
    assert said == {
        "type": "order.cancelled",
        "timestamp": message.created_at.isoformat(),
        "data": ORDER | {"reason": "着火", "order_id": "3", "demand_id": "7"},
    }
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_AAAA").verify(request.body, request.headers)


def test_a_repeat_has_the_same_id_and_a_signature_of_its_own_time(
    partner_system: Receiver, endpoint: WebhookEndpoint, hospital: Organisation
) -> None:
    partner_system.answers = [500]
    tell(hospital)

    assert sending.send_due() == 0
    assert sending.send_due(now=timezone.now() + dt.timedelta(minutes=1)) == 1

    first, second = partner_system.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    for request in (first, second):
        Webhook(endpoint.secret).verify(request.body, request.headers)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, MessageState.SENT),
        (202, MessageState.SENT),
        (302, MessageState.QUEUED),
        (303, MessageState.QUEUED),
        (307, MessageState.QUEUED),
        (400, MessageState.QUEUED),
        (404, MessageState.QUEUED),
        (410, MessageState.FAILED),
        (408, MessageState.QUEUED),
        (429, MessageState.QUEUED),
        (500, MessageState.QUEUED),
        (503, MessageState.QUEUED),
    ],
)
def test_what_each_answer_means(
    status: int, state: str, partner_system: Receiver, endpoint: WebhookEndpoint, hospital: Organisation
) -> None:
    partner_system.answers = [status]
    tell(hospital)

    sending.send_due()

    assert Message.objects.get(channel="webhook").state == state
    assert len(partner_system.requests) == 1, "a redirect, here to a private host, is not followed"
    endpoint.refresh_from_db()
    assert endpoint.is_active == (status != 410)


def test_who_answers_410_is_told_nothing_more(
    partner_system: Receiver, endpoint: WebhookEndpoint, hospital: Organisation
) -> None:
    partner_system.answers = [410]
    tell(hospital)
    sending.send_due()
    tell(hospital, "order.closed")

    assert sending.send_due() == 0
    assert len(partner_system.requests) == 1
    assert Message.objects.count() == 1


def test_an_endpoint_that_is_down_costs_one_attempt_of_a_batch(
    partner_system: Receiver, endpoint: WebhookEndpoint, hospital: Organisation, buyer: User
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        services.add_webhook(hospital, url=dead, by=buyer)
        tell(hospital, number=5)

        assert sending.send_due() == 5

    assert Message.objects.filter(state=MessageState.QUEUED, attempts=1).count() == 1
    assert Message.objects.filter(state=MessageState.QUEUED, attempts=0).count() == 4


def test_an_answer_that_drips_for_ever_is_cut_off(
    partner_system: Receiver, endpoint: WebhookEndpoint, hospital: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "PATIENCE", 0.5)
    partner_system.drips_until = lambda: False
    tell(hospital)

    assert sending.send_due() == 0

    assert "ReadTimeout" in Message.objects.get().error


@pytest.mark.parametrize("host", [
        "127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254",
        # Other ways to write the first: in hexadecimal, as one number, inside IPv6, through gateways (NAT64, 6to4).
        "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]",
    ])  # fmt: skip
def test_in_production_no_address_of_our_own_network_is_connected_to(
    host: str, partner_system: Receiver, endpoint: WebhookEndpoint, hospital: Organisation, settings: Settings
) -> None:
    settings.WEBHOOKS_MAY_BE_PRIVATE = False
    url = f"http://{host}:{partner_system.server_address[1]}/hook"
    WebhookEndpoint.objects.update(url=url)
    tell(hospital)

    assert sending.send_due() == 0

    message = Message.objects.get()
    assert (message.state, partner_system.requests) == (MessageState.FAILED, [])
    assert "not public" in message.error


def test_the_address_that_was_judged_is_the_one_connected_to(
    partner_system: Receiver,
    endpoint: WebhookEndpoint,
    hospital: Organisation,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DNS rebinding: a name that is public when it is looked at, and loopback when it is looked up again."""
    settings.WEBHOOKS_MAY_BE_PRIVATE = False
    port = partner_system.server_address[1]
    answers, connected = ["8.8.8.8"], []
    real_look_up, real_connect = socket.getaddrinfo, socket.create_connection

    def look_up(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "rebinding.example":
            host = answers.pop() if answers else "127.0.0.1"
        return real_look_up(host, *args, **kwargs)

    def connect(address: tuple[str, int], *args: Any, **kwargs: Any) -> socket.socket:
        connected.append(address)
        # No test goes out into the internet.
        if address[0] == "8.8.8.8":
            raise ConnectionRefusedError
        return real_connect(address, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", connect)
    WebhookEndpoint.objects.update(url=f"http://rebinding.example:{port}/hook")
    tell(hospital)

    assert sending.send_due() == 0

    assert connected == [("8.8.8.8", port)]
    # Later the name leads to loopback: it is judged anew.
    assert sending.send_due(now=timezone.now() + dt.timedelta(minutes=1)) == 0
    assert "not public" in Message.objects.get().error
    assert (connected, partner_system.requests) == ([("8.8.8.8", port)], [])


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2400:3200::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),  # noqa: S104 – an address to be refused
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
        ("64:ff9b:1::7f00:1", False),  # NAT64 of a network of its own
        ("2002:7f00:1::", False),  # 6to4
        ("2002:808:808::1", False),
        ("2001:0:7f00:1::", False),  # Teredo
        ("::7f00:1", False),  # IPv4-compatible, given up long ago
        ("fec0::1", False),  # site-local, the same
        ("3fff::1", False),  # documentation
        ("2001:db8::1", False),
        ("5f00::1", False),  # segment routing
        ("100::1", False),  # discard
        ("4000::1", False),  # not given out
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert webhook.is_public(address) is public


def test_only_the_events_that_were_chosen_are_told(
    partner_system: Receiver, endpoint: WebhookEndpoint, hospital: Organisation, buyer: User
) -> None:
    services.add_webhook(hospital, url=partner_system.url, events=["order.shipped"], by=buyer)
    tell(hospital)
    tell(hospital, "order.shipped")

    assert sending.send_due() == 3


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hook",
        "ftp://example.org/",
        "https://user:pw@example.org/",
        "javascript:alert(1)",
        "http://[",
        "https://é.org",
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str, hospital: Organisation, buyer: User) -> None:
    with pytest.raises(RuleViolation) as caught:
        services.add_webhook(hospital, url=url, by=buyer)
    assert (caught.value.code, list(caught.value.errors)) == ("url_invalid", ["url"])


def test_in_production_an_address_must_be_encrypted(hospital: Organisation, buyer: User, settings: Settings) -> None:
    settings.WEBHOOKS_MAY_BE_PRIVATE = False
    with pytest.raises(RuleViolation):
        services.add_webhook(hospital, url="http://example.org/", by=buyer)
    assert services.add_webhook(hospital, url="https://example.org/", by=buyer).is_active


def test_an_event_that_does_not_exist_is_refused(hospital: Organisation, buyer: User) -> None:
    with pytest.raises(RuleViolation, match=r"order\.eaten"):
        services.add_webhook(hospital, url="https://example.org/", events=["order.eaten"], by=buyer)


def test_a_test_reaches_its_endpoint_alone_and_a_removed_endpoint_nothing(
    partner_system: Receiver, endpoint: WebhookEndpoint, hospital: Organisation, buyer: User
) -> None:
    services.add_webhook(hospital, url=f"{partner_system.url}/other", by=buyer)

    message = services.test_webhook(endpoint, by=buyer)
    assert sending.send_due() == 1

    [request] = partner_system.requests
    said: Any = Webhook(endpoint.secret).verify(request.body, request.headers)
    assert said["type"] == "webhook.test"
    assert request.path == "/hook"
    message.refresh_from_db()
    assert message.state == MessageState.SENT

    tell(hospital)
    services.remove_webhook(endpoint, by=buyer)
    assert sending.send_due() == 1
    assert partner_system.requests[-1].path == "/hook/other"
