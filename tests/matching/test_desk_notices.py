"""What desks are told of escalations: one message an hour for many, and emergencies at once."""

import datetime as dt

import pytest
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.demands.models import Demand
from apps.matching import escalation
from apps.matching.desks import notices as desk_notices
from apps.matching.models import Escalation
from apps.matching.tasks import escalate
from apps.notifications import rendering
from apps.notifications.models import Channel, Message, MessageUrgency, Notification
from apps.notifications.services import add_webhook
from apps.notifications.tasks import poll
from tests.factories import DemandFactory, ItemFactory, OrganisationFactory, region

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def later(minutes: int) -> dt.datetime:
    return NOW + dt.timedelta(minutes=minutes)


def told(user: User) -> list[str]:
    return list(Notification.objects.filter(user=user).order_by("pk").values_list("event", flat=True))


def stuck(number: int, **facts: object) -> list[Demand]:
    facts = {"escalates_at": NOW, "opened_at": NOW - dt.timedelta(hours=10), **facts}
    return [DemandFactory.create(**facts) for _ in range(number)]


def test_a_desk_gets_one_message_of_many_and_requesters_one_each(coordinator: User) -> None:
    wuhan, gowns = region("420106"), ItemFactory.create(key="gown", name_en="Gown")
    body = OrganisationFactory.create(region=wuhan)
    stuck(250, organisation=body)
    stuck(3, region=region("440300"), item=gowns)

    while escalation.escalate_due(now=NOW):
        pass

    assert told(coordinator) == ["escalations.gathered"]
    [notification] = Notification.objects.filter(user=coordinator)
    facts = notification.context
    assert (facts["needs"], facts["bodies"], facts["emergencies"]) == (253, 4, 0)
    assert [(one["name"]["en"], one["needs"], one["bodies"]) for one in facts["places"]] == [
        ("Shenzhen, Guangdong", 3, 3),
        ("Wuhan, Hubei", 250, 1),
    ]
    assert [(one["name"]["en"], one["needs"]) for one in facts["items"]] == [("Gown", 3), ("Surgical mask", 250)]
    assert Message.objects.filter(event="demand.passed_on").count() == 253
    assert not Escalation.objects.notice_pending().exists()


def test_the_rest_is_told_an_hour_later_and_one_need_by_itself(coordinator: User) -> None:
    stuck(2)
    escalation.escalate_due(now=NOW)
    stuck(1)
    escalation.escalate_due(now=later(30))
    assert told(coordinator) == ["escalations.gathered"]
    assert poll("clocks") == []

    assert desk_notices.tell_desks(now=later(59)) == 0
    assert desk_notices.tell_desks(now=later(60)) == 1
    assert told(coordinator) == ["escalations.gathered", "demand.escalated"]
    assert desk_notices.tell_desks(now=later(600)) == 0


def test_a_few_emergencies_are_told_at_once_each_by_itself(coordinator: User) -> None:
    stuck(2)
    escalation.escalate_due(now=NOW)
    stuck(2, urgency="emergency")
    stuck(2)
    escalation.escalate_due(now=later(1))

    assert told(coordinator) == ["escalations.gathered", "demand.escalated", "demand.escalated"]
    assert Escalation.objects.notice_pending().count() == 2
    urgencies = Message.objects.filter(event="demand.escalated").values_list("urgency", flat=True)
    assert set(urgencies) == {MessageUrgency.EMERGENCY}
    # An emergency puts off nothing else.
    assert desk_notices.tell_desks(now=later(60)) == 1


def test_many_emergencies_are_told_at_once_together(coordinator: User) -> None:
    stuck(2)
    escalation.escalate_due(now=NOW)
    stuck(desk_notices.FEW + 1, urgency="emergency")
    escalation.escalate_due(now=later(1))

    assert told(coordinator) == ["escalations.gathered"] * 2
    [first, second] = Message.objects.filter(event="escalations.gathered").order_by("pk")
    assert rendering.render_mail(first).subject == "Stuck: 2 needs of 2 organisations"
    assert rendering.render_mail(second).subject == "Stuck: 6 needs of 6 organisations, 6 emergencies first"


def test_nothing_is_lost_if_the_worker_dies_before_desks_are_told(
    coordinator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck(3)
    with monkeypatch.context() as patch:
        patch.setattr(desk_notices, "tell_desks", lambda **_when: 0)
        escalation.escalate_due(now=NOW)
    assert told(coordinator) == []

    assert poll("clocks") == [escalate.name]
    escalate()
    assert told(coordinator) == ["escalations.gathered"]


def test_while_a_run_goes_on_desks_wait_for_its_end(coordinator: User) -> None:
    stuck(5)
    escalation.escalate_due(now=NOW, limit=3)
    assert told(coordinator) == []
    escalation.escalate_due(now=NOW, limit=3)
    assert [one.context["needs"] for one in Notification.objects.filter(user=coordinator)] == [5]

    Escalation.objects.update(notice_pending=True, told_at=None)
    assert desk_notices.tell_desks(now=timezone.now() + dt.timedelta(minutes=6), is_over=False) == 1


def test_systems_of_a_desk_hear_of_each_need(coordinator: User) -> None:
    office: Organisation = coordinator.grants[0].organisation
    add_webhook(office, url="https://example.org/hook", by=coordinator)
    demands = stuck(3)
    escalation.escalate_due(now=NOW)

    hooks = Message.objects.filter(channel=Channel.WEBHOOK)
    assert {(one.event, one.context["demand_id"]) for one in hooks} == {
        ("demand.escalated", demand.pk) for demand in demands
    }
    assert told(coordinator) == ["escalations.gathered"]


def test_posts_that_nobody_reviewed_are_counted_apart(coordinator: User) -> None:
    OrganisationFactory.create(kind="coordinator", region=region("420100"))
    for _ in range(2):
        DemandFactory.create(
            draft=True, state_code="approval_required", review_requested_at=NOW, escalating_since=NOW, escalates_at=NOW
        )
    escalation.escalate_due(now=NOW)

    [message] = Message.objects.filter(event="escalations.gathered", user=coordinator)
    assert rendering.render_mail(message).subject == "2 posts were not reviewed in time"
