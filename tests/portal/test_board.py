"""The public board: sums, never names; nothing that stands for fewer than three organisations."""

import datetime as dt

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apps.demands.models import DemandState
from apps.exports.models import Publication
from apps.exports.publishing import publish
from apps.exports.waits import Wait
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
    assert "Beijing" not in page
    assert "Guangdong" not in page


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


def test_the_promise_is_measured_from_posting_to_the_first_order() -> None:
    opened = timezone.now() - dt.timedelta(hours=30)
    for hours in (1, 3, 26):
        demand = DemandFactory.create(opened_at=opened)
        match = MatchFactory.create(demand=demand, state=MatchState.ACCEPTED, responded_at=timezone.now())
        order = Order.objects.create(match=match, quantity=400)
        Order.objects.filter(pk=order.pk).update(created_at=opened + dt.timedelta(hours=hours))

    board = figures.board()

    assert board.median_wait == dt.timedelta(hours=3)
    assert board.waits["420000"] == Wait(dt.timedelta(hours=3), 3, 3)


def test_the_wait_of_a_province_with_too_few_organisations_is_not_shown() -> None:
    match = MatchFactory.create(state=MatchState.ACCEPTED, responded_at=timezone.now())
    Order.objects.create(match=match, quantity=400)

    assert figures.board().waits == {}


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
    with django_assert_num_queries(2):  # the publication, and items
        assert client.get("/").status_code == 200


@pytest.mark.parametrize("size", [1, 6])
def test_the_page_of_an_item_takes_as_many_queries_whatever_its_size(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries, size: int
) -> None:
    _rows(size)

    publish()
    with django_assert_num_queries(3):  # and the names of places
        assert client.get(f"/?item=item.0.{size}").status_code == 200


def test_the_sums_of_a_region_are_of_its_own_needs_and_offers() -> None:
    item = ItemFactory.create(key="gloves", trial_lot=30)
    DemandFactory.create(item=item, quantity=1000, quantity_matched=300, quantity_received=100)
    DemandFactory.create(item=item, quantity=None, quantity_kind="unspecified")
    DemandFactory.create(item=item, quantity=70, state=DemandState.CANCELLED, quantity_matched=50, quantity_received=50)
    OfferFactory.create(item=item, origin_region=region("420106"), quantity=500, quantity_reserved=200)
    OfferFactory.create(item=item, origin_region=region("440300"), quantity=9)
    DemandFactory.create(item=item, region=region("110102"), quantity=8)
    OfferFactory.create(item=ItemFactory.create(key="full"), quantity=60, quantity_reserved=60)

    in_hubei = {"needed": 930, "matched": 200, "delivered": 150, "offered": 300}
    assert figures.in_region(["CN/420000/", "CN/420000/420100/"]) == {"gloves": in_hubei}
