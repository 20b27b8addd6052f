import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.catalogue.models import Item
from apps.fulfilment.models import Order
from apps.matching.models import Match, MatchState
from tests.factories import DemandFactory, MatchFactory, OfferFactory
from tests.portal.conftest import Login, queries

pytestmark = pytest.mark.django_db


@pytest.fixture
def match(hospital: Organisation, maker: Organisation, mask: Item) -> Match:
    """The hospital's need, waiting for the maker's answer: 400 of 1,000."""
    return MatchFactory.create(
        demand=DemandFactory.create(organisation=hospital, item=mask, address="Ward 7"),
        offer=OfferFactory.create(organisation=maker, item=mask),
    )


def test_the_most_pressing_request_stands_first(log_in: Login, supplier: User, maker: Organisation, mask: Item) -> None:
    offer = OfferFactory.create(organisation=maker, item=mask)
    now = timezone.now()
    waiting = [
        MatchFactory.create(offer=offer, demand__item=mask, quantity=10, respond_by=now + dt.timedelta(minutes=minutes))
        for minutes in (90, 15, 45)
    ]
    MatchFactory.create(offer=offer, demand__item=mask, quantity=10, respond_by=now - dt.timedelta(minutes=1))
    MatchFactory.create(offer=offer, demand__item=mask, state=MatchState.STANDBY, respond_by=None)

    page = log_in(supplier).get("/inbox/")

    assert list(page.context["waiting"].rows) == [waiting[1], waiting[2], waiting[0]]
    assert list(page.context["answered"].rows) == []


def test_a_request_says_what_where_by_when_and_why_but_no_contact(
    log_in: Login, supplier: User, hospital: Organisation, match: Match
) -> None:
    client = log_in(supplier)

    for page in (client.get("/inbox/").text, client.get(f"/inbox/{match.pk}/").text):
        for text in (
            "Surgical mask",
            "400 pieces",
            "Wuchang Hospital",
            "Wuchang, Wuhan, Hubei",
            "in 2 hours",
            "It has enough for 40 %",
        ):
            assert text in page
        for secret in (hospital.contact_phone, hospital.contact_email, hospital.contact_name, "Ward 7"):
            assert secret not in page


def test_all_is_accepted_in_one_click_and_shows_whom_to_call(
    log_in: Login, supplier: User, hospital: Organisation, match: Match
) -> None:
    page = log_in(supplier).post(f"/inbox/{match.pk}/accept/", follow=True)

    order = Order.objects.get()
    assert page.redirect_chain == [(f"/orders/{order.pk}/", 302)]
    assert order.quantity == 400
    for text in (hospital.contact_phone, hospital.contact_email, "Ward 7"):
        assert text in page.text


def test_a_part_is_accepted_with_a_lead_time(log_in: Login, supplier: User, match: Match) -> None:
    response = log_in(supplier).post(
        f"/inbox/{match.pk}/accept/", {"part": "1", "accept-quantity": "１00", "accept-lead_time_days": "5"}
    )

    match.refresh_from_db()
    assert response.status_code == 302
    assert (match.state, match.quantity, match.lead_time_days) == (MatchState.ACCEPTED, 100, 5)


@pytest.mark.parametrize(
    ("quantity", "days", "says"),
    [
        ("401", "5", "You can accept from 1 to 400."),
        ("0", "5", "Write at least 1."),
        ("", "5", "This field is required."),
        (str(10**18), "5", "Write at most 1,000,000,000,000."),
        ("1\0", "5", "Write a whole number"),
        ("77", "99999", "Write at most 3,650."),
    ],
)
def test_a_part_that_makes_no_sense_is_said_in_words(
    log_in: Login, supplier: User, match: Match, quantity: str, days: str, says: str
) -> None:
    response = log_in(supplier).post(
        f"/inbox/{match.pk}/accept/", {"part": "1", "accept-quantity": quantity, "accept-lead_time_days": days}
    )

    assert response.status_code == 400
    assert says in response.text
    assert f'value="{days}"' in response.text
    assert not Order.objects.exists()


def test_a_request_is_declined_with_a_reason(log_in: Login, supplier: User, match: Match) -> None:
    client = log_in(supplier)

    refused = client.post(f"/inbox/{match.pk}/decline/", {"decline-note": "sorry"})
    assert refused.status_code == 400
    assert "Choose one of the reasons." in refused.text
    assert 'value="sorry"' in refused.text

    client.post(f"/inbox/{match.pk}/decline/", {"decline-reason": "gone", "decline-note": "sorry"})
    match.refresh_from_db()
    assert (match.state, match.decline_reason, match.decline_note) == (MatchState.DECLINED, "gone", "sorry")


def test_an_answer_that_comes_twice_or_too_late_is_told_so(log_in: Login, supplier: User, match: Match) -> None:
    client = log_in(supplier)
    client.post(f"/inbox/{match.pk}/accept/")

    assert "This is already accepted." in client.post(f"/inbox/{match.pk}/accept/", follow=True).text
    assert (
        "This is already accepted."
        in client.post(f"/inbox/{match.pk}/decline/", {"decline-reason": "gone"}, follow=True).text
    )
    assert Order.objects.count() == 1


def test_a_request_that_ran_out_cannot_be_accepted(log_in: Login, supplier: User, match: Match) -> None:
    Match.objects.filter(pk=match.pk).update(respond_by=timezone.now() - dt.timedelta(seconds=1))

    page = log_in(supplier).post(f"/inbox/{match.pk}/accept/", follow=True).text

    assert "The time to answer has passed." in page
    assert not Order.objects.exists()


@pytest.mark.parametrize("state", MatchState.values)
def test_every_state_has_a_page_in_both_languages(
    log_in: Login, supplier: User, maker: Organisation, mask: Item, state: str
) -> None:
    match = MatchFactory.create(
        offer=OfferFactory.create(organisation=maker, item=mask),
        demand__item=mask,
        state=state,
        responded_at=timezone.now(),
        decline_reason="gone",
    )
    client = log_in(supplier)

    for language in ("en", "zh-hans"):
        User.objects.filter(pk=supplier.pk).update(language=language)
        assert client.get(f"/inbox/{match.pk}/").status_code == (404 if state == "standby" else 200)
        assert client.get("/inbox/").status_code == 200


@pytest.mark.parametrize("who", ["stranger", "rival", "buyer", "partner", "far_partner"])
def test_a_request_to_somebody_else_is_not_there(
    request: pytest.FixtureRequest, log_in: Login, match: Match, who: str
) -> None:
    client = log_in(request.getfixturevalue(who))

    assert client.get(f"/inbox/{match.pk}/").status_code == 404
    assert client.post(f"/inbox/{match.pk}/accept/").status_code == 404
    assert client.post(f"/inbox/{match.pk}/decline/", {"decline-reason": "gone"}).status_code == 404
    assert f"/inbox/{match.pk}/" not in client.get("/inbox/").text
    match.refresh_from_db()
    assert match.state == MatchState.HELD


def test_a_coordinator_answers_for_a_supplier_who_called(
    log_in: Login, coordinator: User, maker: Organisation, match: Match
) -> None:
    client = log_in(coordinator)

    assert f"/inbox/{match.pk}/accept/" in client.get(f"/inbox/?organisation={maker.pk}").text
    assert client.post(f"/inbox/{match.pk}/accept/").status_code == 302
    match.refresh_from_db()
    assert (match.state, match.responded_by) == (MatchState.ACCEPTED, coordinator)


def test_nobody_answers_without_logging_in(client: Client, match: Match) -> None:
    assert client.get("/inbox/")["Location"] == "/login/?next=/inbox/"
    assert client.post(f"/inbox/{match.pk}/accept/").status_code == 302
    match.refresh_from_db()
    assert match.state == MatchState.HELD


def test_the_inbox_pages_through_everything_once(
    log_in: Login, supplier: User, maker: Organisation, mask: Item
) -> None:
    offer = OfferFactory.create(organisation=maker, item=mask)
    deadline = timezone.now() + dt.timedelta(hours=1)
    expected = MatchFactory.create_batch(30, offer=offer, demand__item=mask, quantity=10, respond_by=deadline)
    client = log_in(supplier)
    seen: list[Any] = []
    url = "/inbox/"
    while url:
        page = client.get(url).context["waiting"]
        seen += page.rows
        url = f"/inbox/{page.next_url}" if page.next_url else ""

    assert seen == expected


def test_the_inbox_asks_the_database_as_often_for_many_requests_as_for_few(
    log_in: Login, supplier: User, maker: Organisation, mask: Item
) -> None:
    client = log_in(supplier)
    offer = OfferFactory.create(organisation=maker, item=mask)
    done: dict[str, Any] = {"state": MatchState.DECLINED, "responded_at": timezone.now(), "decline_reason": "gone"}

    def fill(count: int) -> None:
        MatchFactory.create_batch(count, offer=offer, demand__item=mask, quantity=10)
        MatchFactory.create_batch(count, offer=offer, demand__item=mask, quantity=10, **done)

    fill(1)
    few = queries(client, "/inbox/")
    fill(12)

    assert queries(client, "/inbox/") == few


def test_a_supplier_never_asked_does_not_see_the_need_it_was_a_backup_for(
    log_in: Login, supplier: User, maker: Organisation, mask: Item
) -> None:
    demand = DemandFactory.create(item=mask)
    standby = MatchFactory.create(
        demand=demand,
        offer=OfferFactory.create(organisation=maker, item=mask),
        state=MatchState.STANDBY,
        respond_by=None,
    )
    for state in (MatchState.STANDBY, MatchState.SUPERSEDED):
        Match.objects.filter(pk=standby.pk).update(state=state)
        client = log_in(supplier)
        assert demand.organisation.name not in client.get("/inbox/").text
        assert client.get("/api/v1/matches/").json()["results"] == []
