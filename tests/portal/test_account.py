"""Registering, logging in, and what is a person's own."""

import re

import pytest
from allauth.mfa.models import Authenticator
from django.core.mail import EmailMessage
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from apps.accounts.models import ApiToken, Organisation, OrganisationState, User
from apps.accounts.permissions import Role
from apps.accounts.services import issue_token
from apps.notifications.models import Notification
from tests.factories import PASSWORD, OrganisationFactory, region
from tests.portal.conftest import give_password

SIGNUP = {"name": "Li Wei", "email": "li@example.org", "password1": "a long enough secret", "language": "en"}
BODY = {
    "name": "Wuhan Tenth Hospital",
    "kind": "hospital",
    "identifier_kind": "uscc",
    "identifier": "",
    "region": "Wuchang",
    "address": "1 Road",
    "contact_name": "Li Wei",
    "contact_phone": "call the porter, ext. 7",
    "contact_email": "",
}


def test_registering_leads_from_a_person_to_an_organisation(client: Client) -> None:
    region("420106")

    response = client.post("/register/", SIGNUP)
    assert response["Location"] == "/organisation/new/"
    user = User.objects.get(email="li@example.org")
    assert (user.name, user.language) == ("Li Wei", "en")

    page = client.get("/organisation/new/").text
    assert 'value="Li Wei"' in page
    response = client.post("/organisation/new/", BODY)
    organisation = Organisation.objects.get()
    assert response["Location"] == f"/organisation/{organisation.pk}/"
    assert organisation.region_id == "420106"
    assert organisation.state == OrganisationState.UNVERIFIED
    assert organisation.memberships.get().role == Role.MANAGER


def test_the_language_that_was_chosen_while_registering_is_spoken_at_once(client: Client) -> None:
    client.post("/register/", SIGNUP | {"language": "zh-hans"}, headers={"accept-language": "en"})

    assert '<html lang="zh-Hans">' in client.get("/organisation/new/", headers={"accept-language": "en"}).text


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"email": "nonsense"}, "email"),
        ({"password1": "short"}, "password1"),
        ({"language": "tlh"}, "language"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\x00b"}, "name"),
    ],
)
def test_bad_input_while_registering_is_said_and_what_was_typed_is_kept(
    client: Client, wrong: dict[str, str], field: str
) -> None:
    response = client.post("/register/", SIGNUP | wrong, headers={"accept-language": "en"})

    assert response.status_code == 200
    page = response.text
    assert f'href="#id_{field}' in page
    assert f'id="id_{field}_error"' in page
    if field != "email":
        assert 'value="li@example.org"' in page
    assert SIGNUP["password1"] not in page
    assert not User.objects.exists()


def test_a_wrong_number_and_a_vague_region_are_asked_for_again(client: Client, stranger: User) -> None:
    client.force_login(stranger)

    page = client.post("/organisation/new/", BODY | {"identifier": "X", "region": "Atlantis"}).text
    assert "No place of this name" in page
    assert 'value="Wuhan Tenth Hospital"' in page
    assert 'value="Atlantis"' in page

    region("420106")
    page = client.post("/organisation/new/", BODY | {"identifier": "91350100M000100Y44"}).text
    assert "not a valid unified social credit code" in page
    assert 'value="91350100M000100Y44"' in page
    assert not Organisation.objects.exists()


def test_nobody_registers_as_a_coordinator(client: Client, stranger: User) -> None:
    region("420106")
    client.force_login(stranger)

    response = client.post("/organisation/new/", BODY | {"kind": "coordinator"})

    assert response.status_code == 400
    assert not Organisation.objects.exists()


def test_the_log_in_leads_back_to_the_wanted_page_and_never_elsewhere(client: Client, stranger: User) -> None:
    secrets = {"login": stranger.email.upper(), "password": PASSWORD}

    response = client.post("/login/", secrets | {"next": "/account/tokens/"})
    assert response["Location"] == "/account/tokens/"

    client.logout()
    response = client.post("/login/", secrets | {"next": "https://evil.example/"})
    assert response["Location"] == "/"


def test_a_wrong_password_is_said_in_words(client: Client, stranger: User) -> None:
    response = client.post("/login/", {"login": stranger.email, "password": "wrong"})

    assert response.status_code == 200
    assert "error-summary" in response.text
    assert f'value="{stranger.email}"' in response.text


def test_the_faults_of_a_password_are_said_in_chinese(client: Client) -> None:
    page = client.post("/register/", SIGNUP | {"password1": "12345"}, headers={"accept-language": "zh-hans"}).text

    for fault in ("密码太短：至少 10 个字符。", "此密码太常见，容易被猜到。", "密码不能全为数字。"):
        assert fault in page
    assert "你" not in page


@pytest.mark.parametrize("who", ["known", "unknown"])
def test_the_mail_for_a_new_password_is_in_our_words(
    client: Client, stranger: User, mailoutbox: list[EmailMessage], who: str
) -> None:
    address = stranger.email if who == "known" else "nobody@example.org"
    client.post("/account/password/reset/", {"email": address}, headers={"accept-language": "zh-hans"})

    [mail] = mailoutbox
    subject = {"known": "CosmoMatch：设置新密码", "unknown": "CosmoMatch：此邮箱没有账户"}[who]
    assert (mail.subject, mail.to) == (subject, [address])
    assert "有人（应是您本人）在 CosmoMatch 申请重设密码" in mail.body
    # Allauth's own: "来自127.0.0.1 的 Hello!"
    assert "Hello" not in mail.body


def test_a_second_factor_is_asked_for_at_the_log_in(client: Client, stranger: User) -> None:
    Authenticator.objects.create(user=stranger, type="totp", data={"secret": "JBSWY3DPEHPK3PXP"})

    response = client.post("/login/", {"login": stranger.email, "password": PASSWORD}, follow=True)

    assert response.redirect_chain[-1][0] == "/account/2fa/authenticate/"
    assert response.status_code == 200
    assert client.get("/account/").status_code == 302


def test_a_profile_is_changed_and_the_pages_follow(client: Client, stranger: User) -> None:
    client.force_login(stranger)

    client.post("/account/", {"name": "New", "phone": "+86", "language": "zh-hans", "time_zone": "Europe/Rome"})

    stranger.refresh_from_db()
    assert (stranger.name, stranger.language, stranger.time_zone) == ("New", "zh-hans", "Europe/Rome")
    assert '<html lang="zh-Hans">' in client.get("/account/").text


def test_a_profile_with_a_wrong_time_zone_is_not_saved(client: Client, stranger: User) -> None:
    client.force_login(stranger)

    page = client.post("/account/", {"name": "New", "phone": "", "language": "en", "time_zone": "Mars/Olympus"}).text

    assert 'id="id_time_zone_error"' in page
    assert 'value="New"' in page
    stranger.refresh_from_db()
    assert stranger.name == "Stranger"


def test_times_are_shown_in_the_zone_of_the_reader(client: Client, stranger: User) -> None:
    import datetime as dt

    stranger.time_zone = "Asia/Tokyo"
    stranger.save()
    client.force_login(stranger)
    one = Notification.objects.create(user=stranger, event="x.happened", key="1", context={})
    Notification.objects.filter(pk=one.pk).update(created_at=dt.datetime(2026, 1, 1, 20, 0, tzinfo=dt.UTC))

    assert "2026-01-02 05:00" in client.get("/notifications/").text


def test_the_language_is_switched_without_an_account_by_a_cookie(client: Client) -> None:
    client.post("/language/", {"language": "zh-hans", "next": "/promise/"})

    assert '<html lang="zh-Hans">' in client.get("/promise/", headers={"accept-language": "en"}).text


@pytest.mark.django_db
def test_every_other_language_has_its_button(client: Client, settings: Settings) -> None:
    settings.LANGUAGES = [*settings.LANGUAGES, ("it", "Italian")]

    buttons = re.findall(r'value="(\S+)" lang="(\S+)">\s*(\S+)\s*</button>', client.get("/login/").text)

    assert buttons == [("zh-hans", "zh-Hans", "简体中文"), ("it", "it", "italiano")]


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_switching_the_language_never_leads_elsewhere(client: Client, target: str) -> None:
    assert client.post("/language/", {"language": "en", "next": target})["Location"] == "/"


def test_the_language_is_not_switched_by_a_link(client: Client) -> None:
    assert client.get("/language/?language=zh-hans").status_code == 405


def test_a_token_is_shown_once_and_opens_nothing_after_it_was_taken_back(client: Client, buyer: User) -> None:
    client.force_login(buyer)
    give_password(client)

    response = client.post(
        "/account/tokens/", {"name": "pull", "scopes": ["read", "exports"], "days": "30", "region": ""}
    )
    token = ApiToken.objects.get()
    found = re.search(r"Bearer (\S+)</pre>", response.text)
    assert found
    assert found[1].startswith("cosmo_")
    assert "no-store" in response["Cache-Control"]
    assert found[1] not in client.get("/account/tokens/").text
    assert 29 <= (token.expiry - timezone.now()).days <= 30

    client.post(f"/account/tokens/{token.token_key}/revoke/")
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    "wrong", [{"scopes": []}, {"scopes": ["everything"]}, {"days": "99999999999999999999"}, {"name": ""}]
)
def test_a_token_needs_a_name_known_scopes_and_an_end(client: Client, buyer: User, wrong: dict[str, object]) -> None:
    client.force_login(buyer)
    give_password(client)
    good = {"name": "pull", "scopes": ["read"], "days": "30", "region": ""}

    response = client.post("/account/tokens/", good | wrong)

    assert "error-summary" in response.text
    assert not ApiToken.objects.exists()


def test_nobody_takes_back_the_token_of_another(client: Client, buyer: User, stranger: User) -> None:
    token, _text = issue_token(buyer, name="pull", scopes=["read"])
    client.force_login(stranger)

    assert client.post(f"/account/tokens/{token.token_key}/revoke/").status_code == 404
    assert ApiToken.objects.exists()


def test_a_notification_is_read_by_opening_it_and_only_by_its_owner(
    client: Client, buyer: User, stranger: User
) -> None:
    one = Notification.objects.create(user=buyer, event="organisation.verified", key="1", context={"organisation": "W"})

    client.force_login(stranger)
    assert client.post(f"/notifications/{one.pk}/").status_code == 404

    client.force_login(buyer)
    assert "waiting" in client.get("/account/").text
    client.post(f"/notifications/{one.pk}/")
    one.refresh_from_db()
    assert one.read_at


def test_all_notifications_are_read_at_once(client: Client, buyer: User, stranger: User) -> None:
    for user in (buyer, buyer, stranger):
        number = Notification.objects.count()
        Notification.objects.create(user=user, event="x.happened", key=str(number), context={})
    client.force_login(buyer)

    client.post("/notifications/read/")

    assert [one.user for one in Notification.objects.unread()] == [stranger]


@pytest.mark.parametrize("size", [1, 15])
def test_the_list_of_notifications_takes_as_many_queries_whatever_its_size(
    client: Client, buyer: User, django_assert_num_queries: DjangoAssertNumQueries, size: int
) -> None:
    for number in range(size):
        Notification.objects.create(user=buyer, event="x.happened", key=str(number), context={})
    client.force_login(buyer)

    with django_assert_num_queries(6):  # session, user, page, unread; memberships, unread of the navigation
        assert client.get("/notifications/").status_code == 200


def test_a_cookie_of_a_hospital_shows_what_waits(client: Client, supplier: User) -> None:
    from tests.factories import MatchFactory, OfferFactory

    MatchFactory.create(offer=OfferFactory.create(organisation=supplier.grants[0].organisation))
    OrganisationFactory.create()
    client.force_login(supplier)

    assert (
        re.search(r'To answer\s*<span class="count">1', client.get("/account/").text)
        or "inbox" not in client.get("/account/").text
    )


def test_a_key_that_no_token_can_have_is_not_there(client: Client, buyer: User) -> None:
    client.force_login(buyer)

    assert client.get("/account/tokens/%00/revoke/").status_code == 404
