"""Who allocates which group: one worker at a time, the longest waiting first, and the dead are followed."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from apps.catalogue.models import Item, Substitution
from apps.demands.models import Demand
from apps.matching import services as matching
from apps.matching.contests.claims import LEASE, ClaimLost, claim_next, note_contested
from apps.matching.models import ContestedItem, Match
from apps.ops.data.invariants import broken_invariants
from cosmomatch.celery import app
from tests.factories import DemandFactory, ItemFactory, MatchFactory, OfferFactory
from tests.waiting import until_it_waits_for_us

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[3]
T = TypeVar("T")


def contested(item: Item, *, quantity: int = 1000) -> tuple[int, int]:
    """Two needs for the goods of one supplier, which has been asked for the first: ids of the needs."""
    offer = OfferFactory.create(item=item, quantity=quantity)
    first, second = DemandFactory.create_batch(2, item=item, quantity=quantity)
    MatchFactory.create(demand=first, offer=offer, quantity=quantity)
    return first.pk, second.pk


def at_once(number: int, action: Callable[[], T]) -> list[T]:
    barrier = threading.Barrier(number)

    def run(_turn: int) -> T:
        barrier.wait()
        try:
            return action()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(run, range(number)))


def the_lease_runs_out() -> None:
    ContestedItem.objects.exclude(claimed_until=None).update(claimed_until=timezone.now() - LEASE)


def worker_environment() -> dict[str, str]:
    """The environment in which a process of ours works on this test's database."""
    parts = connection.settings_dict
    database = f"postgresql://{parts['USER']}@/{parts['NAME']}?host={parts['HOST']}"
    if parts.get("PORT"):
        database += f"&port={parts['PORT']}"
    return {**os.environ, "DATABASE_URL": database, "PYTHONUNBUFFERED": "1"}


def held() -> list[int]:
    return sorted(Match.objects.held().values_list("quantity", flat=True))


def test_the_group_that_waits_longest_is_claimed_first() -> None:
    items = [ItemFactory.create(key=f"item.{number}") for number in range(3)]
    for item in items:
        contested(item)
    assert note_contested() == 3

    turns: list[int] = []
    for _turn in range(6):
        claim = claim_next()
        assert claim is not None
        turns.append(*claim.items)
        claim.release()

    assert turns == [item.pk for item in items] * 2


def test_linked_items_are_one_group_and_claimed_together() -> None:
    mask, respirator, gown = (ItemFactory.create(key=key) for key in ("mask", "respirator", "gown"))
    Substitution.objects.create(offered=respirator, demanded=mask)
    for item in (mask, respirator, gown):
        contested(item)
    DemandFactory.create(item=mask, accepts_substitutes=True)

    assert note_contested() == 2
    assert [claim.items for claim in iter(claim_next, None)] == [{mask.pk, respirator.pk}, {gown.pk}]


def test_nobody_gets_a_group_of_which_another_has_an_item() -> None:
    """The items were linked only after one of them had been claimed."""
    mask, respirator = ItemFactory.create(key="mask"), ItemFactory.create(key="respirator")
    contested(respirator)
    assert note_contested() == 1
    mine = claim_next()
    assert mine is not None
    Substitution.objects.create(offered=respirator, demanded=mask)
    contested(mask)
    DemandFactory.create(item=mask, accepts_substitutes=True)

    # Until the first worker is done its item keeps the name of its group.
    assert note_contested() == 1
    other = claim_next()
    assert other is not None
    assert other.items == {mask.pk}
    other.release()
    mine.release()
    assert note_contested() == 1
    both = claim_next()
    assert both is not None
    assert both.items == {mask.pk, respirator.pk}


def test_of_eight_workers_at_once_each_gets_a_group_of_its_own() -> None:
    for number in range(5):
        contested(ItemFactory.create(key=f"item.{number}"))
    note_contested()

    claims = [claim for claim in at_once(8, claim_next) if claim]

    # Two that look at one row at the same moment may both leave it to the other.
    assert len({item for claim in claims for item in claim.items}) == len(claims) >= 1
    claims += iter(claim_next, None)
    assert sorted(item for claim in claims for item in claim.items) == sorted(
        ContestedItem.objects.values_list("pk", flat=True)
    )


def test_what_is_not_contested_any_more_leaves_the_queue() -> None:
    contested(ItemFactory.create())
    assert note_contested() == 1

    Match.objects.held().update(state="superseded")

    assert note_contested() == 0
    assert not ContestedItem.objects.exists()
    assert claim_next() is None


ALLOCATE = """
import django; django.setup()
from apps.matching.services import allocate_next
print("at work", flush=True)
allocate_next()
"""


@pytest.mark.servers
def test_a_killed_workers_group_is_allocated_by_another() -> None:
    first, _second = contested(ItemFactory.create())
    note_contested()
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        # The worker waits for this need, in the middle of its write, until it is killed.
        Demand.objects.select_for_update().get(pk=first)
        worker = subprocess.Popen(
            [sys.executable, "-c", ALLOCATE],
            cwd=ROOT,
            env={**worker_environment(), "DJANGO_SETTINGS_MODULE": "cosmomatch.settings"},
            stdout=subprocess.PIPE,
        )
        ended = until_it_waits_for_us(pool, worker.communicate)
        worker.send_signal(signal.SIGKILL)
        ended.result()
    assert worker.returncode == -signal.SIGKILL

    assert matching.allocate_next() is None
    assert held() == [1000]
    the_lease_runs_out()
    assert matching.allocate_next()
    assert held() == [500, 500]
    assert broken_invariants() == {}


def test_a_worker_that_lost_its_claim_writes_nothing() -> None:
    """It stood still for longer than its lease, and another took the group."""
    contested(ItemFactory.create())
    note_contested()
    mine = claim_next()
    assert mine is not None
    the_lease_runs_out()
    other = claim_next()
    assert other is not None

    with pytest.raises(ClaimLost):
        mine.renew()
    mine.release()

    other.renew()
    assert claim_next() is None


def test_what_a_spent_budget_leaves_is_done_at_the_next_turn() -> None:
    contested(ItemFactory.create())

    assert not matching.reallocate(seconds=0)
    assert held() == [1000]

    assert matching.reallocate()
    assert held() == [500, 500]


def test_a_group_that_ends_its_workers_does_not_keep_others_waiting() -> None:
    items = [ItemFactory.create(key=f"item.{number}") for number in range(2)]
    for item in items:
        contested(item)
    note_contested()
    dead = claim_next()
    assert dead is not None

    the_lease_runs_out()

    claims = iter(claim_next, None)
    assert [claim.items for claim in claims] == [{items[1].pk}, dead.items]


def test_beat_looks_for_contested_groups_every_minute() -> None:
    entries = {entry["task"]: entry for entry in app.conf.beat_schedule.values()}
    assert entries["apps.matching.tasks.reallocate"]["schedule"] == 60
