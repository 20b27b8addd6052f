"""Two pulls of the public sums cannot be subtracted. Each test is an attack, or what publishing must still do."""

import datetime as dt

import pytest
from django.db.models import F
from django.utils import timezone

from apps.demands.models import Demand
from apps.exports import publishing
from apps.exports.models import Publication
from apps.exports.publishing import published_stats, rounded
from tests.factories import DemandFactory, OrganisationFactory, region

pytestmark = pytest.mark.django_db

# All that is made here is older than the first publication; changes say when they were.
START = timezone.now().replace(minute=0, second=0, microsecond=0) + dt.timedelta(hours=2)


def pull(hours: float) -> dict[str, int | None]:
    """What everybody reads so many hours after the start, by region; "" is everywhere."""
    sums = published_stats(now=START + dt.timedelta(hours=hours))
    return {cell.region: cell.quantity_needed for cell in [*sums.cells, *sums.totals]}


def need(quantity: int = 1000, *, where: str = "420106") -> Demand:
    return DemandFactory.create(organisation=OrganisationFactory.create(region=region(where)), quantity=quantity)


def change(*needs: Demand, at: float, by: int = 700) -> None:
    for one in needs:
        Demand.objects.filter(pk=one.pk).update(quantity=F("quantity") + by, updated_at=START + dt.timedelta(hours=at))


def test_two_pulls_within_an_hour_are_the_same() -> None:
    needs = [need() for _number in range(3)]
    first = pull(0.1)
    change(*needs, at=0.5)

    assert first == {"420000": 3000, "": 3000}
    assert pull(0.9) == first


def test_the_change_of_one_organisation_is_not_told_by_subtracting() -> None:
    one, two, three, _four = (need() for _number in range(4))
    first = pull(0)
    change(one, at=0.5)
    assert pull(1) == first
    change(one, two, at=1.5)
    assert pull(2) == first, "two could tell each other's"
    change(three, at=2.5)
    assert pull(3) == {"420000": 6800, "": 6800}


def test_drafts_of_others_do_not_have_a_change_told() -> None:
    one, *_others = (need() for _number in range(4))
    first = pull(0)
    change(one, at=0.5)
    for _number in range(3):
        draft = DemandFactory.create(draft=True, organisation=OrganisationFactory.create(unverified=True))
        change(draft, at=0.5)

    assert pull(1) == first


def test_the_change_of_one_province_is_not_told_by_the_total() -> None:
    here = [need() for _number in range(3)]
    there = [need(where="440300") for _number in range(3)]
    pull(0)
    change(*here[:2], there[0], at=0.5)

    # The total is of three organisations. With the cells of either province, it would tell the other's.
    assert pull(1) == {"420000": 3000, "440000": 3000, "": 8100}


def test_a_need_that_ends_is_not_told_by_subtracting() -> None:
    needs = [need() for _number in range(4)]
    first = pull(0)
    Demand.objects.filter(pk=needs[0].pk).update(state="cancelled")

    assert pull(1) == first


def test_a_verification_that_ends_is_not_told_by_subtracting() -> None:
    needs = [need() for _number in range(4)]
    first = pull(0)
    type(needs[0].organisation).objects.filter(pk=needs[0].organisation_id).update(state="unverified")

    assert pull(1) == first


def test_numbers_are_rounded_to_two_digits() -> None:
    assert [rounded(number) for number in (None, 0, 7, 99, 104, 105, 12_345, 99_600)] == [
        None, 0, 7, 99, 100, 110, 12_000, 100_000,
    ]  # fmt: skip


def test_of_an_hour_there_is_one_publication_and_old_ones_go() -> None:
    need()
    for hours in (0, 0.5, 1, 60):
        pull(hours)

    assert Publication.objects.count() == 1
    assert dt.timedelta(hours=59) > publishing.KEPT
