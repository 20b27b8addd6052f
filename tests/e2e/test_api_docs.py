"""The documentation of the API in a real browser, under the security policy."""

import pytest
from playwright.sync_api import ConsoleMessage, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from tests.e2e.conftest import CHROMIUM, CHROMIUM_ARGS


@pytest.mark.django_db(transaction=True)
@pytest.mark.long
def test_the_documentation_shows_every_resource_and_nothing_is_blocked(live_server: LiveServer) -> None:
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        page = browser.new_page()
        page.on("console", note)
        page.goto(f"{live_server.url}/api/v1/docs/")
        expect(page.locator("#operations-demands-demands_list")).to_be_visible(timeout=30_000)
        browser.close()

    assert complaints == []
