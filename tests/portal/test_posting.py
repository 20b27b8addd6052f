import datetime as dt
import threading
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.catalogue.models import UNLISTED_ITEM, Item, Pack
from apps.demands.models import Demand, DemandState
from tests.factories import (
    DemandFactory,
    ItemFactory,
    OrganisationFactory,
    member,
    standard_of,
)
from tests.portal.conftest import Login, lines, log_in_after

pytestmark = pytest.mark.django_db


# --- Posting ----------------------------------------------------------------------------------------------------------


def test_a_need_is_posted_with_the_least_that_must_be_said(log_in: Login, buyer: User, mask: Item) -> None:
    response = log_in(buyer).post("/needs/new/", lines({"item": mask.pk, "quantity": "600"}))

    demand = Demand.objects.get()
    assert (response.status_code, response["Location"]) == (302, f"/needs/{demand.pk}/")
    assert (demand.item, demand.quantity, demand.quantity_kind, demand.state) == (mask, 600, "exact", "open")
    assert demand.organisation == buyer.grants[0].organisation
    assert demand.region_id == "420106"
    assert demand.match_requested_at is not None


@pytest.mark.parametrize(
    ("typed", "quantity"),
    [("1,000", 1000), ("１０００", 1000), ("2万", 20000), ("1.5 万", 15000), (" 12 ", 12), ("5k", 5000)],
)
def test_a_quantity_is_understood_as_people_type_it(
    log_in: Login, buyer: User, mask: Item, typed: str, quantity: int
) -> None:
    log_in(buyer).post("/needs/new/", lines({"item": mask.pk, "quantity": typed}))

    assert Demand.objects.get().quantity == quantity


def test_an_unlisted_item_is_described_and_its_outcome_names_it(log_in: Login, buyer: User) -> None:
    client, other = log_in(buyer), ItemFactory.create(key=UNLISTED_ITEM)
    line = {"item": str(other.pk), "quantity": "5"}

    refused = client.post("/needs/new/", lines(line))
    assert refused.status_code == 400
    assert "Describe what you need" in refused.text
    assert not Demand.objects.exists()

    page = client.post("/needs/new/", lines({**line, "note": "Sterile tubing, 3 mm"}), follow=True).text
    assert "“Sterile tubing, 3 mm” is saved and not sent out" in page


def test_a_quantity_may_be_counted_in_packs(log_in: Login, buyer: User, mask: Item) -> None:
    box = Pack.objects.create(item=mask, name_en="box", name_zh="盒", size=50)

    page = (
        log_in(buyer).post("/needs/new/", lines({"item": mask.pk, "quantity": "12", "pack": box.pk}), follow=True).text
    )

    assert Demand.objects.get().quantity == 600
    assert "12 boxes × 50 = 600 pieces" in page


def test_a_pack_of_another_item_is_refused_in_words(log_in: Login, buyer: User, mask: Item, thermometer: Item) -> None:
    box = Pack.objects.create(item=thermometer, name_en="box", name_zh="盒", size=50)

    response = log_in(buyer).post("/needs/new/", lines({"item": mask.pk, "quantity": "12", "pack": box.pk}))

    assert response.status_code == 400
    assert "This pack belongs to another item." in response.text
    assert not Demand.objects.exists()


def test_that_the_quantity_is_not_known_yet_is_honest_and_enough(log_in: Login, buyer: User, mask: Item) -> None:
    log_in(buyer).post("/needs/new/", lines({"item": mask.pk, "quantity": "", "quantity_kind": "unspecified"}))

    demand = Demand.objects.get()
    assert (demand.quantity, demand.quantity_kind, demand.state) == (None, "unspecified", "open")


def test_several_lines_share_a_reference(log_in: Login, buyer: User, mask: Item, thermometer: Item) -> None:
    response = log_in(buyer).post(
        "/needs/new/", lines({"item": mask.pk, "quantity": "600"}, {"item": thermometer.pk, "quantity": "20"})
    )

    first, second = Demand.objects.order_by("pk")
    assert first.reference == second.reference
    assert response["Location"] == f"/needs/?q={first.reference}"


def test_one_bad_line_keeps_all_lines_back_and_loses_nothing(
    log_in: Login, buyer: User, mask: Item, thermometer: Item
) -> None:
    response = log_in(buyer).post(
        "/needs/new/",
        lines(
            {"item": mask.pk, "quantity": "600", "note": "for ward 7"},
            {"item": thermometer.pk, "quantity": "many"},
            address="Back door",
        ),
    )

    assert response.status_code == 400
    assert not Demand.objects.exists()
    assert "Write a whole number, such as 600." in response.text
    for typed in ('value="600"', "for ward 7", 'value="many"', 'value="Back door"'):
        assert typed in response.text


def test_another_line_keeps_everything_that_was_typed(log_in: Login, buyer: User, mask: Item) -> None:
    page = (
        log_in(buyer)
        .post(
            "/needs/new/",
            lines(
                {"item": mask.pk, "quantity": "sixty", "note": "for ward 7"},
                urgency="emergency",
                add="1",
                address="Back door",
            ),
        )
        .text
    )

    assert 'name="lines-1-quantity"' in page
    for typed in ('value="sixty"', "for ward 7", 'value="Back door"', 'value="emergency" selected'):
        assert typed in page
    assert "Write a whole number" not in page


def test_a_line_may_be_removed_again(log_in: Login, buyer: User, mask: Item) -> None:
    page = (
        log_in(buyer)
        .post("/needs/new/", lines({"quantity": "11111"}, {"quantity": "22222"}, {"quantity": "33333"}, remove="1"))
        .text
    )

    assert "22222" not in page
    assert "11111" in page
    assert "33333" in page
    assert 'name="lines-2-quantity"' not in page


def test_a_search_narrows_the_list_and_chooses_what_is_found_alone(
    log_in: Login, buyer: User, mask: Item, thermometer: Item
) -> None:
    page = log_in(buyer).post("/needs/new/", lines({"find": "额温枪", "quantity": "77"}, search="1")).text

    assert f'value="{thermometer.pk}" selected' in page
    assert 'value="77"' in page
    assert "1 item found" in page


def test_a_search_does_not_lose_what_was_chosen(log_in: Login, buyer: User, mask: Item, thermometer: Item) -> None:
    page = log_in(buyer).post("/needs/new/", lines({"find": "额温枪", "item": mask.pk}, search="1")).text

    assert f'value="{mask.pk}" selected' in page


def test_only_the_standards_of_the_item_are_offered(log_in: Login, buyer: User, mask: Item, thermometer: Item) -> None:
    standard_of(mask, "YY 0469-2011")
    standard_of(thermometer, "GB/T 21417.1-2008")

    page = log_in(buyer).get(f"/needs/new/?item={mask.key}").text

    assert "YY 0469-2011" in page
    assert "GB/T 21417.1-2008" not in page


def test_the_standard_of_another_item_is_refused_in_words(
    log_in: Login, buyer: User, mask: Item, thermometer: Item
) -> None:
    standard = standard_of(thermometer, "GB/T 21417.1-2008")

    response = log_in(buyer).post("/needs/new/", lines({"item": mask.pk, "quantity": "5", "standard": standard.pk}))

    assert response.status_code == 400
    assert "“GB/T 21417.1-2008” is not a standard for Surgical mask." in response.text


def test_what_is_needed_most_comes_first(log_in: Login, buyer: User, mask: Item, thermometer: Item) -> None:
    DemandFactory.create_batch(3, item=thermometer)

    page = log_in(buyer).get("/needs/new/").text

    assert page.index("Most often needed") < page.index("Forehead thermometer") < page.index("Surgical mask")


def test_the_last_day_is_the_whole_day_where_the_writer_is(log_in: Login, buyer: User, mask: Item) -> None:
    day = timezone.now().date() + dt.timedelta(days=5)

    log_in(buyer).post("/needs/new/", lines({"item": mask.pk, "quantity": "5"}, needed_by=day.isoformat()))

    needed_by = Demand.objects.get().needed_by
    assert needed_by is not None
    assert needed_by == dt.datetime.combine(day, dt.time(15, 59), dt.UTC)  # 23:59 in Shanghai


BAD = [
    ({"quantity": "1\0"}, "Write a whole number"),
    ({"quantity": str(10**18)}, "Write at most 1,000,000,000,000."),
    ({"quantity": "9" * 5000}, "Write a whole number"),
    ({"quantity": "0"}, "Write at least 1."),
    ({"quantity": "-5"}, "Write a whole number"),
    ({"quantity": "1.5"}, "Write a whole number"),
    ({"quantity": ""}, "Give a quantity, or say that it is not known yet."),
    ({"quantity": "5", "quantity_kind": "unspecified"}, "Leave the quantity empty"),
    ({"quantity": "5", "quantity_kind": "some"}, "Select a valid choice"),
    ({"quantity": "5", "item": ""}, "Choose what you need."),
    ({"quantity": "5", "item": "9" * 30}, "Select a valid choice"),
    ({"quantity": "5", "item": "1\0"}, "Null characters are not allowed."),
    ({"quantity": "5", "standard": "9" * 30}, "Select a valid choice"),
    ({"quantity": "5", "note": "a\0b"}, "Null characters are not allowed."),
    ({"quantity": "5", "note": "x" * 2001}, "at most 2000 characters"),
    ({"quantity": "5", "days_of_supply": "99999"}, "Write at most 3,650."),
]


@pytest.mark.parametrize(("line", "says"), BAD)
def test_bad_input_in_a_line_is_said_in_words(
    log_in: Login, buyer: User, mask: Item, line: dict[str, Any], says: str
) -> None:
    response = log_in(buyer).post("/needs/new/", lines({"item": mask.pk, **line}))

    assert response.status_code == 400
    assert says in response.text
    assert not Demand.objects.exists()


@pytest.mark.parametrize(
    ("details", "says"),
    [
        ({"needed_by": "10000-01-01"}, "Write a date such as 2026-02-15."),
        ({"needed_by": "9999-12-31"}, "more than two years ahead"),
        ({"needed_by": "0001-01-01"}, "This date has passed."),
        ({"needed_by": "soon"}, "Write a date such as 2026-02-15."),
        ({"urgency": "very"}, "Select a valid choice"),
        ({"region": "nowhere at all"}, "No place of this name was found."),
        ({"region": "\0"}, "No place of this name was found."),
        ({"region": ""}, "This field is required."),
        ({"address": "a\0"}, "Null characters are not allowed."),
        ({"address": "x" * 301}, "at most 300 characters"),
    ],
)
def test_bad_input_in_the_details_is_said_in_words(
    log_in: Login, buyer: User, mask: Item, details: dict[str, Any], says: str
) -> None:
    response = log_in(buyer).post("/needs/new/", lines({"item": mask.pk, "quantity": "4711"}, **details))

    assert response.status_code == 400
    assert says in response.text
    assert 'value="4711"' in response.text
    assert not Demand.objects.exists()


def test_absent_fields_are_asked_for(log_in: Login, buyer: User) -> None:
    client = log_in(buyer)

    assert client.post("/needs/new/", {}).status_code == 200
    assert client.post("/needs/new/", {"lines-TOTAL_FORMS": "1", "lines-INITIAL_FORMS": "0"}).status_code == 400
    assert client.post("/needs/new/", {"lines-TOTAL_FORMS": "x", "lines-INITIAL_FORMS": "\0"}).status_code == 200
    assert client.post("/needs/new/", {"lines-TOTAL_FORMS": "9" * 99, "lines-INITIAL_FORMS": "0"}).status_code < 500


def test_bytes_that_are_no_text_do_no_harm(log_in: Login, buyer: User, mask: Item) -> None:
    body = (
        f"lines-TOTAL_FORMS=1&lines-INITIAL_FORMS=0&lines-0-item={mask.pk}&lines-0-quantity=5&lines-0-quantity_kind=exact"
        "&lines-0-note=%ED%A0%80&urgency=urgent&region=420106&contact_phone=%ED%A0%80%00"
    )

    response = log_in(buyer).post("/needs/new/", body, content_type="application/x-www-form-urlencoded")

    assert response.status_code == 302
    assert Demand.objects.get().contact_phone.strip("\ufffd ") == ""


@pytest.mark.parametrize("phone", ["ask at the door", "+86 (0)27-8888 8888 ext. 12", "x" * 500, "0\x008", ""])
def test_an_emergency_is_never_blocked_by_a_phone_number(log_in: Login, buyer: User, mask: Item, phone: str) -> None:
    response = log_in(buyer).post(
        "/needs/new/", lines({"item": mask.pk, "quantity": "5"}, urgency="emergency", contact_phone=phone)
    )

    assert response.status_code == 302
    assert Demand.objects.get().state == DemandState.OPEN


# --- Questions before it goes out -------------------------------------------------------------------------------------


def test_a_likely_duplicate_is_shown_before_the_form_is_submitted(
    log_in: Login, buyer: User, hospital: Organisation, mask: Item
) -> None:
    old = DemandFactory.create(organisation=hospital, item=mask, quantity=300)

    page = log_in(buyer).post("/needs/new/", lines({"item": mask.pk}, search="1")).text

    assert f'href="/needs/{old.pk}/"' in page
    assert f'href="/needs/{old.pk}/amend/"' in page


def test_a_likely_duplicate_goes_out_only_when_said_so(
    log_in: Login, buyer: User, hospital: Organisation, mask: Item
) -> None:
    old = DemandFactory.create(organisation=hospital, item=mask, quantity=300)
    client = log_in(buyer)
    data = lines({"item": mask.pk, "quantity": "600"})

    asked = client.post("/needs/new/", data)
    assert asked.status_code == 200
    assert "Is this the same need" in asked.text
    assert 'value="600"' in asked.text
    assert list(Demand.objects.all()) == [old]

    client.post("/needs/new/", {**data, "post_anyway": "1"})
    assert Demand.objects.count() == 2


def test_what_others_or_long_ago_posted_is_no_duplicate(
    log_in: Login, buyer: User, hospital: Organisation, mask: Item
) -> None:
    DemandFactory.create(item=mask)
    old = DemandFactory.create(organisation=hospital, item=mask)
    Demand.objects.filter(pk=old.pk).update(created_at=timezone.now() - dt.timedelta(days=8))

    response = log_in(buyer).post("/needs/new/", lines({"item": mask.pk, "quantity": "600"}))

    assert response.status_code == 302


def test_an_unusual_quantity_is_asked_back_and_confirmed_with_one_click(log_in: Login, buyer: User, mask: Item) -> None:
    DemandFactory.create_batch(5, item=mask, quantity=500)
    client = log_in(buyer)
    data = lines({"item": mask.pk, "quantity": "50000"})

    asked = client.post("/needs/new/", data)
    assert "50,000, not about 500?" in asked.text
    assert 'name="lines-0-asked_back" value="50000"' in asked.text
    assert not Demand.objects.filter(quantity=50000).exists()

    client.post("/needs/new/", {**data, "lines-0-asked_back": "50000"})
    assert Demand.objects.get(quantity=50000).state == DemandState.OPEN


def test_confirming_one_quantity_does_not_confirm_another(log_in: Login, buyer: User, mask: Item) -> None:
    DemandFactory.create_batch(5, item=mask, quantity=500)

    response = log_in(buyer).post("/needs/new/", lines({"item": mask.pk, "quantity": "60000", "asked_back": "50000"}))

    assert response.status_code == 200
    assert Demand.objects.count() == 5


def test_an_absurd_quantity_is_left_to_a_coordinator(log_in: Login, buyer: User, mask: Item) -> None:
    page = log_in(buyer).post("/needs/new/", lines({"item": mask.pk, "quantity": "500,000,000"}), follow=True).text

    demand = Demand.objects.get()
    assert (demand.state, demand.review_requested_at is not None) == (DemandState.DRAFT, True)
    assert "A coordinator will review it and send it out" in page


def test_an_unverified_organisation_posts_a_draft_and_learns_what_to_do(log_in: Login, mask: Item) -> None:
    clinic = OrganisationFactory.create(name="New Clinic", unverified=True)

    page = log_in(member(clinic)).post("/needs/new/", lines({"item": mask.pk, "quantity": "5"}), follow=True).text

    assert Demand.objects.get().state == DemandState.DRAFT
    assert "It goes out as soon as “New Clinic” is verified." in page
    assert "It goes out by itself as soon as “New Clinic” is verified." in page
    assert "Hand in what is needed for the verification" in page


def test_the_same_page_sent_twice_posts_once(log_in: Login, buyer: User, mask: Item) -> None:
    client = log_in(buyer)
    token = "7b0c9a2e-6f2f-4a57-9a7c-0f2a3c1f4d11"
    data = lines({"item": mask.pk, "quantity": "600"}, token=token)

    first = client.post("/needs/new/", data)
    second = client.post("/needs/new/", data)

    assert Demand.objects.count() == 1
    assert first["Location"] == second["Location"]


@pytest.mark.django_db(transaction=True)
def test_the_same_page_sent_twice_at_the_same_time_posts_once(log_in: Login, buyer: User, mask: Item) -> None:
    data = lines({"item": mask.pk, "quantity": "600"}, token="7b0c9a2e-6f2f-4a57-9a7c-0f2a3c1f4d11")
    clients = [log_in(buyer), log_in(buyer)]
    barrier = threading.Barrier(2)
    statuses: list[int] = []

    def send(client: Client) -> None:
        barrier.wait()
        try:
            statuses.append(client.post("/needs/new/", data).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [302, 302]
    assert Demand.objects.count() == 1


def test_a_coordinator_posts_for_a_caller(log_in: Login, coordinator: User, hospital: Organisation, mask: Item) -> None:
    client = log_in(coordinator)

    page = client.get(f"/needs/new/?organisation={hospital.pk}").text
    client.post(f"/needs/new/?organisation={hospital.pk}", lines({"item": mask.pk, "quantity": "600"}))

    assert "On behalf of Wuchang Hospital" in page
    demand = Demand.objects.get()
    assert (demand.organisation, demand.posted_by, demand.state) == (hospital, coordinator, DemandState.OPEN)
    assert f"/needs/{demand.pk}/" in client.get("/needs/").text


@pytest.mark.parametrize("who", ["rival", "stranger", "partner", "far_partner", "colleague"])
def test_nobody_else_posts_for_a_hospital(
    request: pytest.FixtureRequest, log_in: Login, hospital: Organisation, mask: Item, who: str
) -> None:
    client = log_in(request.getfixturevalue(who))

    response = client.post(f"/needs/new/?organisation={hospital.pk}", lines({"item": mask.pk, "quantity": "600"}))

    assert response.status_code == 404
    assert not Demand.objects.exists()


def test_who_has_no_organisation_is_shown_the_way(log_in: Login, stranger: User) -> None:
    response = log_in(stranger).get("/needs/new/")

    assert response.status_code == 200
    assert "First your organisation" in response.text


# --- Faults, all at once ----------------------------------------------------------------------------------------------


def test_faults_name_their_line_and_a_day_that_is_over_is_among_them(log_in: Login, buyer: User, mask: Item) -> None:
    data = lines({"item": mask.pk, "quantity": "600"}, {"item": mask.pk, "quantity": "many"}, needed_by="2020-01-01")

    page = log_in(buyer).post("/needs/new/", data)

    assert page.status_code == 400
    text = " ".join(page.text.split())
    assert "Line 2, How much?: Write a whole number, such as 600." in text
    assert "Line 1, " not in text
    assert "Needed by: This date has passed." in text
    assert 'value="many"' in text


def test_a_need_whose_day_is_over_can_still_be_amended(log_in: Login, buyer: User) -> None:
    demand = DemandFactory.create(organisation=buyer.grants[0].organisation, quantity=500)
    Demand.objects.filter(pk=demand.pk).update(needed_by=timezone.now() - dt.timedelta(days=3))
    demand.refresh_from_db()
    form = {
        "quantity": "600",
        "quantity_kind": "exact",
        "urgency": demand.urgency,
        "region": demand.region_id,
        "needed_by": timezone.localdate(demand.needed_by, ZoneInfo(buyer.time_zone)).isoformat(),
    }

    response = log_in(buyer).post(f"/needs/{demand.pk}/amend/", form)

    demand.refresh_from_db()
    assert (response.status_code, demand.quantity) == (302, 600)


def test_what_was_typed_survives_a_login_that_has_ended(buyer: User, mask: Item) -> None:
    client = Client(headers={"accept-language": "en"})
    sent = client.post("/needs/new/", lines({"item": mask.pk, "quantity": "600"}, address="Ward 3"))
    assert "What you typed is kept" in sent.text
    assert Session.objects.count() == 0, "a stranger could fill the table"

    log_in_after(sent, buyer)

    page = client.get("/needs/new/").content.decode()
    assert 'value="600"' in page
    assert 'value="Ward 3"' in page
    assert not Demand.objects.exists()
    assert 'value="600"' not in client.get("/needs/new/").content.decode()
