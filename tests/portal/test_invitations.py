"""Nobody belongs to an organisation without having said so: attacks, invitations, leaving."""

import re

import pytest
from allauth.account.models import EmailAddress
from django.test import Client

from apps.accounts.invitations import path_of
from apps.accounts.models import Invitation, InvitationState, Membership, Organisation, OrganisationState, User
from apps.accounts.permissions import Role
from apps.notifications.models import Message
from apps.notifications.services import queue_pending_notices
from tests.factories import ItemFactory, OrganisationFactory, UserFactory, member
from tests.portal.conftest import Login, give_password

pytestmark = pytest.mark.django_db


def confirm(*people: User) -> None:
    for person in people:
        EmailAddress.objects.create(user=person, email=person.email, verified=True, primary=True)


def send(client: Client, organisation: Organisation, email: str, role: str = "member") -> str:
    give_password(client)
    data = {"member-email": email, "member-role": role}
    return client.post(f"/organisation/{organisation.pk}/members/", data, follow=True).text


@pytest.fixture
def invitation(buyer: User, hospital: Organisation, log_in: Login) -> Invitation:
    """An invitation of the hospital to nurse@example.org."""
    send(log_in(buyer), hospital, "Nurse@Example.org")
    return Invitation.objects.select_related("organisation").get()


@pytest.fixture
def nurse(db: None) -> User:
    return UserFactory.create(email="nurse@example.org", name="Nurse Zhang")


def test_a_rogue_cannot_put_anybody_into_its_organisation(
    log_in: Login, rival: User, buyer: User, partner: User, coordinator: User, hospital: Organisation
) -> None:
    admin = UserFactory.create(email="admin@example.org", name="Administrator", is_superuser=True)
    victims = [buyer, partner, coordinator, admin]
    confirm(*victims)
    rogue = rival.memberships.get().organisation
    page = ""

    for victim in victims:
        page += send(log_in(rival), rogue, victim.email, "manager")

    assert not Membership.objects.filter(organisation=rogue).exclude(user=rival).exists()
    for victim in victims:
        assert victim.name not in page


def test_a_program_of_the_victim_still_posts_for_its_own(
    log_in: Login, rival: User, buyer: User, hospital: Organisation
) -> None:
    confirm(buyer)
    ItemFactory.create()
    rogue = rival.memberships.get().organisation
    post = {"item": "mask.surgical", "quantity": 100, "region": "420106", "urgency": "urgent"}

    send(log_in(rival), rogue, buyer.email)
    before = log_in(buyer).post("/api/v1/demands/", post, content_type="application/json")
    # The first organisation stays the one that is meant, even for a victim who accepts.
    for invitation in Invitation.objects.all():
        log_in(buyer).post(path_of(invitation.pk), {"accept": "1"})
    after = log_in(buyer).post("/api/v1/demands/", post, content_type="application/json")

    assert buyer.memberships.count() == 2
    assert [answer.status_code for answer in (before, after)] == [201, 201], after.content
    assert {answer.json()["organisation"] for answer in (before, after)} == {str(hospital.pk)}


def test_the_answer_is_the_same_whether_an_address_has_an_account(
    log_in: Login, buyer: User, rival: User, stranger: User
) -> None:
    rogue, claimed = rival.memberships.get().organisation, UserFactory.create()
    confirm(buyer, stranger)
    EmailAddress.objects.create(user=claimed, email=claimed.email, verified=False, primary=True)

    pages = []
    for email in (buyer.email, stranger.email, claimed.email, "nobody@example.org"):
        text = send(log_in(rival), rogue, email)
        pages.append(
            re.sub(r'(?s)value="[A-Za-z0-9]{64}"|invitations/\d+/|<time.*?</time>', "", text.replace(email, "@"))
        )
        Invitation.objects.all().delete()

    assert "Invited. The person gets a mail" in pages[0]
    assert len(set(pages)) == 1


def test_the_invited_person_reads_who_invites_to_what_and_joins(
    log_in: Login, invitation: Invitation, nurse: User, buyer: User, hospital: Organisation
) -> None:
    page = log_in(nurse).get(path_of(invitation.pk))
    assert page.status_code == 200
    for shown in ("Buyer", "Wuchang Hospital", "Member", "Verified"):
        assert shown in page.text
    assert not nurse.memberships.exists()

    log_in(nurse).post(path_of(invitation.pk), {"accept": "1"})

    membership = nurse.memberships.get()
    assert (membership.organisation, membership.role) == (hospital, Role.MEMBER)
    again = log_in(nurse).post(path_of(invitation.pk), {"accept": "1"})
    assert again.status_code in {409, 410}
    queue_pending_notices()
    told = set(Message.objects.filter(channel="email").values_list("event", "address"))
    assert told == {
        ("invitation.sent", "nurse@example.org"),
        ("invitation.accepted", buyer.email),
        ("invitation.accepted", nurse.email),
        ("member.joined", nurse.email),
    }


def test_a_person_without_an_account_registers_and_then_accepts(invitation: Invitation, client: Client) -> None:
    path = path_of(invitation.pk)
    page = client.get(path, headers={"accept-language": "en"}).text
    register = re.search(r'href="(/register/[^"]+)"', page)
    assert register
    form = client.get(register[1].replace("&amp;", "&")).text
    assert 'value="nurse@example.org"' in form
    assert f'value="{path}"' in form

    data = {
        "name": "Nurse", "email": "nurse@example.org", "password1": "correct horse battery", "language": "en",
        "next": path,
    }  # fmt: skip
    response = client.post("/register/", data)

    assert response["Location"] == path
    client.post(path, {"accept": "1"})
    assert User.objects.get(email="nurse@example.org").memberships.get().organisation == invitation.organisation


def test_another_address_than_the_invited_one_is_refused(
    log_in: Login, invitation: Invitation, stranger: User, client: Client
) -> None:
    page = log_in(stranger).get(path_of(invitation.pk))
    assert (page.status_code, "Wuchang Hospital" in page.text, "nurse@" in page.text) == (403, False, False)
    assert log_in(stranger).post(path_of(invitation.pk), {"accept": "1"}).status_code == 403
    assert log_in(stranger).post(path_of(invitation.pk), {"decline": "1"}).status_code == 403

    # A further address counts once it is confirmed, and not before.
    further = EmailAddress.objects.create(user=stranger, email="nurse@example.org", verified=False, primary=False)
    assert log_in(stranger).post(path_of(invitation.pk), {"accept": "1"}).status_code == 403
    further.verified = True
    further.save()
    assert log_in(stranger).post(path_of(invitation.pk), {"accept": "1"}).status_code == 302

    client.post(path_of(invitation.pk), {"accept": "1"})
    assert Membership.objects.filter(user=stranger).count() == 1


@pytest.mark.parametrize("path", ["/invitation/1/", "/invitation/MQ.forged/", f"/invitation/{'x' * 200}/"])
def test_an_invitation_without_our_signature_is_not_there(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_declining_joins_nothing_and_tells_no_name(
    log_in: Login, invitation: Invitation, nurse: User, buyer: User, hospital: Organisation
) -> None:
    log_in(nurse).post(path_of(invitation.pk), {"decline": "1"})

    assert not nurse.memberships.exists()
    queue_pending_notices()
    told = Message.objects.get(event="invitation.declined")
    assert told.address == buyer.email
    assert "Zhang" not in str(told.context)
    assert "declined lately" in send(log_in(buyer), hospital, "nurse@example.org")


def test_an_open_invitation_is_listed_sent_again_and_withdrawn(
    log_in: Login, invitation: Invitation, buyer: User, hospital: Organisation, nurse: User
) -> None:
    client = log_in(buyer)
    page = client.get(f"/organisation/{hospital.pk}/").text
    assert "nurse@example.org" in page
    assert "Zhang" not in page
    buttons = f"/organisation/{hospital.pk}/invitations/{invitation.pk}/"

    client.post(buttons, {"resend": "1"})
    client.post(buttons, {"resend": "1"})
    assert "three invitations lately" in client.post(buttons, {"resend": "1"}, follow=True).text
    client.post(buttons, {"withdraw": "1"})

    assert "nurse@example.org" not in client.get(f"/organisation/{hospital.pk}/").text
    assert log_in(nurse).post(path_of(invitation.pk), {"accept": "1"}).status_code == 410
    assert not nurse.memberships.exists()
    queue_pending_notices()
    sent = Message.objects.filter(address="nurse@example.org").values_list("event", flat=True)
    assert sorted(sent) == ["invitation.sent"] * 3 + ["invitation.withdrawn"]


def test_an_invitation_of_another_organisation_cannot_be_touched(
    log_in: Login, invitation: Invitation, rival: User
) -> None:
    rogue = rival.memberships.get().organisation
    for organisation in (rogue, invitation.organisation):
        path = f"/organisation/{organisation.pk}/invitations/{invitation.pk}/"
        assert log_in(rival).post(path, {"withdraw": "1"}).status_code == 404
    invitation.refresh_from_db()
    assert invitation.state == InvitationState.OPEN


def test_the_account_lists_invitations_to_a_confirmed_address_only(
    log_in: Login, invitation: Invitation, nurse: User
) -> None:
    assert "Wuchang Hospital" not in log_in(nurse).get("/account/").text
    confirm(nurse)
    assert path_of(invitation.pk) in log_in(nurse).get("/account/").text


def test_the_default_organisation_is_chosen_on_the_account_page(
    log_in: Login, buyer: User, hospital: Organisation, maker: Organisation
) -> None:
    form = {"name": "Buyer", "phone": "", "language": "en", "time_zone": "Asia/Shanghai"}
    assert "default_organisation" not in log_in(buyer).get("/account/").text
    second = OrganisationFactory.create(name="Second hospital")
    second.memberships.create(user=buyer, role=Role.MEMBER)
    page = log_in(buyer).get("/account/").text
    assert "Second hospital" in page
    assert maker.name not in page

    log_in(buyer).post("/account/", form | {"default_organisation": second.pk})
    buyer.refresh_from_db()
    assert buyer.default_organisation == second
    assert "Second hospital" in log_in(buyer).get("/needs/new/").text
    # Nobody acts for an organisation by naming it here.
    assert log_in(buyer).post("/account/", form | {"default_organisation": maker.pk}).status_code == 400
    buyer.refresh_from_db()
    assert buyer.default_organisation == second


def test_everybody_may_leave_and_the_others_are_told(
    log_in: Login, colleague: User, buyer: User, hospital: Organisation
) -> None:
    client = log_in(colleague)
    assert "see nothing of it" in client.get(f"/organisation/{hospital.pk}/leave/").text
    assert colleague.memberships.exists()

    client.post(f"/organisation/{hospital.pk}/leave/")

    assert not colleague.memberships.exists()
    assert client.get(f"/organisation/{hospital.pk}/").status_code == 404
    queue_pending_notices()
    assert Message.objects.get(event="member.left").address == buyer.email


def test_the_last_manager_hands_over_to_a_colleague(
    log_in: Login, colleague: User, buyer: User, hospital: Organisation
) -> None:
    client = log_in(buyer)
    page = client.get(f"/organisation/{hospital.pk}/leave/").text
    assert "its needs and offers rest" in page
    assert client.post(f"/organisation/{hospital.pk}/leave/").status_code == 400
    outsider = member(OrganisationFactory.create()).memberships.get()
    assert client.post(f"/organisation/{hospital.pk}/leave/", {"successor": outsider.pk}).status_code == 400
    assert buyer.memberships.exists()

    client.post(f"/organisation/{hospital.pk}/leave/", {"successor": colleague.memberships.get().pk})

    assert not buyer.memberships.exists()
    assert colleague.memberships.get().role == Role.MANAGER
    hospital.refresh_from_db()
    assert hospital.state == OrganisationState.VERIFIED


def test_the_desk_is_told_of_an_organisation_without_a_manager(
    log_in: Login, buyer: User, hospital: Organisation, coordinator: User
) -> None:
    log_in(buyer).post(f"/organisation/{hospital.pk}/leave/", {"successor": "nobody"})
    queue_pending_notices()
    assert Message.objects.get(event="organisation.dormant").address == coordinator.email


def test_without_a_manager_the_organisation_rests_until_one_returns(
    log_in: Login, colleague: User, buyer: User, hospital: Organisation, coordinator: User
) -> None:
    log_in(buyer).post(f"/organisation/{hospital.pk}/leave/", {"successor": "nobody"})
    hospital.refresh_from_db()
    assert (hospital.state, hospital.is_dormant) == (OrganisationState.UNVERIFIED, True)
    assert "Nobody manages this organisation any more" in log_in(colleague).get(f"/organisation/{hospital.pk}/").text

    path, desk = f"/organisation/{hospital.pk}/members/{colleague.memberships.get().pk}/", log_in(coordinator)
    give_password(desk)
    desk.post(path, {"change": "1", "role": "manager"})

    hospital.refresh_from_db()
    assert (hospital.state, hospital.is_dormant) == (OrganisationState.VERIFIED, False)
