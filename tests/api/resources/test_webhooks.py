"""A webhook that was paused is resumed over the API, by its own managers only."""

from collections.abc import Callable

import pytest
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.notifications import services
from apps.notifications.models import Message, MessageState, WebhookEndpoint
from tests.api.conftest import Caller

pytestmark = pytest.mark.django_db


@pytest.fixture
def paused(hospital: Organisation, buyer: User) -> WebhookEndpoint:
    """A webhook that missed one message."""
    endpoint = services.add_webhook(hospital, url="https://hospital.example/hook", by=buyer)
    services.test_webhook(endpoint, by=buyer)
    services.note_webhook_failure(endpoint, "gone", is_gone=True, now=timezone.now())
    return endpoint


def test_a_manager_resumes_it_and_gets_what_it_missed(
    call: Callable[..., Caller], paused: WebhookEndpoint, buyer: User
) -> None:
    mine = call(buyer)
    path = f"/webhooks/{paused.pk}/"
    before = mine.get(path).json()
    assert (before["is_active"], before["failing_since"] is None) == (False, False)
    assert Message.objects.get(event="webhook.test").state == MessageState.FAILED

    answer = mine.post(f"{path}resume/")

    assert (answer.status_code, answer.json()["is_active"], answer.json()["failing_since"]) == (200, True, None)
    assert answer.json() == mine.get(path).json()
    assert Message.objects.get(event="webhook.test").state == MessageState.QUEUED


def test_one_that_is_in_use_cannot_be_resumed(
    call: Callable[..., Caller], paused: WebhookEndpoint, buyer: User
) -> None:
    mine = call(buyer)
    mine.post(f"/webhooks/{paused.pk}/resume/")

    again = mine.post(f"/webhooks/{paused.pk}/resume/")
    assert (again.status_code, again.json()["code"]) == (409, "webhook_in_use")


def test_nobody_else_resumes_it(
    call: Callable[..., Caller], paused: WebhookEndpoint, rival: User, colleague: User, coordinator: User
) -> None:
    path = f"/webhooks/{paused.pk}/resume/"
    assert call().post(path).status_code == 401
    assert [call(user).post(path).status_code for user in (rival, coordinator)] == [404, 404]
    assert call(colleague).post(path).status_code == 403
    paused.refresh_from_db()
    assert not paused.is_active
