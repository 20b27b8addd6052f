"""The rights of people: to read what is kept of them, to close the account, and to be forgotten."""

import io

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core import serializers
from django.core.management import CommandError, call_command
from django.test import Client

from apps.accounts.invitations import invite
from apps.accounts.models import ApiToken, Invitation, Organisation, User
from apps.accounts.services import issue_token
from apps.demands.models import Demand
from apps.notifications.models import Message
from apps.notifications.services import queue, queue_pending_notices
from tests.factories import PASSWORD, DemandFactory, OrganisationFactory, UserFactory, member
from tests.portal.conftest import give_password

pytestmark = pytest.mark.django_db

NAME, ADDRESS, PHONE = "Li Unmistakable", "li.unmistakable@example.org", "13877770001"


@pytest.fixture
def person(hospital: Organisation, buyer: User) -> User:
    """A second manager of a hospital who has left traces in every table that names people."""
    person = member(hospital, "manager", name=NAME, email=ADDRESS, phone=PHONE)
    EmailAddress.objects.create(user=person, email=ADDRESS, primary=True, verified=True)
    issue_token(person, name="pull", scopes=["read"])
    for row in (person, person.memberships.get()):
        # What the back office notes of a change made there.
        kind = ContentType.objects.get_for_model(row)
        LogEntry.objects.create(
            user=buyer, content_type=kind, object_id=str(row.pk), object_repr=str(row), action_flag=CHANGE
        )
    queue("account.changed", person, {"change": "password"}, key="x")
    elsewhere = OrganisationFactory.create(name="Hankou Clinic")
    invite(elsewhere, ADDRESS, role="member", by=member(elsewhere))
    queue_pending_notices()
    DemandFactory.create(organisation=hospital, posted_by=person)
    return person


def log_in(client: Client, user: User) -> None:
    client.post("/login/", {"login": user.email, "password": PASSWORD})
    give_password(client)


def tables_naming(*words: str) -> set[str]:
    return {
        model._meta.label
        for model in apps.get_models()
        if not model._meta.proxy
        and any(word in serializers.serialize("json", model._base_manager.all(), ensure_ascii=False) for word in words)
    }


def test_a_person_downloads_all_that_is_known_of_them_and_no_secret(client: Client, person: User) -> None:
    log_in(client, person)
    _token, text = issue_token(person, name="second", scopes=["read"])

    answer = client.get("/account/data/")
    known = answer.json()

    assert answer["Content-Disposition"].startswith("attachment")
    assert (known["account"]["name"], known["account"]["email"], known["account"]["phone"]) == (NAME, ADDRESS, PHONE)
    assert {kind for kind, rows in known.items() if not rows} == {"second_factors"}
    assert [one["organisation"] for one in known["invitations"]] == ["Hankou Clinic"]
    assert not [secret for secret in (person.password, text, "digest", "session_key") if secret in answer.text]


def test_nothing_is_downloaded_and_closed_without_the_password(client: Client, person: User) -> None:
    client.force_login(person)

    assert client.get("/account/data/")["Location"].startswith("/account/reauthenticate/")
    assert client.post("/account/close/")["Location"].startswith("/account/reauthenticate/")
    person.refresh_from_db()
    assert person.is_active


def test_a_closed_account_opens_nothing_and_names_nobody(client: Client, person: User, hospital: Organisation) -> None:
    log_in(client, person)
    page = client.get("/account/close/")
    assert "cannot be undone" in page.text
    client.post("/account/close/")

    assert client.get("/account/").status_code == 302
    assert not Client().login(email=ADDRESS, password=PASSWORD)
    assert not ApiToken.objects.filter(user=person).exists()
    assert not person.memberships.exists()
    # The colleagues are told who left. That message is kept for 90 days, and the audit trail for good.
    left = {"core.AuditEntry", "notifications.Message", "notifications.Notification", "accounts.PendingNotice"}
    assert tables_naming(NAME, ADDRESS, PHONE) <= left
    assert Demand.objects.get().posted_by == person, "the need is still its hospital's"


def test_the_last_manager_is_told_what_goes_dormant(client: Client, buyer: User, hospital: Organisation) -> None:
    log_in(client, buyer)

    assert hospital.name in client.get("/account/close/").text
    client.post("/account/close/")

    hospital.refresh_from_db()
    assert hospital.is_dormant


def test_an_operator_forgets_a_person_after_reading_what_it_means(person: User, hospital: Organisation) -> None:
    Organisation.objects.filter(pk=hospital.pk).update(contact_email=ADDRESS)
    said = io.StringIO()

    call_command("forget", ADDRESS.upper(), stdout=said)
    assert "still has the address" in said.getvalue()
    assert User.objects.filter(email=ADDRESS).exists()
    call_command("forget", ADDRESS, "--yes", stdout=said)

    assert not User.objects.filter(email=ADDRESS).exists()
    with pytest.raises(CommandError):
        call_command("forget", ADDRESS, "--yes", stdout=said)


def test_who_is_forgotten_is_so_by_earlier_addresses_too(person: User, hospital: Organisation) -> None:
    for address in ("li.today@example.org", "li.later@example.org"):
        User.objects.filter(pk=person.pk).update(email=address)
    # Somebody else has one of them by now.
    UserFactory.create(email="li.today@example.org")
    invite(OrganisationFactory.create(), "li.today@example.org", role="member", by=member(hospital))

    call_command("forget", "li.later@example.org", "--yes", stdout=io.StringIO())

    assert list(Invitation.objects.values_list("email", flat=True)) == ["li.today@example.org"]
    assert ADDRESS not in str(list(Message.objects.values_list("address", flat=True)))


def test_who_was_forgotten_may_register_again(client: Client, person: User) -> None:
    call_command("forget", ADDRESS, "--yes", stdout=io.StringIO())

    client.post("/register/", {"name": "Li", "email": ADDRESS, "password1": "seven-blue-horses", "language": "en"})

    assert User.objects.get(email=ADDRESS).pk != person.pk


def test_registering_says_what_is_kept(client: Client) -> None:
    for language, words in (("en", "What we keep about you"), ("zh-hans", "我们保存您的哪些信息")):
        page = client.get("/register/", headers={"accept-language": language}).text
        assert words in page
        assert 'href="/privacy/"' in page
