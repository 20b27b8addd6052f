"""A copy that is kept by deltas alone holds what a whole pull holds, whatever happens in between."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.accounts.services import amend_organisation
from apps.demands.models import Demand
from apps.demands.services import cancel_demand
from apps.exports import services
from apps.exports.datasets import DATASETS
from apps.exports.models import Tombstone
from apps.fulfilment import services as fulfilment
from apps.fulfilment.models import Delivery, Order, Shipment
from apps.matching import services as matching
from apps.matching.models import Match
from apps.supply.models import Offer
from tests.exports.test_pull import lines, rows
from tests.factories import DemandFactory, ItemFactory, MatchFactory, OfferFactory, region

pytestmark = pytest.mark.django_db

FOLLOWING = ("matches", "orders", "shipments", "deliveries")


class Copy:
    """What a program keeps of a dataset that it pulls with a filter: the first time all, then what changed."""

    def __init__(self, user: User, dataset: str, **filters: Any) -> None:
        self.user, self.dataset, self.filters = user, dataset, filters
        self.rows = {row["id"]: row for row in lines(user, dataset, **filters)}
        self.since = timezone.now()

    def pull(self) -> list[dict[str, Any]]:
        delta = lines(self.user, self.dataset, updated_since=self.since, **self.filters)
        self.since = timezone.now()
        for row in delta:
            if row["removed"]:
                self.rows.pop(row["id"], None)
            else:
                self.rows[row["id"]] = row
        return delta

    def is_whole(self) -> bool:
        return self.rows == {row["id"]: row for row in lines(self.user, self.dataset, **self.filters)}


@pytest.fixture
def received(hospital: Organisation, maker: Organisation, buyer: User, supplier: User) -> Order:
    match = MatchFactory.create(
        demand=DemandFactory.create(organisation=hospital), offer=OfferFactory.create(organisation=maker), quantity=900
    )
    order = fulfilment.accept_match(match, by=supplier)
    fulfilment.ship_order(order, by=supplier, quantity=600)
    fulfilment.deliver_order(order, by=buyer, quantity_accepted=590)
    return order


def test_a_row_that_leaves_the_states_asked_for_is_told(partner: User, hospital: Organisation, buyer: User) -> None:
    need = DemandFactory.create(organisation=hospital)
    DemandFactory.create(state="paused")
    copy = Copy(partner, "demands", states=("open",))
    cancel_demand(need, by=buyer, reason="")

    (told,) = copy.pull()

    assert (told["id"], told["removed"], told["organisation"], told["note"]) == (str(need.pk), True, None, None)
    assert told["updated_at"] is not None
    assert (copy.rows, copy.is_whole()) == ({}, True)


def test_a_need_that_moves_away_leaves_with_all_that_follows_it(
    partner: User, far_partner: User, received: Order
) -> None:
    """The far partner watches Lombardy, where the need goes; the supplier is elsewhere."""
    copies = {(user, name): Copy(user, name) for user in (partner, far_partner) for name in ("demands", *FOLLOWING)}
    assert {name: len(copies[partner, name].rows) for name in FOLLOWING} == dict.fromkeys(FOLLOWING, 1)

    Demand.objects.filter(pk=received.match.demand_id).update(region=region("IT-25"))

    for (user, name), copy in copies.items():
        copy.pull()
        assert (name, len(copy.rows)) == (name, 1 if user == far_partner else 0)
        assert copy.is_whole()


def test_an_offer_that_moves_leaves_who_watched_its_origin(
    partner: User, buyer: User, received: Order, far_partner: User
) -> None:
    Offer.objects.update(origin_region=region("IT-25"))
    there, mine = Copy(far_partner, "orders"), Copy(buyer, "orders")
    assert len(there.rows) == 1

    Offer.objects.update(origin_region=region("420106"))

    there.pull()
    mine.pull()
    assert (there.rows, len(mine.rows)) == ({}, 1)
    assert (there.is_whole(), mine.is_whole()) == (True, True)


def test_a_row_that_leaves_the_region_or_item_asked_for_is_told(partner: User) -> None:
    need = DemandFactory.create()
    in_wuhan, of_masks = Copy(partner, "demands", region=region("420100")), Copy(partner, "demands", item=need.item)
    Demand.objects.filter(pk=need.pk).update(region=region("429004"))
    gone, still = in_wuhan.pull(), of_masks.pull()
    assert ([row["removed"] for row in gone], [row["removed"] for row in still]) == ([True], [False])

    Demand.objects.filter(pk=need.pk).update(item=ItemFactory.create(key="gown", name_en="Gown"))
    of_masks.pull()
    assert (of_masks.rows, of_masks.is_whole()) == ({}, True)


def test_a_row_that_came_back_is_no_tombstone(partner: User) -> None:
    need = DemandFactory.create()
    copy = Copy(partner, "demands")
    for code in ("110102", "420106"):
        Demand.objects.filter(pk=need.pk).update(region=region(code))

    assert [row["removed"] for row in copy.pull()] == [False]
    assert copy.is_whole()


def test_what_is_erased_is_told(partner: User, buyer: User, received: Order) -> None:
    copies = {(user, name): Copy(user, name) for user in (partner, buyer) for name in ("demands", *FOLLOWING)}
    need = received.match.demand_id

    for model in (Delivery, Shipment, Order, Match):
        model._default_manager.all().delete()
    Demand.objects.filter(pk=need).delete()

    for (_user, name), copy in copies.items():
        assert (name, [row["removed"] for row in copy.pull()]) == (name, [True])
        assert copy.is_whole()


def test_a_renamed_organisation_is_renamed_in_every_row(
    partner: User, buyer: User, received: Order, hospital: Organisation
) -> None:
    copies = {(user, name): Copy(user, name) for user in (partner, buyer) for name in DATASETS}
    amend_organisation(hospital, by=buyer, name="Wuchang General Hospital")

    for (_user, name), copy in copies.items():
        copy.pull()
        assert (name, copy.is_whole()) == (name, True)
    for name in FOLLOWING:
        assert [row["requester"] for row in copies[partner, name].rows.values()] == ["Wuchang General Hospital"]


def test_a_renamed_supplier_is_renamed_in_every_row(
    buyer: User, supplier: User, received: Order, maker: Organisation
) -> None:
    copies = {(user, name): Copy(user, name) for user in (supplier, buyer) for name in DATASETS}
    amend_organisation(maker, by=supplier, name="Shenzhen Great Maker")

    for (_user, name), copy in copies.items():
        copy.pull()
        assert (name, copy.is_whole()) == (name, True)


def test_tombstones_go_to_nobody_who_never_saw_the_row(
    partner: User, far_partner: User, rival: User, received: Order
) -> None:
    since = timezone.now() - dt.timedelta(minutes=1)
    Demand.objects.filter(pk=received.match.demand_id).update(region=region("429004"))
    Delivery.objects.all().delete()

    assert Tombstone.objects.exists()
    for user in (far_partner, rival):
        assert [row for name in DATASETS for row in lines(user, name, updated_since=since) if row["removed"]] == []


def test_every_format_has_tombstones_and_a_whole_pull_has_none(partner: User) -> None:
    need = DemandFactory.create()
    since = timezone.now() - dt.timedelta(minutes=1)
    Demand.objects.filter(pk=need.pk).update(region=region("110102"))

    (row,) = rows(partner, updated_since=since)
    assert (row["id"], row["removed"], row["quantity"]) == (str(need.pk), "true", "")
    assert b"".join(services.pull(DATASETS["demands"], partner, form="xlsx", updated_since=since)).startswith(b"PK")
    assert rows(partner) == []
    with_flag = rows(partner, "organisations")
    assert {one["removed"] for one in with_flag} == {"false"}


def test_an_amended_need_moves_through_its_service_too(partner: User, hospital: Organisation, buyer: User) -> None:
    need = DemandFactory.create(organisation=hospital)
    copy = Copy(partner, "demands")

    matching.amend_demand(need, by=buyer, region=region("110102"))

    assert [row["removed"] for row in copy.pull()] == [True]


def far_back(days: float, need: Demand) -> dt.datetime:
    """When a need that moved out of the partner's region did so, so many days ago."""
    moment = timezone.now() - dt.timedelta(days=days)
    Demand.objects.filter(pk=need.pk).update(region=region("110102"))
    Tombstone.objects.filter(row=need.pk).update(updated_at=moment)
    return moment


def test_who_asks_from_before_what_is_forgotten_is_told(client: Client, partner: User) -> None:
    first, second, third = (far_back(days, DemandFactory.create()) for days in (200, 190, 100))
    assert services.forget_tombstones() == 1
    assert list(Tombstone.objects.values_list("updated_at", flat=True).order_by("updated_at")) == [second, third]

    client.force_login(partner)

    def asked(dataset: str, since: dt.datetime) -> int:
        answer = client.get(f"/api/v1/exports/{dataset}", {"updated_since": since.isoformat()})
        if answer.status_code == 410:
            assert answer.json()["code"] == "delta_too_old"
        b"".join(answer)  # gives its place back
        return int(answer.status_code)

    later = second + dt.timedelta(seconds=1)
    assert [asked("demands", since) for since in (first, second, later, third)] == [410, 410, 200, 200]
    assert asked("offers", first) == 200, "no offer ever left"


def test_who_asks_in_time_hears_of_all_that_left(partner: User) -> None:
    need = DemandFactory.create()
    since = far_back(179, need)
    services.forget_tombstones()

    assert [row["id"] for row in lines(partner, updated_since=since)] == [str(need.pk)]


def test_of_tombstones_that_are_too_old_the_newest_stays() -> None:
    for days in (300, 290, 280):
        far_back(days, DemandFactory.create())

    assert [services.forget_tombstones() for _run in range(2)] == [2, 0], "the newest stays"
