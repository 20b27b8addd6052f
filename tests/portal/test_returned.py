"""A need that a coordinator returned: mended and sent again, or sent again as it is, and both sides know which."""

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.catalogue.models import Item
from apps.demands.decisions import return_demand
from apps.demands.models import Demand, DemandState
from apps.policy.services import make_policy
from tests.factories import DemandFactory
from tests.portal.conftest import HUBEI_LOOKS, Login

pytestmark = pytest.mark.django_db


@pytest.fixture
def returned(hospital: Organisation, mask: Item, province: User, coordinator: User) -> Demand:
    make_policy(HUBEI_LOOKS, note="Emergency", by=coordinator)
    demand = DemandFactory.create(
        organisation=hospital,
        item=mask,
        quantity=100,
        draft=True,
        review_requested_at=timezone.now(),
        state_code="approval_required",
    )
    return return_demand(demand, by=province, reason="Which size?")


@pytest.fixture
def nurse(log_in: Login, buyer: User) -> Client:
    return log_in(buyer)


def amend(client: Client, demand: Demand, **changes: str) -> None:
    facts = {"item": str(demand.item_id), "quantity": "100", "quantity_kind": "exact", "urgency": demand.urgency}
    answer = client.post(
        f"/needs/{demand.pk}/amend/", {**facts, "region": demand.region_id, "address": demand.address, **changes}
    )
    assert answer.status_code == 302, answer.text


def test_sending_it_again_unchanged_is_asked_back_once_with_the_reason(
    nurse: Client, log_in: Login, province: User, returned: Demand
) -> None:
    page = f"/needs/{returned.pk}/"
    assert "A coordinator returned it: Which size?" in nurse.get(page).text

    asked = nurse.post(f"{page}open/")

    returned.refresh_from_db()
    assert (asked.status_code, returned.awaits_review) == (409, False)
    assert "Nothing was changed since a coordinator returned it." in asked.text
    assert asked.text.count("“Which size?”") == 1

    nurse.post(f"{page}open/", {"unchanged": "1"})
    returned.refresh_from_db()
    assert returned.awaits_review
    desk = log_in(province).get(f"/desk/needs/{returned.pk}/").text
    assert "Which size?" in desk
    assert "The requester sent it again without a change." in desk


def test_the_desk_says_that_a_need_is_with_its_owner_and_why(
    nurse: Client, log_in: Login, province: User, returned: Demand
) -> None:
    desk = log_in(province)

    page = desk.get(f"/desk/needs/{returned.pk}/").text
    assert f"{province} returned it to the requester" in page
    assert page.count("Which size?") == 1
    assert "remaining: " not in page
    assert "It was changed since." not in page
    amend(nurse, returned, note="Size M")
    assert "It was changed since." in desk.get(f"/desk/needs/{returned.pk}/").text


def test_an_amended_need_is_sent_again_and_the_coordinator_reads_so(
    nurse: Client, log_in: Login, province: User, returned: Demand
) -> None:
    amend(nurse, returned, note="Size M")
    assert "It was changed since: send it out again." in nurse.get(f"/needs/{returned.pk}/").text

    assert nurse.post(f"/needs/{returned.pk}/open/").status_code == 302

    returned.refresh_from_db()
    assert returned.awaits_review
    desk = log_in(province).get(f"/desk/needs/{returned.pk}/").text
    assert "Which size?" in desk
    assert "It was changed since." in desk


def test_a_form_that_is_sent_back_as_it_was_changes_nothing(nurse: Client, returned: Demand) -> None:
    amend(nurse, returned)

    assert nurse.post(f"/needs/{returned.pk}/open/").status_code == 409


def test_who_is_asked_about_the_quantity_too_is_not_asked_in_a_circle(nurse: Client, returned: Demand) -> None:
    for _ in range(10):
        DemandFactory.create(organisation=returned.organisation, item=returned.item, quantity=5)
    page = f"/needs/{returned.pk}/open/"

    asked = nurse.post(page, {"unchanged": "1"})

    assert asked.status_code == 409
    assert "100, not about 5?" in asked.text
    assert '<input type="hidden" name="unchanged" value="1">' in asked.text
    assert nurse.post(page, {"unchanged": "1", "confirmed_quantity": "100"}).status_code == 302
    returned.refresh_from_db()
    assert returned.awaits_review


def test_a_draft_that_nobody_returned_is_not_asked_back(
    nurse: Client, hospital: Organisation, mask: Item, coordinator: User
) -> None:
    demand = DemandFactory.create(organisation=hospital, item=mask, draft=True)

    assert nurse.post(f"/needs/{demand.pk}/open/").status_code == 302
    demand.refresh_from_db()
    assert demand.state == DemandState.OPEN
    assert "Returned before" not in nurse.get(f"/needs/{demand.pk}/").text


def test_it_can_be_amended_while_it_waits_for_verification(nurse: Client, returned: Demand) -> None:
    Organisation.objects.filter(pk=returned.organisation_id).update(state="pending")
    nurse.post(f"/needs/{returned.pk}/open/", {"unchanged": "1"})

    page = nurse.get(f"/needs/{returned.pk}/").text

    returned.refresh_from_db()
    assert returned.awaits_verification
    assert f"/needs/{returned.pk}/amend/" in page


def test_a_cancelled_need_that_went_out_by_itself_cannot_be_amended(nurse: Client, hospital: Organisation) -> None:
    demand = DemandFactory.create(
        organisation=hospital, state_code="organisation_unverified", state=DemandState.CANCELLED
    )

    assert f"/needs/{demand.pk}/amend/" not in nurse.get(f"/needs/{demand.pk}/").text
