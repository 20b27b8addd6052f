"""An organisation's own pages."""

from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from apps.accounts.invitations import invite
from apps.accounts.models import Evidence, Membership, Organisation, OrganisationState, User
from apps.accounts.permissions import Role
from apps.accounts.services import add_evidence
from apps.core.models import AuditEntry
from apps.notifications.models import Message, WebhookEndpoint
from apps.notifications.services import queue_pending_notices
from tests.documents import PDF, PNG
from tests.factories import OrganisationFactory, member
from tests.portal.conftest import give_password


@pytest.fixture(autouse=True)
def own_media(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def page(client: Client, hospital: Organisation, buyer: User) -> str:
    client.force_login(buyer)
    return f"/organisation/{hospital.pk}/"


def upload(client: Client, page: str, name: str, content: bytes) -> str:
    file = SimpleUploadedFile(name, content)
    return client.post(f"{page}evidence/", {"evidence-document": file, "evidence-note": "kept"}, follow=True).text


def test_a_document_is_uploaded_and_comes_back_as_a_download(client: Client, page: str) -> None:
    upload(client, page, "licence.pdf", PDF)
    document = Evidence.objects.get()

    response = client.get(f"{page}evidence/{document.pk}/")

    assert b"".join(response.streaming_content).startswith(b"%PDF-")  # type: ignore[attr-defined]  # a FileResponse streams
    assert response["Content-Disposition"].startswith("attachment")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Type"] == "application/pdf"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("licence.exe", b"MZ"),
        ("licence.pdf", b"<html><script>alert(1)</script>"),
        ("licence.svg", b"<svg/>"),
        ("licence.pdf", b""),
        ("big.pdf", PDF + b"0" * 5 * 1024 * 1024),
    ],
)
def test_what_is_not_a_small_pdf_jpeg_or_png_is_refused(client: Client, page: str, name: str, content: bytes) -> None:
    text = upload(client, page, name, content)

    assert "error-summary" in text
    assert 'value="kept"' in text
    assert not Evidence.objects.exists()


def test_a_hostile_name_of_a_file_does_not_choose_where_it_is_kept(client: Client, page: str) -> None:
    upload(client, page, "../../../evil.png", PNG)

    kept = Path(Evidence.objects.get().document.path)
    assert kept.resolve().is_relative_to(Path(settings.MEDIA_ROOT).resolve())
    assert "evil" not in kept.name


def test_an_organisation_is_submitted_once_there_is_something_to_verify_by(client: Client, buyer: User) -> None:
    body = OrganisationFactory.create(unverified=True)
    user = member(body)
    client.force_login(user)
    page = f"/organisation/{body.pk}/"

    assert "Give a registration number or upload a document" in client.post(f"{page}submit/", follow=True).text
    add_evidence(body, SimpleUploadedFile("licence.pdf", PDF), by=user)
    client.post(f"{page}submit/")

    body.refresh_from_db()
    assert body.state == OrganisationState.PENDING
    assert "A coordinator reviews it" in client.get(page).text


def test_a_rejected_organisation_reads_why_and_what_to_do(client: Client) -> None:
    body = OrganisationFactory.create(
        unverified=True, state=OrganisationState.REJECTED, state_reason="The licence cannot be read."
    )
    client.force_login(member(body))

    text = client.get(f"/organisation/{body.pk}/").text

    assert "The licence cannot be read." in text
    assert "Submit for verification" in text


def test_changing_what_was_verified_clears_the_verification(client: Client, page: str, hospital: Organisation) -> None:
    form = {
        "name": "Another name",
        "kind": "hospital",
        "identifier_kind": "uscc",
        "identifier": "",
        "region": "Wuchang, Wuhan, Hubei",
        "region_picked": "420106",
        "region_picked_for": "Wuchang, Wuhan, Hubei",
        "address": hospital.address,
        "contact_name": "New contact",
        "contact_phone": "anything at all",
        "contact_email": "",
    }

    give_password(client)
    client.post(f"{page}edit/", form)
    hospital.refresh_from_db()
    assert (hospital.name, hospital.state) == ("Another name", OrganisationState.UNVERIFIED)


def test_a_person_is_given_another_role_and_taken_out(
    client: Client, page: str, hospital: Organisation, buyer: User
) -> None:
    give_password(client)
    person = member(hospital, Role.MEMBER)
    membership = Membership.objects.get(user=person)

    client.post(f"{page}members/{membership.pk}/", {"change": "1", "role": "viewer"})
    membership.refresh_from_db()
    assert membership.role == Role.VIEWER

    client.post(f"{page}members/{membership.pk}/", {"remove": "1"})
    assert not Membership.objects.filter(user=person).exists()
    queue_pending_notices()
    assert Message.objects.get(event="member.removed").address == person.email


def test_the_last_manager_stays_one(client: Client, page: str, buyer: User) -> None:
    give_password(client)
    membership = buyer.memberships.get()

    text = client.post(f"{page}members/{membership.pk}/", {"change": "1", "role": "viewer"}, follow=True).text
    assert "This is the last manager" in text
    # Whoever takes out themselves is asked first who takes over.
    assert client.post(f"{page}members/{membership.pk}/", {"remove": "1"})["Location"] == f"{page}leave/"
    membership.refresh_from_db()
    assert membership.role == Role.MANAGER


def test_a_webhook_is_made_tested_and_removed_and_its_secret_shown_once(
    client: Client, page: str, hospital: Organisation
) -> None:
    url = "https://hooks.example.org/in"
    give_password(client)
    made = client.post(f"{page}webhooks/", {"webhook-url": url, "webhook-events": ""})
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.secret in made.text
    assert endpoint.secret not in client.get(page).text

    client.post(f"{page}webhooks/{endpoint.pk}/test/")
    assert Message.objects.get(event="webhook.test").endpoint == endpoint
    assert "webhook.test" in client.get(page).text

    client.post(f"{page}webhooks/{endpoint.pk}/remove/")
    assert not WebhookEndpoint.objects.exists()


@pytest.mark.parametrize(
    "url", ["", "nonsense", "ftp://example.org/", "javascript:alert(1)", "https://user:pw@example.org/"]
)
def test_an_address_that_is_no_webhook_is_refused_and_kept(client: Client, page: str, url: str) -> None:
    give_password(client)
    text = client.post(f"{page}webhooks/", {"webhook-url": url, "webhook-events": ""}).text

    assert "error-summary" in text
    assert f'value="{url}"' in text or not url
    assert not WebhookEndpoint.objects.exists()


@pytest.mark.parametrize("path", ["", "edit/"])
def test_it_is_written_down_when_a_coordinator_is_shown_the_contact(
    client: Client, page: str, hospital: Organisation, coordinator: User, path: str
) -> None:
    assert hospital.contact_phone in client.get(f"{page}{path}").text
    assert not AuditEntry.objects.filter(event="contact.seen").exists()

    client.force_login(coordinator)
    assert hospital.contact_phone in client.get(f"{page}{path}").text
    assert AuditEntry.objects.get(event="contact.seen").actor == coordinator


@pytest.mark.parametrize("size", [1, 8])
def test_the_page_takes_as_many_queries_whatever_its_size(
    client: Client, page: str, hospital: Organisation, buyer: User,
    django_assert_num_queries: DjangoAssertNumQueries, size: int,
) -> None:  # fmt: skip
    for number in range(size):
        member(hospital)
        add_evidence(hospital, SimpleUploadedFile("licence.pdf", PDF), by=buyer)
        invite(hospital, f"nurse{number}@example.org", role=Role.MEMBER, by=buyer)
    client.get(page)  # the names of places are remembered

    # Session, user, memberships, it; its record, documents, people, invitations, webhooks; unread.
    with django_assert_num_queries(10):
        assert client.get(page).status_code == 200
