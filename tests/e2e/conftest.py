"""Journeys in a real browser: Debian's Chromium, or no journey."""

import shutil
from collections.abc import Iterator
from typing import Protocol

import pytest
from django.db import connections
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from apps.accounts.models import User
from apps.demo.cast import PASSWORD
from tests import emergency, snapshots
from tests.e2e.stage import DOMAIN, work
from tests.notifications.receivers import PostOffice, post_office

# Root has no sandbox. Drawing with a made-up graphics card costs more than drawing without one.
CHROMIUM_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.e2e)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="There is no Chromium: apt-get install chromium"))


class LogIn(Protocol):
    def __call__(self, name: str, *, scripts: bool = True) -> Page: ...


@pytest.fixture
def office(settings: Settings) -> Iterator[PostOffice]:
    with post_office() as office:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", office.port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        yield office


@pytest.fixture(scope="session")
def demo_rows() -> snapshots.Rows:
    """The demo as the first journey made it: the others put it back in a fraction of the time."""
    return {}


@pytest.fixture
def site(
    live_server: LiveServer,
    settings: Settings,
    office: PostOffice,
    monkeypatch: pytest.MonkeyPatch,
    demo_rows: snapshots.Rows,
) -> str:
    """The demo emergency, served; its people read English."""
    # Playwright runs a loop in this thread; our own calls of the worker's tasks are plain calls all the same.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    settings.SITE_URL = live_server.url
    settings.CSRF_TRUSTED_ORIGINS = [live_server.url]
    if demo_rows and snapshots.can_put_back():
        snapshots.put_back(demo_rows)
    else:
        emergency.have()
        work()
        office.mails.clear()
        User.objects.update(language="en")
        demo_rows.update(snapshots.take())
    return live_server.url


@pytest.fixture
def browser(site: str) -> Iterator[Browser]:
    """Started after the database and closed before it: its loop runs in this thread."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield browser
        browser.close()
        connections.close_all()  # those of this loop: nobody else can close them, and they would keep the database


@pytest.fixture
def log_in(browser: Browser, site: str) -> Iterator[LogIn]:
    contexts = []

    def log_in(name: str, *, scripts: bool = True) -> Page:
        context = browser.new_context(
            base_url=site, locale="en-GB", timezone_id="Asia/Shanghai", java_script_enabled=scripts
        )
        contexts.append(context)
        page = context.new_page()
        page.goto("/login/")
        page.fill("[name=login]", f"{name}@{DOMAIN}")
        page.fill("[name=password]", PASSWORD)
        page.click("main button[type=submit]")
        page.wait_for_url(lambda url: "/login/" not in url)
        return page

    yield log_in
    for context in contexts:
        context.close()
