"""What the policy of a region shows elsewhere: where a coordinator looks first, and what everybody reads."""

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.accounts.permissions import Role
from apps.demands.models import Demand, DemandState
from apps.policy.services import make_policy
from tests.factories import (
    DemandFactory,
    EscalationFactory,
    ItemFactory,
    OrganisationFactory,
    member,
    region,
)
from tests.portal.conftest import FIRMS_FIRST, HUBEI_LOOKS, Login, lines

pytestmark = pytest.mark.django_db


def test_where_needs_are_reviewed_the_posting_page_and_the_owner_read_so(
    log_in: Login, buyer: User, coordinator: User, province: User
) -> None:
    make_policy(HUBEI_LOOKS, note="Emergency", by=coordinator)
    client = log_in(buyer)
    item = ItemFactory.create()
    assert "A coordinator reviews needs in Hubei first" in client.get("/needs/new/").text
    assert "Hubei is in the emergency phase" in client.get("/needs/new/").text

    answer = client.post("/needs/new/", lines({"item": item.pk, "quantity": "100"}), follow=True)

    demand = Demand.objects.get()
    assert demand.state == DemandState.DRAFT
    assert "In this region a coordinator reviews every need before it goes out. Yours is waiting" in answer.text
    assert "Open: ask suppliers now" not in answer.text
    office = log_in(province)
    assert demand.reference in office.get("/desk/").text
    page = office.get(f"/desk/needs/{demand.pk}/").text
    assert "Approve: send it out" in page
    assert "Return it with a reason" in page

    assert "error-summary" in office.post(f"/desk/needs/{demand.pk}/return/", {"reason": ""}).text
    office.post(f"/desk/needs/{demand.pk}/return/", {"reason": "Which size?"})
    assert "A coordinator returned it: Which size?" in client.get(f"/needs/{demand.pk}/").text
    client.post(f"/needs/{demand.pk}/open/", {"unchanged": "1"})
    office.post(f"/desk/needs/{demand.pk}/open/")
    demand.refresh_from_db()
    assert (demand.state, demand.state_reason) == (DemandState.OPEN, "")


def test_a_need_that_was_looked_at_late_is_not_stuck_once_it_is_out(desk: Client, coordinator: User) -> None:
    demand = DemandFactory.create()
    office = coordinator.grants[0].organisation
    EscalationFactory.create(demand=demand, organisation=office, for_approval=True)
    assert desk.get("/desk/").context["waiting"][0]["count"] == "0"

    EscalationFactory.create(demand=demand, organisation=office)
    assert desk.get("/desk/").context["waiting"][0]["count"] == "1"


def test_the_place_of_delivery_decides_and_is_named(log_in: Login, coordinator: User, province: User) -> None:
    make_policy(HUBEI_LOOKS, note="Emergency", by=coordinator)
    client = log_in(member(OrganisationFactory.create(region=region("440300"))))
    region("420106")
    assert "A coordinator reviews needs" not in client.get("/needs/new/").text

    faulty = lines({"item": ItemFactory.create().pk, "quantity": "0"})
    assert "A coordinator reviews needs in Hubei first" in client.post("/needs/new/", faulty).text


def test_elsewhere_nothing_is_said_of_it(log_in: Login, buyer: User, coordinator: User) -> None:
    region("440000")
    make_policy({"phases": {"440000": {"phase": "emergency", "approval": True}}}, note="x", by=coordinator)
    text = log_in(buyer).get("/needs/new/").text
    assert "A coordinator reviews needs" not in text
    assert "emergency phase" not in text


def test_the_coordinator_of_the_delivery_region_reviews_what_others_posted(
    log_in: Login, coordinator: User, province: User
) -> None:
    make_policy(HUBEI_LOOKS, note="Emergency", by=coordinator)
    far = OrganisationFactory.create(region=region("440300"))
    demand = DemandFactory.create(
        organisation=far,
        region=region("420106"),
        draft=True,
        review_requested_at=timezone.now(),
        state_code="approval_required",
    )

    log_in(province).post(f"/desk/needs/{demand.pk}/open/")

    demand.refresh_from_db()
    assert demand.state == DemandState.OPEN


def test_everybody_reads_tiers_clocks_and_phases_on_the_public_page(client: Client, coordinator: User) -> None:
    region("420000")
    hours = {"emergency": 1, "urgent": 5, "routine": 30}
    make_policy({**HUBEI_LOOKS, **FIRMS_FIRST, "escalation_hours": hours}, note="x", by=coordinator)

    text = client.get("/promise/", headers={"accept-language": "en"}).text

    assert "5 hours" in text
    assert text.index("Enterprise") < text.index("Communit")
    assert "Hubei" in text
    assert "Policy version 2" in text


def test_a_viewer_of_a_desk_sees_no_policy(log_in: Login, coordinator: User) -> None:
    office: Organisation = coordinator.grants[0].organisation
    assert log_in(member(office, Role.VIEWER)).get("/desk/policy/").status_code == 404
