"""A manager invites, the invited person joins, and the manager leaves: in a real browser."""

from collections.abc import Iterator

import pytest
from django.db import connections
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from apps.accounts.invitations import path_of
from apps.accounts.models import Invitation, Organisation, OrganisationState, User
from apps.accounts.permissions import Role
from tests.e2e.conftest import CHROMIUM, CHROMIUM_ARGS
from tests.e2e.stage import look
from tests.factories import PASSWORD, MembershipFactory, SupplierFactory, UserFactory

# `make test` shows the same steps without a browser: tests/portal/test_invitations.py and test_organisation.py.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]


@pytest.fixture
def page(live_server: LiveServer, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    settings.CSRF_TRUSTED_ORIGINS = [live_server.url]
    with sync_playwright() as playwright:
        browser: Browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield browser.new_context(base_url=live_server.url, locale="en-GB").new_page()
        browser.close()
        connections.close_all()  # as in conftest.py


def log_in(page: Page, user: User) -> None:
    page.context.clear_cookies()
    page.goto("/login/")
    enter(page, user)


def enter(page: Page, user: User) -> None:
    page.fill("[name=login]", user.email)
    page.fill("[name=password]", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_url(lambda url: "/login/" not in url)


def test_a_person_is_invited_joins_and_the_manager_leaves(page: Page, hospital: Organisation, buyer: User) -> None:
    nurse = UserFactory.create(email="nurse@example.org", name="Nurse Zhang")
    MembershipFactory.create(user=nurse, organisation=SupplierFactory.create(name="Mask Factory"), role=Role.MEMBER)

    log_in(page, buyer)
    page.goto(f"/organisation/{hospital.pk}/")
    page.get_by_text("Invite a person").click()
    page.fill("[name=member-email]", nurse.email)
    page.get_by_role("button", name="Invite", exact=True).click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    assert page.get_by_text("Invited. The person gets a mail").is_visible()
    look(page, "organisation")

    path = path_of(Invitation.objects.get().pk)
    User.objects.update(language="en")
    page.context.clear_cookies()
    page.goto(path)
    look(page, "invitation-without-a-log-in")
    page.context.clear_cookies()
    page.goto(path)
    page.locator("main").get_by_role("link", name="Log in").click()
    enter(page, nurse)
    assert page.url.endswith(path)
    look(page, "invitation")
    User.objects.update(language="en")
    page.goto(path)
    page.get_by_role("button", name="Accept").click()
    assert page.get_by_text("You can leave at any time").is_visible()
    page.goto("/account/")
    assert page.locator("[name=default_organisation] option:checked").inner_text() == "Mask Factory"
    look(page, "account")

    User.objects.update(language="en")
    log_in(page, buyer)
    page.goto(f"/organisation/{hospital.pk}/")
    page.get_by_role("link", name="Leave the organisation").click()
    look(page, "leave")
    User.objects.update(language="en")
    page.goto(page.url)
    page.get_by_label("Nobody: the organisation goes dormant").check()
    page.get_by_role("button", name="Leave").click()
    assert page.get_by_text("You have left the organisation").is_visible()
    hospital.refresh_from_db()
    assert hospital.state == OrganisationState.UNVERIFIED
