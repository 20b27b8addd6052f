"""Two pulls of the public sums cannot be subtracted. Each test is an attack, or what publishing must still do."""

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.demands.models import Demand
from apps.exports.models import Publication
from apps.exports.publishing import publish, published_stats, rounded
from apps.exports.stats import PublicStats
from tests.factories import DemandFactory, OrganisationFactory, region
from tests.waiting import on_its_own_connection

pytestmark = pytest.mark.django_db

START = timezone.now().replace(minute=0, second=0, microsecond=0) + dt.timedelta(hours=2)


def pull(hours: float) -> dict[str, int | None]:
    """What everybody reads so many hours after the start, by region; "" is everywhere."""
    now = START + dt.timedelta(hours=hours)
    publish(now=now)
    sums = published_stats(now=now)
    return {cell.region: cell.quantity_needed for cell in [*sums.cells, *sums.totals]}


def need(quantity: int = 1000, *, where: str = "420106") -> Demand:
    return DemandFactory.create(organisation=OrganisationFactory.create(region=region(where)), quantity=quantity)


def change(*needs: Demand, by: int = 700) -> None:
    for one in needs:
        Demand.objects.filter(pk=one.pk).update(quantity=F("quantity") + by)


def test_two_pulls_within_an_hour_are_the_same() -> None:
    needs = [need() for _number in range(3)]
    first = pull(0.1)
    change(*needs)

    assert first == {"420000": 3000, "": 3000}
    assert pull(0.9) == first


def test_the_change_of_one_organisation_is_not_told_by_subtracting() -> None:
    one, two, three, _four = (need() for _number in range(4))
    first = pull(0)
    change(one)
    assert pull(1) == first
    change(one, two)
    assert pull(2) == first, "two could tell each other's"
    change(three)
    assert pull(3) == {"420000": 6800, "": 6800}


def test_drafts_of_others_do_not_have_a_change_told() -> None:
    one, *_others = (need() for _number in range(4))
    first = pull(0)
    change(one)
    for _number in range(3):
        draft = DemandFactory.create(draft=True, organisation=OrganisationFactory.create(unverified=True))
        change(draft)

    assert pull(1) == first


def test_the_change_of_one_province_is_not_told_by_the_total() -> None:
    here = [need() for _number in range(3)]
    there = [need(where="440300") for _number in range(3)]
    first = pull(0)
    change(*here[:2], there[0])
    assert pull(1) == first == {"420000": 3000, "440000": 3000, "": 6000}

    change(here[2])
    assert pull(2) == {"420000": 5100, "440000": 3000, "": 8100}, "the total is what is told of its provinces"


def test_one_change_among_rows_that_were_only_touched_is_not_told() -> None:
    needs = [need() for _number in range(4)]
    first = pull(0)
    change(needs[0])
    for one in needs:  # a sweep, a rename, a confirmation
        change(one, by=0)

    assert pull(1) == first


def test_one_change_among_changes_of_other_numbers_is_not_told() -> None:
    needs = [need() for _number in range(4)]
    first = pull(0)
    change(needs[0])
    for one in needs[1:]:
        Demand.objects.filter(pk=one.pk).update(quantity_matched=500)

    assert pull(1) == first


def test_a_hidden_change_is_not_told_by_the_total_less_what_is_shown() -> None:
    """The cell and the total are renewed, each for three changes. Their difference would be one hidden need's."""
    here = [need() for _number in range(3)]
    hidden = [need(where=where) for where in ("440300", "110102", "110102")]
    first = pull(0)
    assert first == {"420000": 3000, "": 6000}
    change(hidden[0])
    change(*here)

    assert pull(1) == {"420000": 5100, "": 8100}, "the total less what is shown is as it was"


def test_two_who_are_back_where_they_were_hide_nobody() -> None:
    """Each pull differs from the one before by three organisations, and the third from the first by two."""
    one, two, three, four = (need() for _number in range(4))
    pull(0)
    change(one, two, three)
    second = pull(1)
    change(one, two, by=-700)
    change(four)

    assert pull(2) == second


def test_who_moves_between_provinces_hides_nobody() -> None:
    """Two leave one province for the other: in the sum of both, only those who changed beside them are left."""
    here, there = [need() for _number in range(6)], [need(where="440300") for _number in range(6)]
    first = pull(0)
    assert first == {"420000": 6000, "440000": 6000, "": 12000}
    for one in here[:2]:
        Demand.objects.filter(pk=one.pk).update(region=region("440300"))
    change(here[2], there[2])

    assert pull(1) == first


def test_a_number_of_one_organisation_among_three_needs_is_not_told() -> None:
    needs = [need() for _number in range(3)]
    Demand.objects.filter(pk=needs[0].pk).update(quantity_matched=500)

    sums = published_stats(now=START)

    assert [(cell.needs, cell.quantity_matched, cell.quantity_received) for cell in sums.cells] == [(3, None, 0)]


def test_a_need_that_ends_is_not_told_by_subtracting() -> None:
    needs = [need() for _number in range(4)]
    first = pull(0)
    Demand.objects.filter(pk=needs[0].pk).update(state="cancelled")

    assert pull(1) == first


def test_who_stops_waiting_is_not_told_by_subtracting() -> None:
    needs = [need() for _number in range(4)]

    def waiting(hours: int) -> list[tuple[str, int | None, int | None]]:
        pull(hours)
        sums = published_stats(now=START + dt.timedelta(hours=hours))
        return [(cell.region, cell.needs, cell.organisations_waiting) for cell in [*sums.cells, *sums.totals]]

    first = waiting(0)
    assert first == [("420000", 4, 4), ("", 4, 4)]
    for hours, one in enumerate(needs[:2], 1):
        Demand.objects.filter(pk=one.pk).update(state="paused")
        assert waiting(hours) == first, "one or two stopped"

    Demand.objects.filter(pk=needs[2].pk).update(state="paused")
    assert waiting(3) == first, "three stopped, and the one who still waits may not be told"
    for one in needs[:2]:
        Demand.objects.filter(pk=one.pk).update(state="open")
    assert waiting(4) == first


def test_two_of_three_who_wait_are_not_told() -> None:
    needs = [need() for _number in range(3)]
    Demand.objects.filter(pk=needs[0].pk).update(state="paused")

    assert [(cell.needs, cell.organisations_waiting) for cell in published_stats(now=START).cells] == [(3, None)]


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


def test_readers_count_where_no_task_has_published_for_an_hour() -> None:
    need()
    first = published_stats(now=START)

    assert published_stats(now=START + dt.timedelta(hours=1, minutes=59)) == first
    assert published_stats(now=START + dt.timedelta(hours=2, minutes=1)) != first


@pytest.mark.django_db(transaction=True)
def test_while_one_counts_others_read_the_sums_of_before() -> None:
    first = published_stats(now=START)
    much_later = START + dt.timedelta(hours=5)

    def read() -> PublicStats:
        assert not publish(now=much_later)
        return published_stats(now=much_later)

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        assert publish(now=much_later)
        assert pool.submit(on_its_own_connection, read).result() == first


@pytest.mark.django_db(transaction=True)
def test_of_two_first_readers_one_counts() -> None:
    together = threading.Barrier(2, timeout=30)

    def read() -> int:
        with CaptureQueriesContext(connection) as asked:
            together.wait()
            published_stats(now=START)
        return sum("fulfilment_order" in query["sql"] for query in asked)

    with ThreadPoolExecutor(2) as pool:
        reading = [pool.submit(on_its_own_connection, read) for _number in range(2)]
        assert sorted(bool(one.result()) for one in reading) == [False, True]
