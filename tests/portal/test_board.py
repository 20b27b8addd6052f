"""The public board: sums, never names; nothing that stands for fewer than three organisations."""

import datetime as dt

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apps.demands.models import DemandState
from apps.exports.models import Publication
from apps.exports.publishing import publish
from apps.fulfilment.models import Order
from apps.matching.models import MatchState
from apps.portal import figures
from tests.factories import DemandFactory, ItemFactory, MatchFactory, OfferFactory, OrganisationFactory, region


def needs(count: int, quantity: int = 1000, place: str = "420106") -> None:
    for _ in range(count):
        body = OrganisationFactory.create(region=region(place))
        DemandFactory.create(organisation=body, quantity=quantity)


def test_a_sum_is_shown_from_three_organisations_on(client: Client) -> None:
    needs(2)
    assert "2,000" not in client.get("/").text

    needs(1)
    Publication.objects.all().delete()  # as if an hour had passed
    assert "3,000 pieces" in Client().get("/").text


def test_several_needs_of_one_organisation_are_one_organisation(client: Client) -> None:
    body = OrganisationFactory.create()
    DemandFactory.create_batch(5, organisation=body, quantity=1111)

    assert "5,555" not in client.get("/").text


def test_an_organisation_in_two_provinces_is_counted_once_in_the_total(client: Client) -> None:
    body, other = OrganisationFactory.create_batch(2)
    for place in ("420106", "110102", "440300"):
        DemandFactory.create(organisation=body, region=region(place), quantity=100)
    DemandFactory.create(organisation=other, quantity=7)

    assert "307" not in client.get("/").text


def test_a_single_hidden_province_takes_a_second_one_with_it(client: Client) -> None:
    needs(1, 11, "110102")
    needs(3, 100, "440300")
    needs(4, 1000, "420106")

    page = client.get("/?item=mask.surgical").text

    assert "4,300 pieces" in page, "rounded"
    assert "4,000 pieces" in page
    assert "300 pieces" not in page.replace("4,300 pieces", "")
    assert "Beijing" not in page.replace("Beijing: –", "")
    assert "Guangdong" not in page.replace("Guangdong: –", "")


def test_drafts_and_cancelled_needs_are_nobodys_business() -> None:
    DemandFactory.create_batch(3, draft=True)
    DemandFactory.create_batch(3, state=DemandState.CANCELLED)

    assert figures.board().items == []


def test_no_name_and_no_contact_is_on_the_board(client: Client) -> None:
    for number in range(3):
        body = OrganisationFactory.create(name=f"Secret Hospital {number}", contact_phone=f"1390000000{number}")
        DemandFactory.create(organisation=body)

    page = client.get("/").text + client.get("/?item=mask.surgical").text

    assert "Secret" not in page
    assert "1390000000" not in page


def test_what_is_needed_is_named_even_where_no_number_may_be_shown(client: Client) -> None:
    DemandFactory.create(item=ItemFactory.create(key="goggles", name_en="goggles"), quantity=987)

    page = client.get("/").text

    assert "<li>goggles</li>" in page
    assert "987" not in page


def _contact_after(hours: int, opened: dt.datetime) -> None:
    match = MatchFactory.create(
        demand=DemandFactory.create(opened_at=opened), state=MatchState.ACCEPTED, responded_at=timezone.now()
    )
    order = Order.objects.create(match=match, quantity=400)
    Order.objects.filter(pk=order.pk).update(created_at=opened + dt.timedelta(hours=hours))


def test_the_promise_is_measured_from_posting_to_the_first_order(client: Client) -> None:
    opened = timezone.now() - dt.timedelta(hours=30)
    for hours in (1, 3, 26):
        _contact_after(hours, opened)
    DemandFactory.create(opened_at=opened)

    found = figures.board().waits

    contact = found["all"][""]["contact"]
    assert (contact.needs, contact.median) == (4, 3 * 3600)
    assert contact.waiting is None, "of one organisation it is not told that it waits"
    assert contact.ninetieth is None, "one in four still waits"
    urgent = found["urgency"]["urgent"]["contact"]
    assert (urgent.promise, urgent.kept) == (10 * 3600, 0.5)
    province = found["place"]["420000"]["contact"]
    assert (province.needs, province.median) == (None, 3 * 3600)
    page = " ".join(client.get("/").text.split())
    assert "within <strong>3 hours</strong> of being posted" in page
    assert "Still waiting for one" not in page


def test_of_few_served_needs_nothing_is_said_about_all_others(client: Client) -> None:
    opened = timezone.now() - dt.timedelta(days=1)
    for _number in range(3):
        _contact_after(1, opened)
    DemandFactory.create_batch(40, opened_at=opened)

    page = " ".join(client.get("/").text.split())

    assert "Half of all needs have" not in page
    assert "Fewer than half of all needs have had a supplier’s contact so far." in page
    assert "Still waiting for one: <strong>40 of 43</strong>" in page


def test_the_waits_of_too_few_organisations_are_not_shown() -> None:
    _contact_after(1, timezone.now() - dt.timedelta(hours=30))

    assert figures.board().waits == {"all": {}, "urgency": {}, "place": {}}


def test_one_hidden_urgency_takes_a_second_one_with_it() -> None:
    for urgency, bodies in (("emergency", 1), ("urgent", 3), ("routine", 4)):
        DemandFactory.create_batch(bodies, urgency=urgency)

    found = figures.board().waits

    assert set(found["urgency"]) == {"routine"}
    assert found["all"][""]["contact"].needs == 8


def _rows(count: int) -> None:
    for number in range(count):
        item = ItemFactory.create(key=f"item.{number}.{count}")
        for place in ("420106", "440300"):
            for _ in range(3):
                body = OrganisationFactory.create(region=region(place))
                DemandFactory.create(organisation=body, item=item)
                OfferFactory.create(item=item)


@pytest.mark.parametrize("size", [1, 6])
def test_the_board_takes_as_many_queries_whatever_its_size(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries, size: int
) -> None:
    _rows(size)

    publish()
    with django_assert_num_queries(3):  # the publication, items, and the names of provinces
        assert client.get("/").status_code == 200


@pytest.mark.parametrize("size", [1, 6])
def test_the_page_of_an_item_takes_as_many_queries_whatever_its_size(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries, size: int
) -> None:
    _rows(size)

    publish()
    with django_assert_num_queries(3):  # and the names of places
        assert client.get(f"/?item=item.0.{size}").status_code == 200
