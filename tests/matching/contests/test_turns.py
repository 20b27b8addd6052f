"""What one turn of a group may take, and how the next ones go on with what it left."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from apps.demands.models import Demand
from apps.matching import services as matching
from apps.matching.holds.differences import BATCH, BatchSize
from apps.matching.models import ContestedItem, Match
from apps.ops.data.invariants import broken_invariants
from tests.factories import DemandFactory, ItemFactory, MatchFactory, OfferFactory, OrganisationFactory, UserFactory

# In seconds: long enough for one transaction after the plan, and for no second one.
ONE_WRITE = 0.01


def test_long_transactions_become_small_and_short_ones_large_again() -> None:
    size = BatchSize()
    sizes = []
    for seconds in (0.6, 3.0, 0.4, 9.0, 9.0, 9.0, 0.1, 0.1):
        size.adapt(seconds)
        sizes.append(size.holds)

    assert sizes == [BATCH // 2, BATCH // 4, BATCH // 4, 1, 1, 1, 2, 4]


def test_small_transactions_do_not_grow_without_end() -> None:
    size = BatchSize()
    for _turn in range(20):
        size.adapt(0.01)

    assert size.holds == 40


@pytest.mark.django_db
def test_turns_without_time_give_out_everything_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.matching.holds.differences.BATCH", 2)
    offers = OfferFactory.create_batch(12, quantity=500)
    for number in range(15):
        kind = ["hospital", "community", "enterprise"][number % 3]
        DemandFactory.create(organisation=OrganisationFactory.create(kind=kind), quantity=800)
    MatchFactory.create(demand=Demand.objects.filter(organisation__kind="enterprise")[0], offer=offers[0], quantity=500)
    hospitals = Match.objects.held().filter(demand__organisation__kind="hospital")

    turns = [matching.reallocate(seconds=ONE_WRITE)]
    while ContestedItem.objects.unfinished().exists():
        turns.append(matching.reallocate(seconds=ONE_WRITE))
        assert broken_invariants() == {}
        # Whoever goes on takes nothing from anybody, so it comes to an end.
        assert len(turns) <= 20

    assert len(turns) > 2
    assert sum(Match.objects.held().values_list("quantity", flat=True)) == 12 * 500
    assert sum(hospitals.values_list("quantity", flat=True)) == 5 * 800
    # With time again, the whole is improved once.
    matching.reallocate()
    assert not matching.reallocate()


@pytest.mark.django_db
@pytest.mark.parametrize(("needs", "offers"), [(5, 100), (100, 4), (5, 4)])
def test_a_group_too_large_for_one_turn_is_served_slice_by_slice(
    monkeypatch: pytest.MonkeyPatch, needs: int, offers: int
) -> None:
    monkeypatch.setattr("apps.matching.loading.MOST_NEEDS", needs)
    monkeypatch.setattr("apps.matching.loading.MOST_OFFERS", offers)
    goods = OfferFactory.create_batch(12, quantity=500)
    for number in range(15):
        kind = ["enterprise", "community", "hospital"][number % 3]
        DemandFactory.create(organisation=OrganisationFactory.create(kind=kind), quantity=800)
    hospital = Demand.objects.filter(organisation__kind="hospital")[0]
    MatchFactory.create(demand=hospital, offer=goods[0], quantity=500)

    for _turn in range(20):
        before = {match.pk for match in Match.objects.held().filter(demand__organisation__kind="hospital")}
        matching.reallocate()
        assert broken_invariants() == {}

    held = Match.objects.held()
    assert {match.pk for match in held.filter(demand__organisation__kind="hospital")} == before
    assert sum(held.values_list("quantity", flat=True)) == 12 * 500
    assert sum(held.filter(demand__organisation__kind="hospital").values_list("quantity", flat=True)) == 5 * 800


@pytest.mark.django_db
def test_the_back_office_shows_what_the_last_turn_came_to(client: Client) -> None:
    item = ItemFactory.create(key="mask")
    offer = OfferFactory.create(item=item, quantity=1000)
    first, _second = DemandFactory.create_batch(2, item=item, quantity=1000)
    MatchFactory.create(demand=first, offer=offer, quantity=1000)
    began = timezone.now()
    matching.reallocate()
    clerk = UserFactory.create(is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_contesteditem"))
    client.force_login(clerk)

    row = ContestedItem.objects.get()
    assert row.last_turn_at is not None
    assert row.last_turn_at > began
    assert (row.slice, row.gap, row.holds_left, row.claimed_until) == (0, 0, 0, None)
    address = "/admin/matching/contesteditem/"
    assert str(item) in client.get(address).content.decode()
    assert client.get(f"{address}{item.pk}/change/").status_code == 200
    assert client.post(f"{address}{item.pk}/change/", {"group": 7}).status_code == 403
    assert client.get(f"{address}add/").status_code == 403
