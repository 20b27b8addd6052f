"""An open session, found on somebody's desk, does not become somebody else's account. Each test is an attack."""

import datetime as dt
import json
import re

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.core import mail
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from apps.accounts.invitations import accept_invitation, invite
from apps.accounts.models import ApiToken, Invitation, Membership, Organisation, PendingNotice, User
from apps.accounts.services import issue_token
from apps.fulfilment.services import accept_match
from apps.notifications.models import Message, WebhookEndpoint
from apps.notifications.rendering import render_mail
from tests.factories import PASSWORD, DemandFactory, MatchFactory, UserFactory
from tests.portal.conftest import give_password

pytestmark = pytest.mark.django_db

TOKEN = {"name": "pull", "scopes": ["read"], "days": "30", "region": ""}
EVIL = "evil@example.org"


@pytest.fixture
def owner(buyer: User) -> User:
    """A buyer with a confirmed address."""
    EmailAddress.objects.create(user=buyer, email=buyer.email, primary=True, verified=True)
    return buyer


@pytest.fixture
def found(client: Client, owner: User) -> Client:
    """The browser that was left open."""
    client.force_login(owner)
    return client


def notices(change: str) -> list[Message]:
    told = Message.objects.filter(event="account.changed", channel="email").order_by("pk")
    return [message for message in told if message.context["change"] == change]


def freeze_link(message: Message) -> str:
    found = re.search(r"/a/\S+/", render_mail(message).text)
    assert found
    return found[0]


def confirm(client: Client, address: str) -> None:
    [sent] = [one for one in mail.outbox if one.to == [address]]
    link = re.search(r"/account/confirm-email/\S+/", str(sent.body))
    assert link
    client.post(link[0])


def take_over(client: Client) -> None:
    """All that somebody does who also knows the password."""
    give_password(client)
    client.post("/account/email/", {"email": EVIL, "action_add": ""})
    confirm(client, EVIL)


def test_no_address_is_added_without_the_password(found: Client, owner: User) -> None:
    found.post("/account/email/", {"email": EVIL, "action_add": ""})

    assert not EmailAddress.objects.filter(email=EVIL).exists()
    assert give_password(found, "a wrong guess").status_code == 200
    assert not EmailAddress.objects.filter(email=EVIL).exists()


def test_no_token_is_made_without_the_password(found: Client) -> None:
    response = found.post("/account/tokens/", TOKEN)

    assert (response.status_code, ApiToken.objects.count()) == (302, 0)
    assert "token_made" not in response.text
    assert "Bearer" in give_password(found, then="/account/tokens/").text
    assert ApiToken.objects.count() == 1


def test_no_token_is_made_through_the_api_with_the_cookie_alone(found: Client) -> None:
    body = json.dumps({"name": "pull", "scopes": ["read"]})

    response = found.post("/api/v1/tokens/", body, content_type="application/json")

    assert (response.status_code, response.json()["code"]) == (403, "reauthentication_required")
    assert not ApiToken.objects.exists()
    give_password(found)
    assert found.post("/api/v1/tokens/", body, content_type="application/json").status_code == 201


def test_no_webhook_is_added_without_the_password(found: Client, hospital: Organisation) -> None:
    url = "https://evil.example.org/"

    found.post(f"/organisation/{hospital.pk}/webhooks/", {"webhook-url": url, "webhook-events": ""})
    through_api = found.post("/api/v1/webhooks/", json.dumps({"url": url}), content_type="application/json")

    assert through_api.status_code == 403
    assert not WebhookEndpoint.objects.exists()


def test_nobody_is_let_in_or_taken_out_without_the_password(
    found: Client, hospital: Organisation, colleague: User
) -> None:
    people = f"/organisation/{hospital.pk}/members/"
    before = list(Membership.objects.values_list("user", "role"))

    found.post(people, {"member-email": EVIL, "member-role": "manager"})
    found.post(f"{people}{colleague.memberships.get().pk}/", {"change": "1", "role": "manager"})
    found.post(f"{people}{colleague.memberships.get().pk}/", {"remove": "1"})

    assert not Invitation.objects.exists()
    assert list(Membership.objects.values_list("user", "role")) == before
    assert give_password(found, then=people).status_code in {302, 404, 405}


def test_a_freeze_takes_back_the_invitations_of_the_thief(found: Client, hospital: Organisation, owner: User) -> None:
    before = invite(hospital, "nurse@example.org", role="member", by=owner)
    Invitation.objects.update(sent_at=timezone.now() - dt.timedelta(days=1))
    take_over(found)
    after = invite(hospital, "accomplice@example.org", role="manager", by=owner)

    Client().post(freeze_link(notices("address")[0]))

    states = dict(Invitation.objects.values_list("email", "state"))
    assert states == {before.email: "open", after.email: "withdrawn"}


def test_a_freeze_takes_out_whom_the_thief_let_in(
    found: Client, hospital: Organisation, owner: User, colleague: User
) -> None:
    def join(email: str, *, by: User) -> User:
        person = UserFactory.create(email=email)
        accept_invitation(invite(hospital, email, role="manager", by=by), by=person)
        return person

    join("nurse@example.org", by=owner)
    Invitation.objects.update(sent_at=timezone.now() - dt.timedelta(days=1))
    take_over(found)
    accomplice = join("accomplice@example.org", by=owner)
    # Who hides behind another address, and has let in a friend.
    friend = join("friend@example.org", by=accomplice)
    User.objects.filter(pk=accomplice.pk).update(email="other@example.org")
    invite(hospital, "third@example.org", role="manager", by=friend)

    Client().post(freeze_link(notices("address")[0]))

    left = set(hospital.memberships.values_list("user__email", flat=True))
    assert left == {owner.email, colleague.email, "nurse@example.org"}
    assert not Invitation.objects.filter(state="open").exists()
    assert set(PendingNotice.objects.filter(event="member.removed").values_list("user", flat=True)) == {
        accomplice.pk,
        friend.pk,
    }


def test_promised_goods_go_nowhere_else_without_the_password(found: Client, hospital: Organisation) -> None:
    need = DemandFactory.create(organisation=hospital, quantity=100, address="1 Hospital Road")
    accept_match(MatchFactory.create(demand=need, quantity=100), by=None)
    elsewhere = {"address": "7 Thief Road", "contact_phone": "13800000000"}
    typed = {"quantity": "100", "quantity_kind": "exact", "urgency": "urgent", "region": need.region_id, **elsewhere}

    found.post(f"/needs/{need.pk}/amend/", typed)
    through_api = found.patch(f"/api/v1/demands/{need.pk}/", json.dumps(elsewhere), content_type="application/json")

    assert (through_api.status_code, through_api.json()["code"]) == (403, "reauthentication_required")
    need.refresh_from_db()
    assert (need.address, need.contact_phone) == ("1 Hospital Road", "")
    give_password(found)
    assert found.post(f"/needs/{need.pk}/amend/", typed)["Location"] == f"/needs/{need.pk}/"
    need.refresh_from_db()
    assert need.address == "7 Thief Road"


def test_no_second_factor_is_added_without_the_password(found: Client) -> None:
    assert found.get("/account/2fa/totp/activate/")["Location"].startswith("/account/reauthenticate/")


def test_the_old_address_hears_of_a_new_one_before_and_after_it_counts(found: Client, owner: User) -> None:
    old = owner.email

    take_over(found)

    owner.refresh_from_db()
    assert owner.email == EVIL
    assert [message.address for message in notices("address_requested") + notices("address")] == [old, old]


@pytest.mark.parametrize("change", ["password", "token", "webhook", "factor_added"])
def test_each_change_is_told_to_the_owner(
    found: Client,
    owner: User,
    hospital: Organisation,
    change: str,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    give_password(found)

    if change == "password":
        new = "another long sentence of words"
        found.post("/account/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})
    elif change == "token":
        found.post("/account/tokens/", TOKEN)
    elif change == "webhook":
        found.post(
            f"/organisation/{hospital.pk}/webhooks/", {"webhook-url": "https://a.example/", "webhook-events": ""}
        )
    else:
        page = found.get("/account/2fa/totp/activate/")
        with django_capture_on_commit_callbacks(execute=True):
            found.post("/account/2fa/totp/activate/", {"code": _code(page.context["form"].secret)})

    [message] = notices(change)
    assert message.address == owner.email
    assert "This was not me" in render_mail(message).text


def _code(secret: str) -> str:
    from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time

    return format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time())))


def test_the_old_address_takes_a_stolen_account_back(found: Client, owner: User) -> None:
    old = owner.email
    take_over(found)
    token, _text = issue_token(owner, name="evil", scopes=["read"])
    Authenticator.objects.create(user=owner, type="totp", data={"secret": "JBSWY3DPEHPK3PXP"})
    link, victim = freeze_link(notices("address")[0]), Client()

    assert victim.get(link).status_code == 200
    assert ApiToken.objects.filter(pk=token.pk).exists(), "opening a link changes nothing"
    assert victim.post(link).status_code == 200

    owner.refresh_from_db()
    assert (owner.email, owner.has_usable_password(), owner.is_active) == (old, False, True)
    assert list(EmailAddress.objects.values_list("email", "verified", "primary")) == [(old, True, True)]
    assert not ApiToken.objects.exists()
    assert not Authenticator.objects.exists()
    assert found.get("/account/").status_code == 302


def test_a_frozen_account_opens_again_by_a_reset_of_the_old_address(found: Client, owner: User) -> None:
    old = owner.email
    take_over(found)
    victim = Client()
    victim.post(freeze_link(notices("address")[0]))
    assert victim.post("/login/", {"login": old, "password": PASSWORD}).status_code == 200
    mail.outbox.clear()

    for address in (EVIL, old):
        victim.post("/account/password/reset/", {"email": address})

    to_evil, to_owner = [[one for one in mail.outbox if one.to == [address]] for address in (EVIL, old)]
    assert not any("/reset/key/" in str(one.body) for one in to_evil)
    link = re.search(r"/account/password/reset/key/\S+", str(to_owner[0].body))
    assert link
    page = victim.get(link[0], follow=True)
    new = "another long sentence of words"
    victim.post(page.redirect_chain[-1][0], {"password1": new, "password2": new})
    assert victim.post("/login/", {"login": old, "password": new}).status_code == 302


def test_the_thief_does_not_undo_the_freeze_by_a_notice_of_their_own(found: Client, owner: User) -> None:
    old = owner.email
    take_over(found)
    give_password(found)
    found.post("/account/tokens/", TOKEN)
    [to_thief] = notices("token")
    assert to_thief.address == EVIL
    Client().post(freeze_link(notices("address")[0]))

    response = Client().post(freeze_link(to_thief))

    owner.refresh_from_db()
    assert (response.status_code, owner.email) == (410, old)


def test_who_registers_the_old_address_does_not_keep_the_stolen_account(found: Client, owner: User) -> None:
    old = owner.email
    take_over(found)
    User.objects.create_user(old, PASSWORD)

    Client().post(freeze_link(notices("address")[0]))

    owner.refresh_from_db()
    assert (owner.is_active, owner.has_usable_password()) == (False, False)
    assert found.get("/account/").status_code == 302


def test_a_reset_ends_sessions_and_tokens(found: Client, owner: User) -> None:
    issue_token(owner, name="evil", scopes=["read"])
    other = Client()
    other.post("/account/password/reset/", {"email": owner.email})
    link = re.search(r"/account/password/reset/key/\S+", str(mail.outbox[-1].body))
    assert link
    page = other.get(link[0], follow=True)

    new = "another long sentence of words"
    other.post(page.redirect_chain[-1][0], {"password1": new, "password2": new})

    assert not ApiToken.objects.exists()
    assert found.get("/account/").status_code == 302
    assert [message.address for message in notices("password_reset")] == [owner.email]


def test_logging_out_everywhere_ends_sessions_and_tokens(found: Client, owner: User) -> None:
    issue_token(owner, name="evil", scopes=["read"])
    here = Client()
    here.post("/login/", {"login": owner.email, "password": PASSWORD})

    here.post("/account/sessions/", {"everywhere": "1"})

    assert not ApiToken.objects.exists()
    assert [client.get("/account/").status_code for client in (found, here)] == [302, 302]


def test_the_page_of_sessions_shows_and_ends_one(client: Client, owner: User) -> None:
    there = Client(headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}, REMOTE_ADDR="10.1.2.3")
    there.post("/login/", {"login": owner.email, "password": PASSWORD})
    client.post("/login/", {"login": owner.email, "password": PASSWORD})
    issue_token(owner, name="Dashboard", scopes=["read"])

    page = client.get("/account/sessions/")

    assert [word in page.text for word in ("10.1.2.3", "Firefox", "Dashboard")] == [True, True, True]
    [row] = [one for one in page.context["sessions"] if one.ip == "10.1.2.3"]
    client.post("/account/sessions/", {"session": row.pk})
    assert there.get("/account/").status_code == 302
    assert client.get("/account/").status_code == 200


def test_nobody_ends_the_session_of_another(client: Client, owner: User, stranger: User) -> None:
    there = Client()
    there.post("/login/", {"login": owner.email, "password": PASSWORD})
    row = there.get("/account/sessions/").context["sessions"][0]
    client.force_login(stranger)

    assert client.post("/account/sessions/", {"session": row.pk}).status_code == 404
    assert there.get("/account/").status_code == 200


@pytest.mark.parametrize(
    ("shared", "idle", "age", "status"),
    [
        ("", dt.timedelta(hours=20), dt.timedelta(hours=20), 200),
        ("", dt.timedelta(hours=25), dt.timedelta(hours=25), 302),
        ("", dt.timedelta(minutes=1), dt.timedelta(days=15), 302),
        ("on", dt.timedelta(minutes=14), dt.timedelta(hours=7), 200),
        ("on", dt.timedelta(minutes=16), dt.timedelta(hours=1), 302),
        ("on", dt.timedelta(minutes=1), dt.timedelta(hours=9), 302),
    ],
)
def test_a_session_ends_when_idle_and_when_old(
    client: Client, owner: User, shared: str, idle: dt.timedelta, age: dt.timedelta, status: int
) -> None:
    client.post("/login/", {"login": owner.email, "password": PASSWORD, "shared": shared})
    now, session = timezone.now(), client.session
    session["seen_at"], session["started_at"] = (now - idle).timestamp(), (now - age).timestamp()
    session.save()

    assert client.get("/account/").status_code == status
    assert client.get("/api/v1/tokens/").status_code == (200 if status == 200 else 401)


def test_a_shared_computer_forgets_with_the_browser(client: Client, owner: User) -> None:
    client.post("/login/", {"login": owner.email, "password": PASSWORD, "shared": "on"})

    assert client.cookies["sessionid"]["max-age"] == ""


def test_a_token_makes_no_token_without_the_scope(buyer: User) -> None:
    body = json.dumps({"name": "second", "scopes": ["read"], "lasts_days": 1})
    codes = []
    for scopes in (["read", "write"], ["read", "write", "tokens"]):
        _token, text = issue_token(buyer, name="first", scopes=scopes)
        answer = Client(headers={"authorization": f"Bearer {text}"}).post(
            "/api/v1/tokens/", body, content_type="application/json"
        )
        codes.append(answer.status_code)

    assert codes == [403, 201]
