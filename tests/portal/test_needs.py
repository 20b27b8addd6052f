import datetime as dt

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.catalogue.models import Item, Pack
from apps.demands.models import Demand, DemandState
from apps.fulfilment.models import ContactReveal
from apps.matching.models import Match, MatchState
from tests.factories import (
    DemandFactory,
    ItemFactory,
    MatchFactory,
    OfferFactory,
    SupplierFactory,
    standard_of,
)
from tests.portal.conftest import Login, queries

pytestmark = pytest.mark.django_db


# --- Following --------------------------------------------------------------------------------------------------------


def test_the_need_says_who_was_asked_and_why_in_rank_order(
    log_in: Login, buyer: User, hospital: Organisation, mask: Item
) -> None:
    demand = DemandFactory.create(organisation=hospital, item=mask)
    for rank, (name, state) in enumerate(
        [("First Maker", MatchState.HELD), ("Second Maker", MatchState.STANDBY), ("Third Maker", MatchState.STANDBY)], 1
    ):
        supplier = SupplierFactory.create(name=name, contact_phone=f"1390000000{rank}")
        MatchFactory.create(
            demand=demand,
            offer=OfferFactory.create(organisation=supplier, item=mask),
            rank=rank,
            state=state,
            respond_by=timezone.now() + dt.timedelta(minutes=12) if state == "held" else None,
        )

    page = log_in(buyer).get(f"/needs/{demand.pk}/").text

    assert page.index("First Maker") < page.index("Second Maker") < page.index("Third Maker")
    assert "It has enough for 40 % of what is still needed: 400." in page
    assert "in 12 minutes" in page
    assert "1390000000" not in page


def test_the_contact_is_seen_once_accepted_and_the_first_look_is_logged(
    log_in: Login, buyer: User, hospital: Organisation, maker: Organisation, mask: Item
) -> None:
    demand = DemandFactory.create(organisation=hospital, item=mask)
    match = MatchFactory.create(
        demand=demand,
        offer=OfferFactory.create(organisation=maker, item=mask),
        state=MatchState.ACCEPTED,
        responded_at=timezone.now(),
    )
    client = log_in(buyer)

    pages = [client.get(f"/needs/{demand.pk}/").text for _look in range(2)]

    assert all(maker.contact_phone in page for page in pages)
    assert [(reveal.match, reveal.user) for reveal in ContactReveal.objects.all()] == [(match, buyer)]


def test_a_partner_sees_the_need_of_its_region_without_the_contact(
    log_in: Login, partner: User, far_partner: User, hospital: Organisation, maker: Organisation, mask: Item
) -> None:
    demand = DemandFactory.create(organisation=hospital, item=mask)
    MatchFactory.create(
        demand=demand,
        offer=OfferFactory.create(organisation=maker, item=mask),
        state=MatchState.ACCEPTED,
        responded_at=timezone.now(),
    )

    page = log_in(partner).get(f"/needs/{demand.pk}/").text

    assert maker.contact_phone not in page
    assert maker.contact_email not in page
    assert hospital.contact_phone not in page
    assert log_in(far_partner).get(f"/needs/{demand.pk}/").status_code == 404
    assert not ContactReveal.objects.exists()


def test_a_need_that_nobody_can_serve_says_why_and_what_would_help(
    log_in: Login, buyer: User, hospital: Organisation, mask: Item
) -> None:
    demand = DemandFactory.create(organisation=hospital, item=mask, standard=standard_of(mask), quantity=10)
    OfferFactory.create(item=mask, standard=None)
    OfferFactory.create(item=mask, standard=demand.standard, ships_to=["110000"])
    OfferFactory.create(item=mask, standard=demand.standard, minimum_order=500)

    page = log_in(buyer).get(f"/needs/{demand.pk}/").text

    assert "Nobody could be asked so far." in page
    assert "1 of them does not reach the standard YY 0469-2011." in page
    assert "1 of them does not ship to Wuchang, Wuhan, Hubei." in page
    assert "1 of them has a minimum order above the 10 that are still needed." in page
    assert "What would help" in page


@pytest.mark.parametrize("state", DemandState.values)
def test_every_state_has_a_page_in_both_languages(
    log_in: Login, buyer: User, hospital: Organisation, mask: Item, state: str
) -> None:
    demand = DemandFactory.create(organisation=hospital, item=mask, state=state)
    client = log_in(buyer)

    for language in ("en", "zh-hans"):
        User.objects.filter(pk=buyer.pk).update(language=language)
        response = client.get(f"/needs/{demand.pk}/")
        assert response.status_code == 200
        assert ("医用外科口罩" if language == "zh-hans" else "Surgical mask") in response.text


# --- The buttons ------------------------------------------------------------------------------------------------------


def test_the_buttons_of_a_need_lead_through_its_life(
    log_in: Login, buyer: User, hospital: Organisation, mask: Item
) -> None:
    demand = DemandFactory.create(organisation=hospital, item=mask, draft=True)
    client = log_in(buyer)

    for verb, state in [
        ("open", "open"),
        ("confirm", "open"),
        ("pause", "paused"),
        ("resume", "open"),
        ("cancel", "cancelled"),
    ]:
        response = client.post(f"/needs/{demand.pk}/{verb}/", {"reason": ""})
        demand.refresh_from_db()
        assert (response.status_code, demand.state) == (302, state)

    refused = client.post(f"/needs/{demand.pk}/resume/", follow=True)
    assert "Only a paused need can be resumed." in refused.text


def test_opening_a_draft_of_unusual_quantity_asks_back(
    log_in: Login, buyer: User, hospital: Organisation, mask: Item
) -> None:
    DemandFactory.create_batch(5, item=mask, quantity=500)
    demand = DemandFactory.create(organisation=hospital, item=mask, quantity=50000, draft=True)
    client = log_in(buyer)

    asked = client.post(f"/needs/{demand.pk}/open/")
    assert asked.status_code == 409
    assert 'name="confirmed_quantity" value="50000"' in asked.text

    client.post(f"/needs/{demand.pk}/open/", {"confirmed_quantity": "50000"})
    demand.refresh_from_db()
    assert demand.state == DemandState.OPEN


def test_cancelling_is_asked_first_and_get_changes_nothing(
    log_in: Login, buyer: User, hospital: Organisation, mask: Item
) -> None:
    demand = DemandFactory.create(organisation=hospital, item=mask)

    page = log_in(buyer).get(f"/needs/{demand.pk}/cancel/")

    demand.refresh_from_db()
    assert page.status_code == 200
    assert demand.state == DemandState.OPEN


def test_amending_takes_back_what_was_asked_and_not_answered(
    log_in: Login, buyer: User, hospital: Organisation, mask: Item
) -> None:
    demand = DemandFactory.create(organisation=hospital, item=mask, quantity=1000)
    match = MatchFactory.create(demand=demand)
    client = log_in(buyer)
    data = {
        "quantity": "1,200",
        "quantity_kind": "exact",
        "urgency": "urgent",
        "region": "420106",
        "address": "1 Hospital Road",
    }

    page = client.get(f"/needs/{demand.pk}/amend/").text
    response = client.post(f"/needs/{demand.pk}/amend/", data)

    assert "One supplier has been asked and has not answered." in page
    assert response.status_code == 302
    demand.refresh_from_db()
    match.refresh_from_db()
    assert (demand.quantity, demand.quantity_held, match.state) == (1200, 0, MatchState.CANCELLED)


def test_amending_nothing_takes_nothing_back(log_in: Login, buyer: User, hospital: Organisation, mask: Item) -> None:
    demand = DemandFactory.create(
        organisation=hospital,
        item=mask,
        quantity=1000,
        address="1 Hospital Road",
        needed_by=timezone.now() + dt.timedelta(days=3),
    )
    match = MatchFactory.create(demand=demand)
    assert demand.needed_by is not None
    day = timezone.localdate(demand.needed_by, dt.timezone(dt.timedelta(hours=8)))

    response = log_in(buyer).post(
        f"/needs/{demand.pk}/amend/",
        {
            "quantity": "1000",
            "quantity_kind": "exact",
            "urgency": "urgent",
            "region": "420106",
            "address": "1 Hospital Road",
            "needed_by": day.isoformat(),
        },
    )

    match.refresh_from_db()
    assert (response.status_code, match.state) == (302, MatchState.HELD)


def test_amending_below_what_is_promised_is_refused_and_keeps_the_input(
    log_in: Login, buyer: User, hospital: Organisation, mask: Item
) -> None:
    demand = DemandFactory.create(organisation=hospital, item=mask, quantity=1000)
    MatchFactory.create(demand=demand, state=MatchState.ACCEPTED, responded_at=timezone.now())

    response = log_in(buyer).post(
        f"/needs/{demand.pk}/amend/",
        {
            "quantity": "123",
            "quantity_kind": "exact",
            "urgency": "urgent",
            "region": "420106",
            "address": demand.address,
        },
    )

    assert response.status_code == 400
    assert "Suppliers have already accepted 400." in response.text
    assert 'value="123"' in response.text


def test_an_unusual_quantity_is_asked_back_when_a_need_is_amended_too(
    log_in: Login, buyer: User, hospital: Organisation, mask: Item
) -> None:
    for _ in range(10):
        DemandFactory.create(organisation=hospital, item=mask, quantity=500)
    demand = DemandFactory.create(organisation=hospital, item=mask, quantity=500, address="Ward 7")
    client, path = log_in(buyer), f"/needs/{demand.pk}/amend/"
    typed = {"quantity": "50000", "quantity_kind": "exact", "urgency": "urgent", "region": demand.region_id}

    asked = client.post(path, typed)

    assert asked.status_code == 409
    assert "50,000, not about 500?" in asked.text
    client.post(path, typed | {"asked_back": "50000"})
    demand.refresh_from_db()
    assert demand.quantity == 50_000


# --- Who may --------------------------------------------------------------------------------------------------------


PAGES = ["", "amend/", "cancel/"]
BUTTONS = ["open/", "pause/", "resume/", "confirm/", "cancel/", "amend/"]


@pytest.mark.parametrize("who", ["stranger", "rival", "supplier", "far_partner"])
def test_a_need_that_is_not_theirs_is_not_there(
    request: pytest.FixtureRequest, log_in: Login, hospital: Organisation, maker: Organisation, mask: Item, who: str
) -> None:
    demand = DemandFactory.create(organisation=hospital, item=mask)
    MatchFactory.create(demand=demand, offer=OfferFactory.create(organisation=maker, item=mask))
    client = log_in(request.getfixturevalue(who))

    assert [client.get(f"/needs/{demand.pk}/{page}").status_code for page in PAGES] == [404] * len(PAGES)
    assert [client.post(f"/needs/{demand.pk}/{page}").status_code for page in BUTTONS] == [404] * len(BUTTONS)
    assert demand.reference not in client.get("/needs/").text


@pytest.mark.parametrize("who", ["colleague", "partner"])
def test_who_only_looks_on_changes_nothing(
    request: pytest.FixtureRequest, log_in: Login, hospital: Organisation, mask: Item, who: str
) -> None:
    demand = DemandFactory.create(organisation=hospital, item=mask)
    client = log_in(request.getfixturevalue(who))

    page = client.get(f"/needs/{demand.pk}/")
    assert page.status_code == 200
    assert "Amend" not in page.text
    assert [client.post(f"/needs/{demand.pk}/{button}").status_code for button in BUTTONS] == [404] * len(BUTTONS)


def test_nobody_sees_a_need_without_logging_in(client: Client, hospital: Organisation, mask: Item) -> None:
    demand = DemandFactory.create(organisation=hospital, item=mask)

    for path in ["/needs/", "/needs/new/", *(f"/needs/{demand.pk}/{page}" for page in PAGES)]:
        response = client.get(path)
        assert (response.status_code, response["Location"]) == (302, f"/login/?next={path}")


@pytest.mark.parametrize("key", ["0", "999999999", "9" * 40])
def test_a_need_that_does_not_exist_is_not_found(log_in: Login, buyer: User, key: str) -> None:
    assert log_in(buyer).get(f"/needs/{key}/").status_code == 404


# --- The list ---------------------------------------------------------------------------------------------------------


def test_the_list_pages_through_everything_once(log_in: Login, buyer: User, hospital: Organisation, mask: Item) -> None:
    demands = DemandFactory.create_batch(60, organisation=hospital, item=mask)
    client = log_in(buyer)
    seen: list[str] = []
    url = "/needs/"
    while url:
        response = client.get(url)
        page = response.context["page"]
        seen += [demand.reference for demand in page.rows]
        url = f"/needs/{page.next_url}" if page.next_url else ""

    assert seen == [demand.reference for demand in reversed(demands)]


def test_the_list_filters_and_says_when_nothing_fits(
    log_in: Login, buyer: User, hospital: Organisation, mask: Item, thermometer: Item
) -> None:
    one = DemandFactory.create(organisation=hospital, item=mask)
    two = DemandFactory.create(organisation=hospital, item=thermometer, state=DemandState.PAUSED)
    client = log_in(buyer)

    def found(query: str) -> list[Demand]:
        return list(client.get(f"/needs/?{query}").context["page"].rows)

    assert found("q=额温枪") == [two]
    assert found(f"q={one.reference.lower()}") == [one]
    assert found("state=paused") == [two]
    assert found("state=nonsense") == [two, one]
    assert found("q=%00%ED%A0%80") is not None
    assert found("after=" + "9" * 50) == [two, one]
    assert "Nothing fits this search." in client.get("/needs/?state=stale").text


def test_what_waits_for_its_owner_stands_first(log_in: Login, buyer: User, hospital: Organisation, mask: Item) -> None:
    waiting = [
        DemandFactory.create(organisation=hospital, item=mask, draft=True),
        DemandFactory.create(organisation=hospital, item=mask, state=DemandState.STALE),
        DemandFactory.create(organisation=hospital, item=mask, asked_at=timezone.now()),
    ]
    DemandFactory.create(organisation=hospital, item=mask)
    DemandFactory.create(
        organisation=hospital, item=mask, draft=True, review_requested_at=timezone.now(), state_code="approval_required"
    )

    assert log_in(buyer).get("/needs/").context["waiting"] == waiting[::-1]


def test_an_empty_list_says_what_to_do(log_in: Login, buyer: User) -> None:
    assert "You have not posted anything yet." in log_in(buyer).get("/needs/").text


def test_the_list_asks_the_database_as_often_for_many_needs_as_for_few(
    log_in: Login, buyer: User, hospital: Organisation
) -> None:
    client = log_in(buyer)
    DemandFactory.create_batch(2, organisation=hospital, asked_at=timezone.now())
    few = queries(client, "/needs/")
    for number in range(15):
        DemandFactory.create(
            organisation=hospital, item=ItemFactory.create(key=f"item.{number}"), asked_at=timezone.now()
        )

    assert queries(client, "/needs/") == few


def test_the_form_takes_equal_queries_for_any_catalogue_and_lines(log_in: Login, buyer: User) -> None:
    client = log_in(buyer)
    standard_of(ItemFactory.create())
    few = queries(client, "/needs/new/")
    for number in range(40):
        item = ItemFactory.create(key=f"item.{number}")
        standard_of(item)
        Pack.objects.create(item=item, name_en="box", name_zh="盒", size=50)

    assert queries(client, "/needs/new/") == few


def test_a_need_asks_the_database_as_often_for_many_suppliers_as_for_few(
    log_in: Login, buyer: User, hospital: Organisation, mask: Item
) -> None:
    client = log_in(buyer)
    demand = DemandFactory.create(organisation=hospital, item=mask, quantity=100_000)
    MatchFactory.create_batch(2, demand=demand)
    few = queries(client, f"/needs/{demand.pk}/")
    MatchFactory.create_batch(12, demand=demand)

    assert queries(client, f"/needs/{demand.pk}/") == few
    assert Match.objects.count() == 14


@pytest.mark.parametrize("who", ["buyer", "coordinator"])
def test_a_need_asks_the_database_as_often_for_many_contacts_as_for_few(
    request: pytest.FixtureRequest, log_in: Login, hospital: Organisation, mask: Item, who: str
) -> None:
    client = log_in(request.getfixturevalue(who))
    demand = DemandFactory.create(organisation=hospital, item=mask, quantity=100_000)
    accepted = {"demand": demand, "state": MatchState.ACCEPTED, "responded_at": timezone.now()}
    MatchFactory.create_batch(2, **accepted)
    few = queries(client, f"/needs/{demand.pk}/")
    MatchFactory.create_batch(9, **accepted)

    assert queries(client, f"/needs/{demand.pk}/") == few
    assert ContactReveal.objects.count() == 11
