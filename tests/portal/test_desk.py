"""The desk: verify, step in, take calls."""

import datetime as dt

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apps.accounts import services as accounts
from apps.accounts.models import Organisation, OrganisationState, User
from apps.accounts.permissions import OrganisationKind
from apps.core.models import AuditEntry
from apps.demands.amending import amend_demand
from apps.demands.models import DemandState
from apps.duplicates.models import DuplicateProposal
from apps.notifications.models import Channel, Message, MessageState
from apps.portal import navigation
from apps.portal.views.desk import queues
from apps.reports.models import AbuseReport
from apps.supply.models import OfferState
from tests.factories import DemandFactory, EscalationFactory, OfferFactory, OrganisationFactory, member, region


def waiting_body(**facts: object) -> Organisation:
    facts = {"kind": OrganisationKind.HEALTH_FACILITY, **facts}
    return OrganisationFactory.create(unverified=True, state=OrganisationState.PENDING, **facts)


def test_an_organisation_is_verified_until_a_day(desk: Client, coordinator: User) -> None:
    body = waiting_body()

    desk.post(f"/desk/organisations/{body.pk}/verify/", {"verify-until": "2030-01-31"})

    body.refresh_from_db()
    assert body.state == OrganisationState.VERIFIED
    assert body.verified_by == coordinator
    assert str(body.verified_until) == "2030-01-31"


def test_facts_that_changed_after_the_page_was_opened_are_not_verified(desk: Client) -> None:
    body = waiting_body(identifier="X1", identifier_kind="other")
    page = f"/desk/organisations/{body.pk}/"
    form = desk.get(page).context["verify_form"]
    accounts.amend_organisation(body, by=member(body), kind=OrganisationKind.GOVERNMENT, region=region("CN"))
    accounts.submit_for_verification(Organisation.objects.get(pk=body.pk), by=member(body))

    answer = desk.post(f"{page}verify/", {"verify-until": "", "verify-seen": form["seen"].value()}, follow=True)

    body.refresh_from_db()
    assert body.state == OrganisationState.PENDING
    assert "has just changed" in answer.text
    again = answer.context["verify_form"]["seen"].value()
    desk.post(f"{page}verify/", {"verify-until": "", "verify-seen": again})
    body.refresh_from_db()
    assert body.state == OrganisationState.VERIFIED


def test_a_rejection_needs_a_reason(desk: Client) -> None:
    body = waiting_body()

    assert "error-summary" in desk.post(f"/desk/organisations/{body.pk}/reject/", {"reject-reason": " "}).text
    desk.post(f"/desk/organisations/{body.pk}/reject/", {"reject-reason": "The licence is somebody else’s."})

    body.refresh_from_db()
    assert body.state == OrganisationState.REJECTED
    assert body.state_reason == "The licence is somebody else’s."


@pytest.mark.parametrize("until", ["yesterday", "10000-01-01", "2030-02-30"])
def test_a_day_that_does_not_exist_is_said(desk: Client, until: str) -> None:
    body = waiting_body()

    text = desk.post(f"/desk/organisations/{body.pk}/verify/", {"verify-until": until}).text

    assert "error-summary" in text
    assert f'value="{until}"' in text


@pytest.mark.parametrize(
    ("number", "kind", "says"),
    [
        ("12420100MB0000001X", OrganisationKind.HOSPITAL, "does not fit"),
        ("", OrganisationKind.HOSPITAL, "No registration number"),
    ],
)
def test_what_a_registration_number_tells_is_shown(desk: Client, number: str, kind: str, says: str) -> None:
    body = waiting_body(identifier=number, kind=kind)

    assert says in desk.get(f"/desk/organisations/{body.pk}/").text


def test_a_number_that_another_gives_too_is_noticed(desk: Client) -> None:
    from apps.catalogue.identifiers import uscc_check_character

    first = "12420100MB0000001"
    number = first + uscc_check_character(first)
    OrganisationFactory.create(name="Twin Hospital", identifier=number)
    body = waiting_body(identifier=number)

    text = desk.get(f"/desk/organisations/{body.pk}/").text

    assert "The check character fits" in text
    assert "Twin Hospital" in text


def test_a_contact_is_shown_on_demand_and_that_is_written_down(desk: Client, coordinator: User) -> None:
    body = waiting_body(contact_phone="13912345678")
    assert "13912345678" not in desk.get(f"/desk/organisations/{body.pk}/").text

    assert "13912345678" in desk.post(f"/desk/organisations/{body.pk}/contact/").text

    entry = AuditEntry.objects.get(event="contact.seen")
    assert (entry.actor, entry.target_id) == (coordinator, str(body.pk))


def test_a_draft_that_was_held_back_is_opened_by_a_coordinator(desk: Client) -> None:
    demand = DemandFactory.create(
        draft=True, review_requested_at=timezone.now(), state_code="approval_required", quantity=150_000_000
    )
    assert "150,000,000" in desk.get("/desk/").text

    desk.post(f"/desk/needs/{demand.pk}/open/")

    demand.refresh_from_db()
    assert demand.state == DemandState.OPEN


def test_a_need_is_paused_resumed_confirmed_and_cancelled_on_behalf(desk: Client) -> None:
    demand = DemandFactory.create()
    steps = [("confirm", "open"), ("pause", "paused"), ("resume", "open"), ("cancel", "cancelled")]

    for step, state in steps:
        assert desk.get(f"/desk/needs/{demand.pk}/{step}/").status_code == 200
        desk.post(f"/desk/needs/{demand.pk}/{step}/", {"reason": "They called."})
        demand.refresh_from_db()
        assert demand.state == state, step
    assert demand.state_reason == "They called."


def test_a_need_is_not_cancelled_without_a_reason(desk: Client) -> None:
    demand = DemandFactory.create()

    assert "error-summary" in desk.post(f"/desk/needs/{demand.pk}/cancel/", {"reason": ""}).text
    demand.refresh_from_db()
    assert demand.state == DemandState.OPEN


def test_a_step_that_is_not_possible_any_more_is_said(desk: Client) -> None:
    demand = DemandFactory.create(state=DemandState.CANCELLED)

    assert "not possible any more" in desk.post(f"/desk/needs/{demand.pk}/pause/", {"reason": ""}, follow=True).text
    assert desk.post(f"/desk/needs/{demand.pk}/explode/").status_code == 404


def test_a_failed_message_is_sent_once_more(desk: Client, hospital: Organisation) -> None:
    message = Message.objects.create(
        event="x.happened", key="1", channel=Channel.EMAIL, address="a@example.org", organisation=hospital,
        state=MessageState.FAILED, attempts=9, error="550",
    )  # fmt: skip

    desk.post(f"/desk/messages/{message.pk}/retry/")

    message.refresh_from_db()
    assert (message.state, message.attempts) == (MessageState.QUEUED, 0)


def test_search_finds_organisations_by_facts_and_needs_by_reference(desk: Client) -> None:
    body = OrganisationFactory.create(name="Jinyintan Hospital", contact_phone="027-8550 8800", identifier="ABC-1")
    demand = DemandFactory.create(organisation=body, contact_phone="13777777777")
    OrganisationFactory.create(name="Somebody Else")

    for text in ("jinyintan", "8550 8800", "abc-1", demand.reference.lower()):
        page = desk.get("/desk/search/", {"q": text}).text
        assert "Jinyintan Hospital" in page, text
        assert "Somebody Else" not in page
    assert demand.reference in desk.get("/desk/search/", {"q": "13777777777"}).text
    assert "None found" in desk.get("/desk/search/", {"q": "nothing like it"}).text


def test_a_callers_organisation_is_registered_without_the_coordinator(desk: Client, coordinator: User) -> None:
    region("420106")
    form = {"name": "Calling Clinic", "kind": "health_facility", "identifier_kind": "uscc", "region": "Wuchang"}

    response = desk.post("/desk/caller/", form)

    body = Organisation.objects.get(name="Calling Clinic")
    assert response["Location"] == f"/desk/organisations/{body.pk}/"
    assert not body.memberships.exists()
    assert f"/needs/new/?organisation={body.pk}" in desk.get(response["Location"]).text


def test_a_coordinator_registers_callers_of_their_own_region_only(client: Client) -> None:
    region("440300")
    wuhan = OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region("420100"))
    client.force_login(member(wuhan))
    form = {"name": "Far Clinic", "kind": "hospital", "identifier_kind": "uscc", "region": "Shenzhen"}

    page = client.post("/desk/caller/", form).text

    assert "not in your charge" in page
    assert 'value="Far Clinic"' in page
    assert not Organisation.objects.filter(name="Far Clinic").exists()


@pytest.mark.parametrize("size", [1, 5])
def test_the_desk_takes_as_many_queries_whatever_waits(
    desk: Client, coordinator: User, django_assert_num_queries: DjangoAssertNumQueries, size: int
) -> None:
    now = timezone.now()
    office = coordinator.grants[0].organisation
    for _ in range(size):
        waiting_body()
        DemandFactory.create(draft=True, review_requested_at=now, state_code="approval_required")
        stuck = DemandFactory.create()
        EscalationFactory.create(demand=stuck, organisation=office, tried={"expired": 3})
        DemandFactory.create(escalates_at=now + dt.timedelta(minutes=5))
        OfferFactory.create(state=OfferState.STALE)
        OfferFactory.create(state=OfferState.DRAFT, review_requested_at=now, state_code="quantity_unusual")
        AbuseReport.objects.create(
            kind="demand", subject_id=stuck.pk, accused=stuck.organisation, reported_by=coordinator,
            reason="fake_need", note="No such ward.",
        )  # fmt: skip
        Message.objects.create(
            event="x.happened", key=str(stuck.pk), channel=Channel.EMAIL, address="a@example.org",
            organisation=stuck.organisation, state=MessageState.FAILED,
        )  # fmt: skip
        first, second = OrganisationFactory.create_batch(2)
        DuplicateProposal.objects.create(first=first, second=second, score=9, findings={"name": "same"})
    desk.get("/desk/")  # the names of places are remembered

    # session, user, memberships; levers; keys of ten and rows of nine queues; escalations, notes; unread
    with django_assert_num_queries(28):
        page = desk.get("/desk/").text
    assert page.count("<article") == 9 * size


def test_a_need_that_changed_since_the_page_was_shown_is_not_sent_out(
    client: Client, coordinator: User, hospital: Organisation, buyer: User
) -> None:
    now = timezone.now()
    demand = DemandFactory.create(
        draft=True, organisation=hospital, quantity=50_000, review_requested_at=now, state_code="approval_required"
    )
    client.force_login(coordinator)
    page = client.get(f"/desk/needs/{demand.pk}/open/").text
    seen = page.split('name="seen" value="')[1].split('"')[0]
    amend_demand(demand, by=buyer, quantity=90_000_000)

    answer = client.post(f"/desk/needs/{demand.pk}/open/", {"seen": seen}, follow=True)

    assert "has just changed" in answer.text
    demand.refresh_from_db()
    assert demand.state == DemandState.DRAFT
    page = client.get(f"/desk/needs/{demand.pk}/open/").text
    client.post(f"/desk/needs/{demand.pk}/open/", {"seen": page.split('name="seen" value="')[1].split('"')[0]})
    demand.refresh_from_db()
    assert demand.state == DemandState.OPEN


def test_a_long_queue_is_counted_so_far_and_paged_in_its_order(
    desk: Client, monkeypatch: pytest.MonkeyPatch, coordinator: User
) -> None:
    monkeypatch.setattr(navigation, "MOST_COUNTED", 6)
    monkeypatch.setattr(queues, "MOST_COUNTED", 6)
    office, now = coordinator.grants[0].organisation, timezone.now()
    # Two each are as old as each other, and the newest was posted first.
    stuck = [DemandFactory.create(opened_at=now - dt.timedelta(hours=number // 2)) for number in range(7)]
    for demand in stuck:
        EscalationFactory.create(demand=demand, organisation=office)
    in_order = sorted(stuck, key=lambda demand: (demand.opened_at, demand.pk))

    assert "<strong>6+</strong>" in desk.get("/desk/").text
    first = desk.get("/desk/waiting/escalated/")
    assert "(6+)" in first.text
    assert first.context["page"].rows == in_order

    after = desk.get(f"/desk/waiting/escalated/?after={in_order[3].pk}").context["page"]
    assert after.rows == in_order[4:]
    # Whoever typed something else sees the first page.
    assert desk.get("/desk/waiting/escalated/?after=0").context["page"].rows == in_order
