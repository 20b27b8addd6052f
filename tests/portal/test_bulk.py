"""Many needs of a queue at once, and what colleagues see of a need."""

import pytest
from django.test import Client

from apps.accounts.models import Organisation, User
from apps.accounts.permissions import OrganisationKind
from apps.demands.models import Demand, DemandState
from apps.desk import services
from apps.desk.models import DeskNote, Handling
from apps.matching.notices import announce_verifications
from tests.factories import DemandFactory, EscalationFactory, OrganisationFactory, UserFactory, member, region
from tests.portal.conftest import Login

pytestmark = pytest.mark.django_db


def stuck(coordinator: User, **facts: object) -> Demand:
    demand = DemandFactory.create(**facts)
    EscalationFactory.create(demand=demand, organisation=coordinator.grants[0].organisation)
    return demand


def test_ticked_needs_are_confirmed_together_and_the_queue_stays_narrow(desk: Client, coordinator: User) -> None:
    first, second, other = (stuck(coordinator) for _ in range(3))
    page = desk.get("/desk/waiting/escalated/?region=420000").text
    assert page.count('type="checkbox"') == 3

    answer = desk.post(
        "/desk/bulk/",
        {"need": [first.pk, second.pk], "act": "confirm", "note": "By phone", "query": "region=420000&after=5"},
        follow=True,
    )

    assert answer.redirect_chain == [("/desk/waiting/escalated/?region=420000", 302)]
    assert "Done for 2 needs." in answer.text
    assert "By phone" in answer.text
    assert Demand.objects.get(pk=first.pk).confirmed_at != first.confirmed_at
    assert Demand.objects.get(pk=other.pk).confirmed_at == other.confirmed_at


def test_a_pause_of_many_is_asked_about_first(desk: Client, coordinator: User) -> None:
    demand = stuck(coordinator)
    sent = {"need": [demand.pk], "act": "pause", "note": "Flood"}

    page = desk.post("/desk/bulk/", sent).text
    assert "Pause these needs?" in page
    assert Demand.objects.get().state == DemandState.OPEN

    desk.post("/desk/bulk/", sent | {"sure": "1"})
    assert Demand.objects.get().state == DemandState.PAUSED


def test_what_cannot_be_done_is_said_and_nothing_ticked_too(desk: Client, coordinator: User) -> None:
    demand = stuck(coordinator, escalates_at=None)
    assert "No clock runs" in desk.post("/desk/bulk/", {"need": [demand.pk], "act": "extend"}, follow=True).text
    assert "Tick at least one need." in desk.post("/desk/bulk/", {"act": "extend", "need": ["x"]}, follow=True).text


def test_needs_of_other_regions_are_not_acted_on(log_in: Login, coordinator: User) -> None:
    office = OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region("440000"))
    demand = stuck(coordinator)
    log_in(member(office)).post("/desk/bulk/", {"need": [demand.pk], "act": "note", "note": "Mine"})
    assert not DeskNote.objects.exists()


def test_colleagues_see_who_has_a_need_and_what_was_noted(desk: Client, coordinator: User) -> None:
    demand, other = stuck(coordinator), UserFactory.create(name="Li Wei")
    services.take_need(demand, by=other)
    services.write_note(demand, by=other, text="They have <b>two</b> days.")

    for page in ("/desk/", "/desk/waiting/escalated/", f"/desk/needs/{demand.pk}/"):
        text = desk.get(page).text
        assert "Li Wei sees to it since" in text
        assert "They have &lt;b&gt;two&lt;/b&gt; days." in text
    assert desk.get("/desk/waiting/escalated/?owner=nobody").context["page"].rows == []

    desk.post(f"/desk/needs/{demand.pk}/take/", {"instead_of": other.pk})
    assert Handling.objects.get().owner == coordinator
    assert desk.get("/desk/waiting/escalated/?owner=me").context["page"].rows == [demand]
    desk.post(f"/desk/needs/{demand.pk}/note/", {"text": "Called the head nurse."})
    assert "Called the head nurse." in desk.get(f"/desk/needs/{demand.pk}/").text
    desk.post(f"/desk/needs/{demand.pk}/leave/")
    assert not Handling.objects.exists()


def test_organisations_of_a_board_are_verified_together(desk: Client, coordinator: User) -> None:
    facts = {"unverified": True, "source": "board", "kind": OrganisationKind.HOSPITAL}
    clinic = OrganisationFactory.create(**facts | {"kind": OrganisationKind.HEALTH_FACILITY}, source_key="1")
    hospital, changed = (OrganisationFactory.create(**facts, source_key=key) for key in "23")
    draft = DemandFactory.create(draft=True, organisation=clinic, state_code="organisation_unverified")
    page = desk.get("/desk/waiting/imported/").text
    assert page.count('name="body"') == 3
    seen = {
        f"seen-{body.pk}": page.split(f'name="seen-{body.pk}" value="')[1].split('"')[0]
        for body in (clinic, hospital, changed)
    }
    Organisation.objects.filter(pk=changed.pk).update(name="Another name")
    ticked = {"body": [clinic.pk, hospital.pk, changed.pk], "queue": "imported", **seen}

    answer = desk.post("/desk/verify/", ticked, follow=True)
    assert "1 organisation verified." in answer.text
    assert "has just changed" in answer.text
    assert Organisation.objects.get(pk=hospital.pk).state == "unverified", "nobody called it"

    desk.post("/desk/verify/", ticked | {"call_back": "027-12320 of the register of Hubei, Dr Wang"})
    assert Organisation.objects.get(pk=hospital.pk).state == "verified"
    announce_verifications()
    draft.refresh_from_db()
    assert draft.state == DemandState.OPEN
