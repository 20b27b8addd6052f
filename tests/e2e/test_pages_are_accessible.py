"""Key pages in a real browser: no violation that axe finds, nothing wider than the screen, nothing blocked."""

import datetime as dt
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from apps.accounts.models import Organisation, User
from apps.matching.simulation import previews
from apps.policy.services import draft_policy, make_policy
from tests.e2e.conftest import CHROMIUM, CHROMIUM_ARGS
from tests.e2e.stage import IN_FULL, VIOLATIONS
from tests.factories import PASSWORD, DemandFactory, EscalationFactory, MatchFactory, OfferFactory, OrganisationFactory

pytestmark = pytest.mark.django_db(transaction=True)
WIDTHS = [360, pytest.param(1280, marks=pytest.mark.long)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread; the tests' own queries do not run in it.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield chromium
        chromium.close()


@pytest.fixture
def something_everywhere(
    browser: Browser, hospital: Organisation, buyer: User, maker: Organisation, coordinator: User
) -> Organisation:
    now = timezone.now()
    OrganisationFactory.create(
        unverified=True, state="pending", name="A clinic with a name as long as names of clinics are"
    )
    demand = DemandFactory.create(organisation=hospital, escalates_at=now + dt.timedelta(minutes=5))
    MatchFactory.create(demand=demand, offer=OfferFactory.create(organisation=maker))
    DemandFactory.create(
        organisation=hospital, draft=True, review_requested_at=now, state_code="approval_required", quantity=10**12
    )
    stuck = DemandFactory.create(organisation=hospital, opened_at=now - dt.timedelta(days=3))
    office = coordinator.grants[0].organisation
    EscalationFactory.create(demand=stuck, organisation=office, tried={"declined": 2})
    return hospital


def look(page: Page, blocked: list[str], address: str, *, with_axe: bool) -> None:
    response = page.goto(address)
    assert response
    assert response.status < 400, address

    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0, f"{address} is {wider} pixels wider than the screen"
    assert blocked == []
    if not with_axe:
        return
    violations = Axe().run(page, options=VIOLATIONS).response["violations"]
    found = [(one["id"], [node["html"] for node in one["nodes"]]) for one in violations]
    assert found == [], address


def pages_for(
    browser: Browser,
    live_server: LiveServer,
    width: int,
    user: User | None,
    paths: list[str],
    *,
    with_axe: bool = True,
) -> None:
    # axe is put into the page by the debugger's door; the policy itself stays in force for what the page loads.
    context = browser.new_context(viewport={"width": width, "height": 800}, locale="en-GB")
    page = context.new_page()
    blocked: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            blocked.append(message.text)

    page.on("console", note)
    if user:
        page.goto(f"{live_server.url}/login/")
        page.get_by_label("Email").fill(user.email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("main").get_by_role("button", name="Log in").click()
        page.get_by_role("button", name="Log out").wait_for()
    for path in paths:
        look(page, blocked, f"{live_server.url}{path}", with_axe=with_axe)
    context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_public_pages(
    browser: Browser, live_server: LiveServer, width: int, something_everywhere: Organisation
) -> None:
    pages_for(
        browser, live_server, width, None, ["/", "/promise/", "/login/", "/register/", "/account/password/reset/"]
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_of_a_hospital(
    browser: Browser, live_server: LiveServer, width: int, something_everywhere: Organisation, buyer: User
) -> None:
    body = f"/organisation/{something_everywhere.pk}/"
    pages_for(
        browser, live_server, width, buyer,
        ["/account/", "/notifications/", "/account/tokens/", "/account/sessions/", "/account/email/"],
        with_axe=IN_FULL,
    )  # fmt: skip
    pages_for(
        browser, live_server, width, buyer,
        ["/organisation/new/", body, f"{body}edit/"],
    )  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_of_coordinators_and_partners(
    browser: Browser, live_server: LiveServer, width: int, something_everywhere: Organisation, coordinator: User
) -> None:
    demand = something_everywhere.demands.order_by("pk")[0]
    make_policy(
        {"phases": {"420106": {"phase": "emergency", "approval": True}}, "share_cap": 0.4}, note="x", by=coordinator
    )
    tiers = {"hospital": 1, "health_facility": 2, "community": 2, "enterprise": 3, "supplier": 4}
    draft = draft_policy({"tiers": tiers, "matter_share": 0.9}, based_on=2, by=coordinator)
    previews.request_replay(draft, by=coordinator)
    previews.replay_due()
    paths = [
        "/desk/policy/",
        "/desk/policy/new/",
        "/desk/policy/versions/1/",
        f"/desk/policy/drafts/{draft.pk}/",
        f"/desk/policy/drafts/{draft.pk}/edit/",
        "/promise/",
        "/desk/",
        "/desk/search/?q=Wuchang",
        "/desk/caller/",
        f"/desk/organisations/{something_everywhere.pk}/",
        f"/desk/needs/{demand.pk}/",
        f"/desk/needs/{demand.pk}/cancel/",
        "/partner/",
    ]
    pages_for(browser, live_server, width, coordinator, paths, with_axe=IN_FULL)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_whole_way_in_with_the_keyboard_alone(browser: Browser, live_server: LiveServer, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, locale="en-GB")
    page = context.new_page()
    page.goto(f"{live_server.url}/register/")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#content"
    page.keyboard.press("Enter")
    for text in (None, "Li Wei", f"li{width}@example.org", "a long enough secret"):
        page.keyboard.press("Tab")
        if text:
            page.keyboard.type(text)
    page.keyboard.press("Enter")

    page.get_by_role("heading", name="Your organisation").wait_for()
    context.close()
