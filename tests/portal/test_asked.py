"""Who was asked, on the pages of a need and of an offer and at the desk: what counts now, and never two minds."""

import datetime as dt
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.catalogue.models import Item
from apps.demands.models import Demand
from apps.demands.services import pause_demand
from apps.matching import services as matching
from apps.matching.models import Match, MatchState, Shortfall
from apps.supply.models import Offer
from tests.factories import DemandFactory, MatchFactory, OfferFactory, SupplierFactory
from tests.portal.conftest import Login, queries

pytestmark = pytest.mark.django_db


@pytest.fixture
def demand(hospital: Organisation, mask: Item) -> Demand:
    return DemandFactory.create(organisation=hospital, item=mask, quantity=1000)


@pytest.fixture
def offer(maker: Organisation, mask: Item) -> Offer:
    return OfferFactory.create(organisation=maker, item=mask)


def kept(demand: Demand, *, given: int, wanting: int) -> None:
    Shortfall.objects.create(
        demand=demand, given=given, wanting=wanting, because="exhausted", others=0, above=0, policy_version=1,
        decided_at=timezone.now(),
    )  # fmt: skip


def asked_again_and_again(demand: Demand, offer: Offer, times: int = 20) -> None:
    for number in range(times):
        ended: dict[str, Any] = {"state": MatchState.SUPERSEDED}
        if number % 5 == 4:
            ended = {"state": MatchState.CANCELLED}
        MatchFactory.create(demand=demand, offer=offer, quantity=10 + number, **ended)


# --- One mind ---------------------------------------------------------------------------------------------------------


def test_a_reason_of_a_moment_ago_does_not_deny_the_requests_below_it(
    log_in: Login, buyer: User, demand: Demand, offer: Offer
) -> None:
    kept(demand, given=0, wanting=1000)
    MatchFactory.create(demand=demand, offer=offer, quantity=300)

    page = log_in(buyer).get(f"/needs/{demand.pk}/").text

    assert "could be asked for" not in page
    assert "One supplier has been asked." in page


def test_a_reason_that_still_holds_is_told_in_the_numbers_of_now(
    log_in: Login, buyer: User, coordinator: User, demand: Demand, offer: Offer
) -> None:
    MatchFactory.create(demand=demand, offer=offer, quantity=300)
    kept(demand, given=0, wanting=700)  # decided again since, for what was lacking still

    for user, path in ((buyer, f"/needs/{demand.pk}/"), (coordinator, f"/desk/needs/{demand.pk}/")):
        page = log_in(user).get(path).text
        assert "300 of 1,000 could be asked for: that is all there is." in page
        assert "None of the" not in page


def test_a_reason_does_not_outlive_what_was_asked_for(log_in: Login, buyer: User, demand: Demand, offer: Offer) -> None:
    match = MatchFactory.create(demand=demand, offer=offer, quantity=300)
    kept(demand, given=300, wanting=1000)
    matching.decline(match, by=None, reason="price")
    client = log_in(buyer)

    assert "could be asked for" not in client.get(f"/needs/{demand.pk}/").text
    matching.sweep()
    page = client.get(f"/needs/{demand.pk}/").text

    assert "could be asked for" not in page
    assert "Nobody else could be asked so far." in page


def test_while_we_look_for_suppliers_no_page_says_why_there_are_none(
    log_in: Login, buyer: User, coordinator: User, demand: Demand
) -> None:
    kept(demand, given=0, wanting=1000)
    Demand.objects.filter(pk=demand.pk).update(match_requested_at=timezone.now())

    for user, path in ((buyer, f"/needs/{demand.pk}/"), (coordinator, f"/desk/needs/{demand.pk}/")):
        page = log_in(user).get(path).text
        assert "right now" in page
        assert "could be asked" not in page


def without_helpers(page: str) -> str:
    """The page without the suppliers that a desk may telephone."""
    return re.sub(r'<section[^>]*aria-labelledby="helpers".*?</section>', "", page, flags=re.DOTALL)


# --- What is over -----------------------------------------------------------------------------------------------------


def test_ended_requests_are_folded_with_one_line_for_each_offer(
    log_in: Login, buyer: User, coordinator: User, demand: Demand, offer: Offer
) -> None:
    asked_again_and_again(demand, offer)
    rival = OfferFactory.create(item=demand.item, organisation=SupplierFactory.create(name="Rival Trader"))
    MatchFactory.create(
        demand=demand, offer=rival, state=MatchState.DECLINED, decline_reason="price", responded_at=timezone.now()
    )
    MatchFactory.create(demand=demand, offer=offer, quantity=555)

    for user, path in ((buyer, f"/needs/{demand.pk}/"), (coordinator, f"/desk/needs/{demand.pk}/")):
        page = without_helpers(re.sub(r"\s+", " ", log_in(user).get(path).text))
        now, _fold, over = page.partition("21 requests that have ended")
        assert "Replaced by a higher priority: 16 · Cancelled: 4 · Declined: 1" in over
        assert ("555 pieces" in now, now.count("Shenzhen Maker")) == (True, 1)
        assert (over.count("Shenzhen Maker"), over.count("Rival Trader")) == (1, 1)
        assert "Asked 20 times: Replaced by a higher priority: 16 · Cancelled: 4" in over
        assert "The price does not fit" in over
        assert "<details open>" not in page


def test_what_is_over_is_unfolded_where_there_is_nothing_else(
    log_in: Login, buyer: User, demand: Demand, offer: Offer
) -> None:
    MatchFactory.create(
        demand=demand, offer=offer, state=MatchState.DECLINED, decline_reason="price", responded_at=timezone.now()
    )

    page = log_in(buyer).get(f"/needs/{demand.pk}/").text

    assert "<details open>" in page
    assert "1 request that has ended" in page


def test_who_was_only_next_best_was_not_asked(
    log_in: Login, buyer: User, coordinator: User, demand: Demand, offer: Offer
) -> None:
    MatchFactory.create(demand=demand, offer=offer, state=MatchState.SUPERSEDED, respond_by=None)

    for user, path in ((buyer, f"/needs/{demand.pk}/"), (coordinator, f"/desk/needs/{demand.pk}/")):
        page = without_helpers(log_in(user).get(path).text)
        assert "Shenzhen Maker" not in page
        assert "over" not in re.findall(r"<summary>(.*?)</summary>", page)


@pytest.mark.parametrize("where", ["/needs/", "/desk/needs/"])
def test_a_need_swept_many_times_takes_as_many_queries_and_little_room(
    desk: Client, demand: Demand, mask: Item, where: str
) -> None:
    path = f"{where}{demand.pk}/"
    first = OfferFactory.create(item=mask)
    MatchFactory.create(demand=demand, offer=first, quantity=1)
    asked_again_and_again(demand, first, times=2)
    few = queries(desk, path)

    for _offer in range(40):
        asked_again_and_again(demand, OfferFactory.create(item=mask), times=6)

    assert queries(desk, path) == few
    page = desk.get(path).text
    assert len(page) < 100_000
    assert "11 more suppliers, asked longer ago, are not shown." in page


# --- Being taken back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["pause", "cancel"])
def test_after_a_need_ends_its_requests_are_shown_as_being_taken_back(
    log_in: Login, buyer: User, coordinator: User, demand: Demand, offer: Offer, verb: str
) -> None:
    MatchFactory.create(demand=demand, offer=offer, quantity=300)
    client = log_in(buyer)

    pages = [client.post(f"/needs/{demand.pk}/{verb}/", {"reason": ""}, follow=True).text]
    pages.append(log_in(coordinator).get(f"/desk/needs/{demand.pk}/").text)

    for page in pages:
        assert "One supplier without an answer yet is being told right now that it need not answer." in page
        assert "Being withdrawn" in page
        assert "Waiting for the supplier" not in page
        assert "held (asked, not answered yet): 0 pieces" in page
        assert "remaining: 1,000 pieces" in page
    matching.sweep()
    page = client.get(f"/needs/{demand.pk}/").text
    assert "being told right now" not in page
    assert "Withdrawn: the need or the offer was changed, paused or ended." in page


@pytest.mark.parametrize("verb", ["pause", "withdraw"])
def test_after_an_offer_ends_its_requests_are_shown_as_being_taken_back(
    log_in: Login, supplier: User, demand: Demand, offer: Offer, verb: str
) -> None:
    match = MatchFactory.create(demand=demand, offer=offer, quantity=300)
    client = log_in(supplier)

    page = client.post(f"/supply/{offer.pk}/{verb}/", {"reason": ""}, follow=True).text

    assert "One request without an answer is being withdrawn right now: you need not answer it." in page
    assert "Being withdrawn" in page
    assert "Waiting for the supplier" not in page
    matching.sweep()
    page = client.get(f"/supply/{offer.pk}/").text
    assert "being withdrawn right now" not in page
    assert Match.objects.get(pk=match.pk).state == MatchState.CANCELLED


@pytest.mark.parametrize("where", ["need", "offer"])
def test_a_sweep_between_two_queries_of_a_page_shows_each_request_once(
    log_in: Login, buyer: User, supplier: User, demand: Demand, offer: Offer, where: str
) -> None:
    match = MatchFactory.create(demand=demand, offer=offer)
    pause_demand(demand, by=buyer)
    client, path = {
        "need": (log_in(buyer), f"/needs/{demand.pk}/"),
        "offer": (log_in(supplier), f"/supply/{offer.pk}/"),
    }[where]

    def look(*, sweep_before: int) -> tuple[str, int]:
        """The page, and how many queries of it were about matches; the sweep comes before one of these."""
        Match.objects.filter(pk=match.pk).update(state=MatchState.HELD)
        asked = 0

        def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            nonlocal asked
            if 'FROM "matching_match"' in sql:
                asked += 1
                if asked == sweep_before:
                    with connection.cursor() as cursor:
                        cursor.execute("UPDATE matching_match SET state = 'cancelled'")
            return execute(sql, params, many, context)

        with connection.execute_wrapper(wrapper):
            return client.get(path).text, asked

    _page, queries_made = look(sweep_before=0)
    assert queries_made > 1
    for number in range(1, queries_made + 1):
        page, _asked = look(sweep_before=number)
        assert "Waiting for the supplier" not in page
        cards = re.findall(r"Shenzhen Maker</h3>|Wuchang Hospital</a></th>", page)
        assert len(cards) == 1, number


def test_a_request_whose_need_is_open_is_not_being_taken_back(
    log_in: Login, supplier: User, buyer: User, demand: Demand, offer: Offer
) -> None:
    MatchFactory.create(demand=demand, offer=offer, respond_by=timezone.now() + dt.timedelta(minutes=5))

    for user, path in ((buyer, f"/needs/{demand.pk}/"), (supplier, f"/supply/{offer.pk}/")):
        page = log_in(user).get(path).text
        assert "Waiting for the supplier" in page
        assert "taken back" not in page.lower()


def test_a_supplier_is_not_sent_to_what_is_being_taken_back(
    log_in: Login, supplier: User, buyer: User, demand: Demand, offer: Offer
) -> None:
    match = MatchFactory.create(demand=demand, offer=offer, quantity=300)
    client = log_in(supplier)
    page = client.get("/inbox/")
    assert page.context["waiting"].rows == [match]
    assert '<span class="count">1<' in page.text
    assert "Accept all" in client.get(f"/inbox/{match.pk}/").text

    pause_demand(demand, by=buyer)

    page = client.get("/inbox/")
    assert page.context["waiting"].rows == []
    assert '<span class="count">1<' not in page.text
    page = client.get(f"/inbox/{match.pk}/")
    assert "This request is withdrawn." in page.text
    assert "Accept all" not in page.text


def test_a_supplier_is_not_told_of_a_hospital_where_none_was_before_it(
    log_in: Login, supplier: User, demand: Demand, offer: Offer
) -> None:
    match = MatchFactory.create(demand=demand, offer=offer, state=MatchState.SUPERSEDED)

    page = log_in(supplier).get(f"/inbox/{match.pk}/").text

    assert "This request is withdrawn: others need it more, or the need is met in another way." in page
