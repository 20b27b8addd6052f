"""What the journeys share: the demo emergency, its people at their browsers, and a look at every page."""

import os
from pathlib import Path
from typing import Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from apps.accounts.models import User
from apps.matching.tasks import sweep
from apps.notifications.tasks import SENDERS
from apps.supply.tasks import import_sheets

DOMAIN = "demo.cosmomatch.example"
WIDTHS = (360, 1280)


def work() -> None:
    """What the worker does within seconds."""
    sweep()
    import_sheets()
    for send in SENDERS:
        send()


# Without this, axe brings over every element that it finds right: half of its time.
VIOLATIONS: Final = {"resultTypes": ["violations"]}
# In the short form of the journeys axe looks at no page of theirs: it would take half of their time.
IN_FULL: Final = os.environ.get("HYPOTHESIS_PROFILE", "quick") != "quick"


def check_for_everybody(page: Page, name: str) -> None:
    if not IN_FULL:
        return
    faults = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa"], **VIOLATIONS})
    assert not faults.response["violations"], f"{name}: {faults.generate_report()}"


def look(page: Page, name: str, *, again: bool = True, scripts: bool = True) -> None:
    """The page fits a phone and whoever cannot see it; and, if asked for, a picture of it in each language and width.

    Call it when something of the page was seen to be there: a click does not wait for the page it leads to.
    With SCREENSHOTS set to a folder, the pictures go there. `again`: the page may be fetched again in the other
    language, which a page with something typed into may not. `scripts`: axe needs them.
    """
    page.wait_for_load_state()
    page.set_viewport_size({"width": 360, "height": 780})
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0, f"{name} is {wider} pixels wider than a phone"
    if scripts:
        check_for_everybody(page, name)
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        for language in ("zh-hans", "en") if again else ("en",):
            if again:
                User.objects.update(language=language)
                page.context.add_cookies([{"name": "django_language", "value": language, "url": page.url}])
                page.goto(page.url.split("#")[0])
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 780})
                page.screenshot(path=str(Path(folder) / f"{name}-{language}-{width}.png"), full_page=True)
    page.set_viewport_size({"width": 1280, "height": 780})
