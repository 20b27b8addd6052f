"""The main job in a real browser: a hospital runs out of thermometers, and what came of it.

Real PostgreSQL, web server, SMTP and browser; the worker's sweeps are called as the worker calls them.
"""

import csv
import io
import re
from urllib.parse import urlencode

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from apps.accounts import services as accounts
from apps.accounts.models import User
from apps.demands.models import Demand
from apps.fulfilment.models import Order
from apps.matching.models import Match
from tests.e2e.conftest import LogIn
from tests.e2e.stage import DOMAIN, look, work
from tests.notifications.receivers import PostOffice

pytestmark = pytest.mark.django_db(transaction=True)


def mail_to(office: PostOffice, name: str, words: str) -> str:
    """The text of the newest mail to `name` in whose subject or text `words` stand."""
    for mail in reversed(office.mails):
        body = mail.get_body(("plain",))
        assert body is not None
        text = str(body.get_content())
        if f"{name}@{DOMAIN}" in str(mail["To"]) and words in f"{mail['Subject']}\n{text}":
            return text
    raise AssertionError(f"No mail to {name} about {words}: {[(mail['To'], mail['Subject']) for mail in office.mails]}")


def link_in(mail: str, path: str) -> str:
    found = re.search(rf"https?://\S*{re.escape(path)}\S*", mail)
    assert found is not None, mail
    return found[0]


class Partner:
    """The system of a government department: pulls CSV, whole or what changed."""

    def __init__(self, page: Page, token: str) -> None:
        self.page, self.token, self.since = page, token, ""

    def pull(self, dataset: str, *, since: str = "") -> dict[str, dict[str, str]]:
        query = urlencode({"format": "csv"} | ({"updated_since": since} if since else {}))
        response = self.page.request.get(
            f"/api/v1/exports/{dataset}?{query}", headers={"Authorization": f"Bearer {self.token}"}
        )
        assert response.status == 200, response.text()
        self.since = response.headers["x-next-since"]
        rows = csv.DictReader(io.StringIO(response.body().decode("utf-8-sig")))
        return {row["id"]: row for row in rows}


def test_a_hospital_out_of_thermometers_gets_them_the_same_evening(
    browser: Browser, site: str, office: PostOffice, log_in: LogIn
) -> None:
    hospital, maker, partner = log_in("hospital"), log_in("supplier"), log_in("partner")
    official = User.objects.get(email=f"partner@{DOMAIN}")
    _token, key = accounts.issue_token(official, name="dashboard", scopes=["read", "exports"])
    system = Partner(partner, key)
    before = system.pull("demands")
    since = system.since

    # The hospital posts 1,000 forehead thermometers in Beijing's Xicheng district, urgent.
    hospital.goto("/needs/")
    look(hospital, "01-needs")
    hospital.get_by_role("link", name="Post a need").first.click()
    expect(hospital.get_by_label("Search an item")).to_be_visible()
    look(hospital, "02-new-need")
    hospital.get_by_label("Search an item").fill("额温枪")
    hospital.get_by_role("button", name="Search").click()
    expect(hospital.get_by_label("What do you need?")).not_to_have_value("")
    hospital.get_by_label("How much?").fill("1000")
    hospital.get_by_label("How urgent is it?").select_option("urgent")
    look(hospital, "03-new-need-chosen", again=False)
    hospital.get_by_role("button", name="Post: ask suppliers now").click()
    expect(hospital.get_by_text("Posted. We are asking suppliers right now.")).to_be_visible()
    demand = Demand.objects.latest("pk")
    assert (demand.quantity, demand.urgency, demand.region_id, demand.state) == (1000, "urgent", "110102", "open")

    # Seconds later the maker in Shenzhen is asked, and the hospital sees whom, why and until when.
    work()
    match = Match.objects.get(demand=demand, state="held")
    hospital.goto(f"/needs/{demand.pk}/")
    expect(hospital.get_by_text("One supplier has been asked.")).to_be_visible()
    expect(hospital.get_by_text("深圳衡岚测温科技有限公司")).to_be_visible()
    assert "0755-5550 0303" not in hospital.content()
    look(hospital, "04-need-asked")

    # The maker sees it in the portal, and opens the mail; a mail scanner was there before.
    maker.goto("/inbox/")
    look(maker, "05-inbox")
    maker.goto(f"/inbox/{match.pk}/")
    look(maker, "06-request")
    link = link_in(mail_to(office, "supplier", demand.reference), "/a/")
    assert hospital.request.get(link).status == 200
    phone = browser.new_context(base_url=site, locale="en-GB", timezone_id="Asia/Shanghai").new_page()
    phone.goto(link)
    expect(phone.get_by_text("1,000").first).to_be_visible()
    assert "010-5550 0118" not in phone.content()
    look(phone, "07-one-click")
    phone.get_by_role("button", name="Accept all").click()
    expect(phone.get_by_role("heading", name="Done")).to_be_visible()
    assert "010-5550 0118" not in phone.content()
    look(phone, "08-one-click-done", again=False)
    phone.goto(link)
    expect(phone.get_by_text("This link has been used.")).to_be_visible()
    look(phone, "09-one-click-used")
    phone.context.close()
    first = Order.objects.get(match=match)

    # The hospital is told, sees whom to call, and orders 20,000 more on the same match.
    work()
    hospital.goto(link_in(mail_to(office, "hospital", demand.reference), "/needs/"))
    expect(hospital.get_by_text("0755-5550 0303")).to_be_visible()
    look(hospital, "10-need-accepted")
    hospital.goto(f"/orders/{first.pk}/")
    look(hospital, "11-order")
    hospital.get_by_label("How much more?").fill("20,000")
    hospital.locator("#repeat").get_by_role("button", name="Order again").click()
    expect(hospital.get_by_text("Ordered. The supplier is told at once.")).to_be_visible()
    again = Order.objects.get(repeat_of=first)
    assert again.quantity == 20_000

    # The maker ships.
    work()
    maker.goto(f"/orders/{again.pk}/")
    expect(maker.get_by_text("010-5550 0118")).to_be_visible()
    look(maker, "12-order-to-ship")
    maker.get_by_label("Carrier").fill("顺丰速运")
    maker.get_by_label("Tracking number").fill("SF1020304050607")
    maker.get_by_role("button", name="It is on its way").click()
    expect(maker.get_by_text("SF1020304050607")).to_be_visible()

    # The hospital confirms 19,990 and rejects 10, saying why.
    work()
    mail_to(office, "hospital", "SF1020304050607")
    hospital.goto("/needs/")
    look(hospital, "13-needs-waiting")
    hospital.goto(f"/orders/{again.pk}/")
    hospital.get_by_role("textbox", name="Accepted").fill("19990")
    hospital.get_by_role("textbox", name="Rejected").fill("10")
    hospital.get_by_role("button", name="Confirm receipt").click()
    expect(hospital.get_by_text("Say why you rejected them.").first).to_be_visible()
    look(hospital, "14-receipt-without-reason", again=False)
    hospital.goto(f"/orders/{again.pk}/")
    hospital.get_by_role("textbox", name="Accepted").fill("19,990")
    hospital.get_by_role("textbox", name="Rejected").fill("10")
    hospital.get_by_label("Why rejected?").select_option("damaged")
    hospital.get_by_label("In your words").fill("外箱被雨淋湿")
    hospital.get_by_role("button", name="Confirm receipt").click()
    expect(hospital.get_by_text("Thank you. What you accepted counts as received.")).to_be_visible()
    look(hospital, "15-order-received")
    again.refresh_from_db()
    demand.refresh_from_db()
    assert (again.state, again.quantity_received, again.quantity_rejected) == ("delivered", 19_990, 10)
    assert (demand.quantity, demand.quantity_received) == (21_000, 19_990)

    # What was rejected is wanted again; the maker reads why.
    work()
    mail_to(office, "supplier", "外箱被雨淋湿")
    hospital.goto(f"/needs/{demand.pk}/")
    look(hospital, "16-need-after")
    for page, path, name in [
        (hospital, "/orders/", "17-orders"), (maker, "/orders/", "18-its-orders"), (maker, "/supply/", "19-offers"),
        (maker, f"/supply/{match.offer_id}/", "20-offer"), (maker, "/supply/new/", "21-new-offer"),
        (maker, "/supply/import/", "22-import"), (hospital, f"/needs/{demand.pk}/amend/", "23-amend"),
        (hospital, f"/needs/{demand.pk}/cancel/", "24-cancel"), (maker, "/inbox/", "25-inbox-after"),
    ]:  # fmt: skip
        page.goto(path)
        look(page, name)

    # The partner's system pulls what changed since it last looked: this need, and nothing that stood still.
    changed = system.pull("demands", since=since)
    row = changed[str(demand.pk)]
    assert (row["quantity"], row["quantity_received"], row["region"]) == ("21000", "19990", "110102")
    assert str(demand.pk) not in before
    assert not set(changed) - {str(demand.pk)} - set(before)
    orders = system.pull("orders", since=since)
    assert {orders[str(first.pk)]["quantity"], orders[str(again.pk)]["quantity"]} == {"1000", "20000"}
    assert orders[str(again.pk)]["quantity_rejected"] == "10"
    assert timezone.now().isoformat()[:10] in system.since
