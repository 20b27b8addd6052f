"""What the released version does in `test_former_release.py`, with its own source: a story, and the pages of each role.

Uses only what that version has. Prints the state in which each step left the need or the order, as JSON.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path.cwd()))
os.environ["DJANGO_SETTINGS_MODULE"] = "cosmomatch.settings"

import django

django.setup()

from django.core.management import call_command  # noqa: E402  after the setup
from django.test import Client  # noqa: E402  after the setup

from apps.accounts.models import Organisation, User  # noqa: E402  after the setup
from apps.demo import cast  # noqa: E402  after the setup

PAGES = ("/", "/needs/", "/supply/", "/inbox/", "/orders/", "/desk/", "/partner/", "/account/")
LISTS = ("demands", "offers", "matches", "orders", "organisations", "exports/matches")


def client(user: User) -> Client:
    browser = Client(HTTP_HOST="localhost")
    browser.force_login(user)
    return browser


def acting_for(organisation: Organisation) -> Client:
    return client(User.objects.filter(memberships__organisation=organisation, memberships__role="manager")[0])


def ask(browser: Client, path: str, **body: Any) -> Any:
    path = f"/api/v1/{path}"
    answer = browser.post(path, body, content_type="application/json") if body else browser.get(path)
    assert answer.status_code < 300, (path, answer.status_code, answer.content[:500])
    return answer.json()


def story() -> list[str]:
    """A need is posted, matched, accepted, shipped and received."""
    hospital = Organisation.objects.filter(kind="hospital", state="verified")[0]
    maker = Organisation.objects.filter(kind="supplier", state="verified")[0]
    buyer, seller = acting_for(hospital), acting_for(maker)
    offer = {"item": "mask.surgical", "quantity": 50_000, "lead_time_days": 1, "publish": True}
    ask(seller, "offers/", organisation=str(maker.pk), **offer)
    need = {"item": "mask.surgical", "quantity": 500, "urgency": "emergency", "open": True, "confirm_quantity": True}
    posted = ask(buyer, "demands/", organisation=str(hospital.pk), **need)
    states = [posted["state"]]

    call_command("match", verbosity=0, stdout=sys.stderr)
    for match in ask(buyer, f"demands/{posted['id']}/matches/")["results"]:
        if match["state"] != "held":
            continue
        assert match["explanation"] is not None
        supplier = acting_for(Organisation.objects.get(offers=match["offer"]))
        ask(supplier, f"matches/{match['id']}/accept/", quantity=match["quantity"], lead_time_days=1)
        [order] = [one for one in ask(supplier, "orders/")["results"] if one["match"] == match["id"]]
        states.append(ask(supplier, f"orders/{order['id']}/ship/", carrier="SF")["state"])
        states.append(ask(buyer, f"orders/{order['id']}/deliver/", quantity_accepted=match["quantity"])["state"])
    return [*states, ask(buyer, f"demands/{posted['id']}/")["state"]]


def pages() -> set[str]:
    """The pages that nobody could read. Raises the error of a page that has one."""
    unread = {*PAGES, *LISTS}
    people = User.objects.filter(email__in=[email for _what, email in cast.log_ins()])
    for browser in map(client, people):
        for page in (*PAGES, *LISTS):
            answer = browser.get(page if page in PAGES else f"/api/v1/{page}/")
            if answer.status_code == 200:
                unread.discard(page)
    return unread


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"states": story(), "unread": sorted(pages())}))
