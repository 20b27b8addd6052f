"""A coordinator's passkey, from the first log-in to its removal: in a real browser."""

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from playwright.sync_api import CDPSession, Page, expect
from pytest_django import Settings

from apps.accounts.models import User
from apps.notifications.models import Notification
from tests.e2e.stage import look
from tests.e2e.test_joining import enter, page  # noqa: F401  a fixture is found by its name
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)

# A telephone or computer that knows its owner by a finger or a PIN.
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasUserVerification": True,
    "isUserVerified": True,
}


@pytest.fixture
def device(page: Page) -> tuple[CDPSession, dict[str, Any]]:  # noqa: F811  the fixture
    """A device that keeps passkeys, as Chromium simulates one, and how commands name it."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    return session, session.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})


@pytest.mark.long
def test_a_coordinator_logs_in_with_a_passkey_until_it_is_removed(
    page: Page,  # noqa: F811  the fixture
    device: tuple[CDPSession, dict[str, Any]],
    coordinator: User,
    settings: Settings,
) -> None:
    settings.REQUIRE_SECOND_FACTOR = True
    session, this_device = device
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)

    # The desk leads to the page on which a factor is added.
    log_in(page, coordinator)
    page.goto("/desk/")
    assert page.url.endswith("/account/2fa/")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    look(page, "passkey-add")
    page.get_by_label("Name").fill("My phone")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_text("Passkey added.")).to_be_visible()
    codes = page.locator("main code").all_inner_texts()
    look(page, "recovery-codes")
    assert len(codes) == 10
    page.goto("/desk/")
    assert page.url.endswith("/desk/")

    # After the password the device is asked. If it says no, the page says so, and a recovery code stands in.
    page.get_by_role("button", name="Log out").click()
    log_in(page, coordinator)
    session.send("WebAuthn.setUserVerified", {**this_device, "isUserVerified": False})
    page.get_by_role("button", name="Use your passkey").click()
    expect(page.get_by_role("alert")).to_have_text("Your device did not confirm. Please try again.")
    look(page, "passkey-refused", again=False)
    enter_code(page, codes[0])
    page.wait_for_url(lambda url: "/2fa/" not in url)
    page.goto("/desk/")
    assert page.url.endswith("/desk/")

    # The same code does not do it again, and the passkey does.
    log_in(page, coordinator)
    enter_code(page, codes[0])
    expect(page.get_by_text("That is not right, or was used already.").first).to_be_visible()
    session.send("WebAuthn.setUserVerified", {**this_device, "isUserVerified": True})
    page.get_by_role("button", name="Use your passkey").click()
    page.wait_for_url(lambda url: "/2fa/" not in url)

    page.goto("/account/2fa/")
    look(page, "second-factor-one")
    page.get_by_role("link", name="Rename or remove").click()
    look(page, "passkeys")
    page.get_by_role("link", name="Rename", exact=True).click()
    page.get_by_role("link", name="Use your passkey").click()
    page.get_by_role("button", name="Use your passkey").click()
    page.wait_for_url("**/edit/")
    page.get_by_label("Name").fill("My old phone")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Remove", exact=True).click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Passkey removed.")).to_be_visible()
    expect(page.get_by_text("You have no passkey yet.")).to_be_visible()
    assert not Authenticator.objects.exists(), "recovery codes alone are no factor"
    page.goto("/desk/")
    assert page.url.endswith("/account/2fa/")
    changes = [told.context["change"] for told in Notification.objects.filter(user=coordinator).order_by("pk")]
    assert changes == ["factor_added", "factor_removed"]
    assert complaints == []


def log_in(page: Page, user: User) -> None:  # noqa: F811  the fixture
    page.context.clear_cookies()
    page.goto("/login/")
    enter(page, user)


def enter_code(page: Page, code: str) -> None:  # noqa: F811  the fixture
    page.fill("[name=code]", code)
    page.get_by_role("button", name="Log in").click()
