"""The queues of the desk: their order, what narrows them down, and the lines of one post together."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.permissions import OrganisationKind
from apps.demands.models import Demand
from apps.matching.models import Shortfall
from apps.policy.values import PolicyValues
from apps.portal import paging
from tests.factories import DemandFactory, EscalationFactory, ItemFactory, OrganisationFactory, region


@pytest.fixture
def stuck(coordinator: User) -> Any:
    """Makes a need of which the coordinator was told."""
    office = coordinator.grants[0].organisation

    def make(**facts: Any) -> Demand:
        demand = DemandFactory.create(**facts)
        EscalationFactory.create(demand=demand, organisation=office)
        return demand

    return make


def test_stuck_needs_come_by_urgency_tier_supply_and_waiting(
    desk: Client, stuck: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    long_ago = now - dt.timedelta(days=3)
    old = stuck(urgency="routine", tier=1, opened_at=long_ago)
    community = stuck(urgency="urgent", tier=3, opened_at=long_ago, days_of_supply=0)
    hospital = stuck(urgency="urgent", tier=1, opened_at=now)
    first = stuck(urgency="urgent", tier=1, opened_at=now - dt.timedelta(hours=1))
    almost_out = stuck(urgency="urgent", tier=1, opened_at=now, days_of_supply=2)
    unknown_tier = stuck(urgency="urgent", tier=None, opened_at=now - dt.timedelta(minutes=5))
    emergency = stuck(urgency="emergency", tier=4, opened_at=now)
    order = [emergency, almost_out, first, unknown_tier, hospital, community, old]

    assert desk.get("/desk/waiting/escalated/").context["page"].rows == order
    assert desk.get("/desk/").context["waiting"][0]["rows"] == order[:6]

    for at, row in enumerate(order):
        after = desk.get(f"/desk/waiting/escalated/?after={row.pk}").context["page"]
        assert after.rows == order[at + 1 :]


def test_a_need_takes_the_tier_of_its_requester_when_its_clock_starts() -> None:
    clinic = OrganisationFactory.build(kind=OrganisationKind.COMMUNITY)
    fields = Demand(organisation=clinic, urgency="urgent").escalation_from(timezone.now(), PolicyValues())
    assert fields["tier"] == 3


def test_within_the_hour_shows_no_clock_that_has_run_out(desk: Client) -> None:
    now = timezone.now()
    DemandFactory.create(escalates_at=now - dt.timedelta(seconds=1))
    soon = DemandFactory.create(escalates_at=now + dt.timedelta(minutes=20))
    DemandFactory.create(escalates_at=now + dt.timedelta(minutes=61))
    emergency = DemandFactory.create(escalates_at=now + dt.timedelta(minutes=40), urgency="emergency")

    assert desk.get("/desk/waiting/clock/").context["page"].rows == [emergency, soon]


def test_a_queue_is_narrowed_by_place_item_and_cause(desk: Client, stuck: Any) -> None:
    gloves = ItemFactory.create(key="gloves")
    in_wuhan = stuck(region=region("420106"))
    wanted = stuck(region=region("420106"), item=gloves)
    elsewhere = stuck(region=region("440300"), item=gloves)
    Shortfall.objects.create(
        demand=wanted, given=0, wanting=10, because="minimum", others=0, above=0, policy_version=1,
        decided_at=timezone.now(),
    )  # fmt: skip

    def found(query: str) -> set[Demand]:
        return set(desk.get(f"/desk/waiting/escalated/?{query}").context["page"].rows)

    assert found("region=420100") == found("region=420000") == {in_wuhan, wanted}
    assert found(f"item={gloves.pk}") == {wanted, elsewhere}
    assert found("cause=minimum") == {wanted}
    assert found(f"region=440300&item={gloves.pk}") == {elsewhere}
    assert found("region=nowhere&item=x&cause=0") == {in_wuhan, wanted, elsewhere}
    page = desk.get("/desk/waiting/escalated/?region=420000").text
    assert '<option value="420000" selected>' in page


def test_what_narrows_a_queue_stays_in_the_address_of_its_next_page(
    desk: Client, stuck: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "SIZE", 1)
    rows = [stuck(region=region("420106")) for _ in range(paging.SIZE + 1)]
    page = paging.in_order(
        desk.get("/desk/waiting/escalated/?region=420000").wsgi_request,
        Demand.objects.escalated().most_pressing_first("opened_at"),
        size=1,
    )
    assert page.next_url == f"?region=420000&after={rows[0].pk}"


def test_lines_of_one_post_stand_together(desk: Client, stuck: Any) -> None:
    now = timezone.now()
    body = OrganisationFactory.create()
    for _ in range(2):
        stuck(organisation=body, reference="N-TOGETHER", opened_at=now)
    stuck(opened_at=now - dt.timedelta(minutes=1))

    page = desk.get("/desk/waiting/escalated/").text

    assert page.count("<article") == 2
    assert page.count(">N-TOGETHER<") == 1
