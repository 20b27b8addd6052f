"""Every page of everybody, coordinators and partners: as anonymous, as a stranger, as who it is for."""

import re
from collections.abc import Iterator

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import DjangoDbBlocker

from apps.accounts import services
from apps.accounts.invitations import invite
from apps.accounts.models import Organisation, User
from apps.accounts.permissions import Role
from apps.demands.models import Demand
from apps.notifications.models import Channel, Message, MessageState, Notification, WebhookEndpoint
from apps.reports.models import AbuseReport
from tests.api.conftest import rows_for_a_module
from tests.documents import PDF
from tests.factories import (
    DemandFactory,
    EscalationFactory,
    ItemFactory,
    MatchFactory,
    OfferFactory,
    OrganisationFactory,
    SupplierFactory,
    member,
)

PUBLIC = ["/", "/promise/", "/figures/", "/privacy/", "/login/", "/register/", "/account/password/reset/"]
PERSONAL = [
    "/account/",
    "/account/tokens/",
    "/account/data/",
    "/account/close/",
    "/account/sessions/",
    "/notifications/",
    "/organisation/new/",
    "/account/2fa/",
    "/account/email/",
    "/account/password/change/",
    "/logout/",
]


@pytest.fixture(scope="module")
def kept_rows(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with rows_for_a_module(django_db_blocker):
        yield


# The hospital, its manager and the maker of the cast, made once for all tests of this file.


@pytest.fixture(scope="module")
def hospital(kept_rows: None) -> Organisation:
    return OrganisationFactory.create(name="Wuchang Hospital")


@pytest.fixture(scope="module")
def buyer(hospital: Organisation) -> User:
    return member(hospital, Role.MANAGER, email="buyer@example.org", name="Buyer")


@pytest.fixture(scope="module")
def maker(kept_rows: None) -> Organisation:
    return SupplierFactory.create(name="Shenzhen Maker")


@pytest.fixture(scope="module")
def world(hospital: Organisation, buyer: User, maker: Organisation) -> dict[str, int]:
    """Something of everything that belongs to the hospital; ids by name."""
    document = services.add_evidence(hospital, SimpleUploadedFile("licence.pdf", PDF), by=buyer)
    endpoint = WebhookEndpoint.objects.create(organisation=hospital, url="https://example.org/hook", secret="whsec_x")
    demand = DemandFactory.create(organisation=hospital)
    match = MatchFactory.create(demand=demand, offer=OfferFactory.create(organisation=maker))
    report = AbuseReport.objects.create(
        kind="offer", subject_id=match.offer_id, accused=maker, reported_by=buyer, reason="price", note="Too dear."
    )
    message = Message.objects.create(
        event="match.proposed",
        key="m",
        channel=Channel.EMAIL,
        address="gone@example.org",
        organisation=hospital,
        state=MessageState.FAILED,
        error="550 no such user",
    )
    notification = Notification.objects.create(user=buyer, event="nobody.worded", key="n", context={})
    return {
        "organisation": hospital.pk,
        "evidence": document.pk,
        "member": hospital.memberships.get(user=buyer).pk,
        "invitation": invite(hospital, "nurse@example.org", role="member", by=buyer).pk,
        "endpoint": endpoint.pk,
        "demand": demand.pk,
        "offer": match.offer_id,
        "match": match.pk,
        "report": report.pk,
        "message": message.pk,
        "notification": notification.pk,
    }


OWN = [
    "/organisation/{organisation}/",
    "/organisation/{organisation}/edit/",
    "/organisation/{organisation}/evidence/{evidence}/",
    "/organisation/{organisation}/members/{member}/",
    "/organisation/{organisation}/leave/",
    "/organisation/{organisation}/webhooks/{endpoint}/remove/",
]
OWN_REPORTS = ["/reports/", "/reports/{report}/", "/reports/new/match/{match}/"]
OWN_POSTS = [
    "/organisation/{organisation}/submit/",
    "/organisation/{organisation}/evidence/",
    "/organisation/{organisation}/members/",
    "/organisation/{organisation}/invitations/{invitation}/",
    "/organisation/{organisation}/webhooks/",
    "/organisation/{organisation}/webhooks/{endpoint}/test/",
    "/notifications/{notification}/",
]
DESK = [
    "/desk/",
    "/desk/search/?q=Wuchang",
    "/desk/caller/",
    *(
        f"/desk/waiting/{name}/"
        for name in ("escalated", "review", "verify", "clock", "failed", "offers", "doubted", "reports")
    ),
    "/desk/organisations/{organisation}/",
    "/desk/needs/{demand}/",
    "/desk/needs/{demand}/pause/",
    "/desk/needs/{demand}/cancel/",
    "/desk/offers/{offer}/",
    "/desk/reports/{report}/",
]
DESK_POSTS = [
    "/desk/organisations/{organisation}/contact/",
    "/desk/organisations/{organisation}/verify/",
    "/desk/organisations/{organisation}/reject/",
    "/desk/needs/{demand}/pause/",
    "/desk/messages/{message}/retry/",
]


def assert_sound(page: str) -> None:
    """One language, one heading, no script, nothing that a strict policy would refuse, every field with a label."""
    assert re.search(r'<html lang="(en|zh-Hans)">', page)
    assert len(re.findall(r"<h1[ >]", page)) == 1
    assert "<style" not in page
    assert not re.search(r'<[^>]*\sstyle="', page)
    assert not re.search(r'<[^>]*\son[a-z]+="', page)
    assert not re.search(r"<script(?![^>]*(src=|application/json))", page)
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert sorted(set(ids)) == sorted(ids)
    labelled = set(re.findall(r'<label for="([^"]*)"', page))
    fields = re.findall(r'<(?:input|select|textarea)(?![^>]*type="(?:hidden|submit)")[^>]*\sid="([^"]*)"', page)
    assert set(fields) <= labelled
    assert len(page.encode()) < 100_000


@pytest.mark.parametrize("path", PUBLIC)
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_public_page_is_for_everybody_in_both_languages(client: Client, path: str, language: str) -> None:
    response = client.get(path, headers={"accept-language": language})

    assert response.status_code == 200
    assert_sound(response.text)
    assert f'<html lang="{"en" if language == "en" else "zh-Hans"}">' in response.text


@pytest.mark.parametrize("path", [*PERSONAL, *OWN, *OWN_REPORTS, *DESK, "/partner/"])
def test_a_personal_page_sends_a_stranger_without_account_to_the_log_in(
    client: Client, world: dict[str, int], path: str
) -> None:
    response = client.get(path.format(**world))

    assert response.status_code == 302
    assert response["Location"].startswith(("/login/?next=", "/"))
    assert "Wuchang" not in response.text


@pytest.mark.parametrize("path", [*OWN_POSTS, *DESK_POSTS])
def test_nothing_is_posted_without_a_log_in(client: Client, world: dict[str, int], path: str) -> None:
    response = client.post(path.format(**world))

    assert response.status_code == 302
    assert response["Location"].startswith("/login/?next=")


@pytest.mark.parametrize("path", PERSONAL)
def test_a_person_sees_their_own_pages(client: Client, stranger: User, path: str) -> None:
    client.force_login(stranger)

    response = client.get(path)

    if response.status_code == 302:  # allauth asks for the password again before it shows keys
        response = client.get(response["Location"])
    assert response.status_code == 200
    assert_sound(response.text)


@pytest.mark.parametrize("path", OWN)
@pytest.mark.parametrize("who", ["stranger", "rival", "far_partner"])
def test_an_organisation_is_not_there_for_others(
    client: Client, world: dict[str, int], path: str, who: str, request: pytest.FixtureRequest
) -> None:
    client.force_login(request.getfixturevalue(who))

    assert client.get(path.format(**world)).status_code == 404


@pytest.mark.parametrize("path", OWN_POSTS)
@pytest.mark.parametrize("who", ["stranger", "rival", "far_partner"])
def test_nothing_of_an_organisation_is_changed_by_others(
    client: Client, world: dict[str, int], path: str, who: str, request: pytest.FixtureRequest
) -> None:
    client.force_login(request.getfixturevalue(who))

    assert client.post(path.format(**world)).status_code == 404


def test_a_manager_sees_every_page_of_the_organisation(client: Client, world: dict[str, int], buyer: User) -> None:
    client.force_login(buyer)

    for path in [*OWN, *OWN_REPORTS]:
        response = client.get(path.format(**world))
        assert response.status_code == 200, path
        if "evidence" not in path:
            assert_sound(response.text)


def test_a_viewer_sees_the_organisation_and_changes_nothing(
    client: Client, world: dict[str, int], colleague: User
) -> None:
    client.force_login(colleague)

    assert "buyer@example.org" in client.get("/organisation/{organisation}/".format(**world)).text
    assert client.get("/organisation/{organisation}/edit/".format(**world)).status_code == 403
    for path in OWN_POSTS[:-1]:
        assert client.post(path.format(**world)).status_code == 403, path


def test_partners_see_an_organisation_without_contacts_and_documents(
    client: Client, world: dict[str, int], hospital: Organisation, partner: User
) -> None:
    client.force_login(partner)

    page = client.get(f"/organisation/{hospital.pk}/").text

    assert hospital.name in page
    for hidden in (hospital.contact_phone, hospital.contact_email, "buyer@example.org", "example.org/hook"):
        assert hidden not in page
    assert client.get("/organisation/{organisation}/evidence/{evidence}/".format(**world)).status_code == 404


@pytest.mark.parametrize("who", ["stranger", "buyer", "supplier", "partner"])
def test_the_desk_is_for_coordinators_alone(
    client: Client, world: dict[str, int], who: str, request: pytest.FixtureRequest
) -> None:
    client.force_login(request.getfixturevalue(who))

    for path in DESK:
        assert client.get(path.format(**world)).status_code == 404, path
    for path in DESK_POSTS:
        assert client.post(path.format(**world)).status_code == 404, path


def test_a_coordinator_sees_every_page_of_the_desk(client: Client, world: dict[str, int], coordinator: User) -> None:
    desk = coordinator.grants[0].organisation
    demand_id = world["demand"]
    EscalationFactory.create(demand=Demand.objects.get(pk=demand_id), organisation=desk, tried={"declined": 2})
    OrganisationFactory.create(unverified=True, name="Waiting Clinic", state="pending")
    client.force_login(coordinator)

    for path in DESK:
        response = client.get(path.format(**world))
        assert response.status_code == 200, path
        assert_sound(response.text)
    page = " ".join(client.get("/desk/").text.split())
    assert "Waiting Clinic" in page
    assert "550 no such user" in page
    assert "Declined 2" in page


def test_a_coordinator_of_another_region_finds_nothing_here(client: Client, world: dict[str, int]) -> None:
    from apps.accounts.permissions import OrganisationKind
    from tests.factories import region

    far = OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region("IT-25"))
    client.force_login(member(far))

    assert client.get("/desk/organisations/{organisation}/".format(**world)).status_code == 404
    assert client.get("/desk/needs/{demand}/".format(**world)).status_code == 404
    assert client.post("/desk/messages/{message}/retry/".format(**world)).status_code == 404
    assert "Wuchang" not in client.get("/desk/").text
    assert "Wuchang Hospital" not in client.get("/desk/search/?q=Wuchang").text


@pytest.mark.parametrize(("who", "status"), [("stranger", 404), ("buyer", 404), ("partner", 200), ("coordinator", 200)])
def test_the_dashboard_is_for_who_watches_a_region(
    client: Client, world: dict[str, int], who: str, status: int, request: pytest.FixtureRequest
) -> None:
    client.force_login(request.getfixturevalue(who))

    response = client.get("/partner/")

    assert response.status_code == status
    assert_sound(response.text)
    assert "buyer@example.org" not in response.text


def test_a_partner_sees_the_sums_and_the_stuck_needs_of_their_region_only(
    client: Client, hospital: Organisation, partner: User, far_partner: User
) -> None:
    import datetime as dt

    from django.utils import timezone

    gown = ItemFactory.create(key="gown")
    long_ago = timezone.now() - dt.timedelta(days=2)
    DemandFactory.create(organisation=hospital, item=gown, quantity=4321, opened_at=long_ago)

    client.force_login(partner)
    assert client.get("/partner/").text.count("4,321") == 2
    Demand.objects.update(quantity_matched=21)  # a promise of a part does not make it less stuck
    assert client.get("/partner/").text.count("4,321") == 2

    client.force_login(far_partner)
    assert "4,321" not in client.get("/partner/").text


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nowhere/", 404), ("/organisation/99999999999999999999/", 404), ("/desk/waiting/nothing/", 404)],
)
def test_a_page_that_is_not_there_says_so_in_words(client: Client, coordinator: User, path: str, status: int) -> None:
    client.force_login(coordinator)

    response = client.get(path)

    assert response.status_code == status
    assert_sound(response.text)


def test_a_form_without_its_token_is_asked_for_again(stranger: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(stranger)

    response = client.post("/account/", {"name": "x"})

    assert response.status_code == 403
    assert "send the form again" in response.text
    assert_sound(response.text)


@pytest.mark.parametrize(
    "path", ["/?item=%00", "/?item=%ED%A0%80", "/notifications/?after=9" + "9" * 5000, "/desk/search/?q=%00"]
)
def test_a_broken_query_is_never_an_error_of_ours(client: Client, coordinator: User, path: str) -> None:
    client.force_login(coordinator)

    assert client.get(path).status_code == 200


def test_a_body_that_is_too_large_is_turned_away_in_words(client: Client, stranger: User) -> None:
    client.force_login(stranger)

    response = client.post("/account/", {"name": "x" * 10_000_000})

    assert response.status_code in {400, 413}
    assert "<h1>" in response.text


@pytest.mark.parametrize("name", ["a%00b", "%ED%A0%80", "%FF%FE"])
def test_characters_that_cannot_be_kept_are_never_an_error_of_ours(client: Client, stranger: User, name: str) -> None:
    client.force_login(stranger)

    response = client.post(
        "/account/",
        f"name={name}&phone=&language=en&time_zone=UTC",
        content_type="application/x-www-form-urlencoded",
    )

    assert response.status_code in {302, 400}
