"""Two at once, forty at once, and workers that die: real threads and processes against real PostgreSQL and Redis."""

import datetime as dt
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from apps.accounts.models import Organisation
from apps.core.errors import RuleViolation
from apps.demands import services as demands
from apps.demands.models import Demand, DemandState
from apps.fulfilment import services as fulfilment
from apps.fulfilment.models import Order, Side
from apps.matching import services as matching
from apps.matching.allocation.sequential import decide
from apps.matching.holds.plans import write_plan
from apps.matching.models import Match, MatchState
from apps.ops.data.invariants import broken_invariants, untold
from apps.supply import quantities
from apps.supply.amending import amend_offer
from apps.supply.models import Offer
from tests.factories import (
    DemandFactory,
    MatchFactory,
    OfferFactory,
    OrganisationFactory,
    SupplierFactory,
    member,
    region,
)

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[3]


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """Run the actions in threads that start together; gives what each returned, or its RuleViolation."""
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return action()
        except RuleViolation as violation:
            return violation
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))


def won(results: Sequence[Any]) -> list[Any]:
    return [result for result in results if not isinstance(result, RuleViolation)]


def test_forty_threads_reserving_7_of_100_get_14_times_7() -> None:
    offer = OfferFactory.create(quantity=100)

    results = at_once(*[lambda: quantities.reserve(offer.pk, 7)] * 40)

    offer.refresh_from_db()
    assert (sum(results), offer.quantity_reserved) == (14, 98)


def test_two_suppliers_who_accept_the_last_of_a_demand_both_get_their_part() -> None:
    demand = DemandFactory.create(quantity=1000)
    matches = [MatchFactory.create(demand=demand, quantity=500) for _i in range(2)]

    results = at_once(*[lambda match=match: fulfilment.accept_match(match, by=None) for match in matches])

    assert len(won(results)) == 2
    demand.refresh_from_db()
    assert (demand.state, demand.quantity_matched, demand.quantity_held) == (DemandState.MATCHED, 1000, 0)
    assert broken_invariants() == {}


def test_one_match_answered_ten_times_at_once_is_answered_once() -> None:
    match = MatchFactory.create()

    results = at_once(
        *[lambda: fulfilment.accept_match(match, by=None)] * 5,
        *[lambda: matching.decline(match, by=None, reason="gone")] * 5,
    )

    assert len(won(results)) == 1
    assert {violation.code for violation in results if isinstance(violation, RuleViolation)} == {"match_not_held"}
    assert broken_invariants() == {}


def test_a_backup_that_is_asked_while_its_offer_moves_waits_in_one_order() -> None:
    backup = MatchFactory.create(state=MatchState.STANDBY, rank=1)
    person = member(backup.offer.organisation)
    has_the_match, offer_is_wanted = threading.Event(), threading.Event()

    def ask() -> None:
        with transaction.atomic():
            Demand.objects.select_for_update(no_key=True).get(pk=backup.demand_id)
            Match.objects.select_for_update(no_key=True, of=["self"]).get(pk=backup.pk)
            has_the_match.set()
            offer_is_wanted.wait(2)
            time.sleep(0.3)  # until the other one waits, too
            Offer.objects.select_for_update(no_key=True).get(pk=backup.offer_id)

    def move() -> None:
        has_the_match.wait(10)
        offer_is_wanted.set()
        matching.amend_offer(backup.offer, by=person, origin_region=region("110000"))

    at_once(ask, move)  # a deadlock would be raised here

    assert Offer.objects.get(pk=backup.offer_id).origin_region_id == "110000"


@pytest.mark.parametrize("round_", [0, *(pytest.param(number, marks=pytest.mark.long) for number in (1, 2))])
def test_an_answer_a_deadline_a_pause_and_a_hospital_at_once_agree(round_: int) -> None:
    offer = OfferFactory.create(quantity=1000)
    poor = DemandFactory.create(organisation=OrganisationFactory.create(kind="enterprise"), quantity=1000)
    match = MatchFactory.create(demand=poor, offer=offer, quantity=1000, tier=4)
    person = member(poor.organisation)
    DemandFactory.create(quantity=700, queued=True)
    late = timezone.now() + dt.timedelta(hours=3)

    at_once(
        lambda: fulfilment.accept_match(match, by=None),
        lambda: matching.expire_holds(now=late),
        lambda: demands.pause_demand(Demand.objects.get(pk=poor.pk), by=person),
        matching.sweep,
        matching.sweep,
    )
    matching.sweep()

    assert broken_invariants() == {}
    match.refresh_from_db()
    assert match.state in {MatchState.ACCEPTED, MatchState.EXPIRED, MatchState.SUPERSEDED, MatchState.CANCELLED}


def test_eight_sweeps_at_once_hold_everything_once() -> None:
    for _i in range(6):
        OfferFactory.create(quantity=700)
    for _i in range(12):
        DemandFactory.create(quantity=500, queued=True)

    at_once(*[matching.sweep] * 8)
    matching.sweep()

    assert broken_invariants() == {}
    assert sum(Match.objects.held().values_list("quantity", flat=True)) == 4200
    assert sum(Offer.objects.values_list("quantity_reserved", flat=True)) == 4200


def test_orders_repeated_shipped_received_and_called_off_at_once_add_up() -> None:
    buyer_org = OrganisationFactory.create()
    person = member(buyer_org)
    offer = OfferFactory.create(quantity=2000)
    match = MatchFactory.create(demand=DemandFactory.create(organisation=buyer_org), offer=offer, quantity=1000)
    order = fulfilment.accept_match(match, by=None)

    results = at_once(
        *[lambda: fulfilment.repeat_order(order, by=person, quantity=300)] * 5,
        lambda: fulfilment.deliver_order(order, by=person, quantity_accepted=600),
        lambda: fulfilment.deliver_order(order, by=person, quantity_accepted=300, quantity_rejected=100, reason="wet"),
        lambda: fulfilment.deliver_order(order, by=person, quantity_accepted=200),
        lambda: fulfilment.cancel_order(order, by=None, side=Side.COORDINATOR),
    )

    assert broken_invariants() == {}
    offer.refresh_from_db()
    assert offer.quantity_reserved <= 2000
    assert len(won(results[:5])) <= 3


def worker_environment() -> dict[str, str]:
    """The environment in which a process of ours works on this test's database."""
    parts = connection.settings_dict
    database = f"postgresql://{parts['USER']}@/{parts['NAME']}?host={parts['HOST']}"
    if parts.get("PORT"):
        database += f"&port={parts['PORT']}"
    return {**os.environ, "DATABASE_URL": database, "PYTHONUNBUFFERED": "1"}


SWEEP = """
import django; django.setup()
from apps.matching.services import sweep
print("at work", flush=True)
while True:
    sweep()
"""


@pytest.mark.servers
@pytest.mark.long
def test_a_worker_killed_while_it_matches_loses_and_doubles_nothing() -> None:
    hospital = OrganisationFactory.create()
    member(hospital)
    makers = [SupplierFactory.create() for _i in range(20)]
    for maker in makers:
        member(maker)
        OfferFactory.create(organisation=maker, quantity=100_000)

    for attempt in range(4):
        for _i in range(40):
            DemandFactory.create(organisation=hospital, quantity=900, queued=True)
        worker = subprocess.Popen(
            [sys.executable, "-c", SWEEP],
            cwd=ROOT,
            env={**worker_environment(), "DJANGO_SETTINGS_MODULE": "cosmomatch.settings"},
            stdout=subprocess.PIPE,
        )
        assert worker.stdout is not None
        worker.stdout.readline()
        time.sleep(0.05 + 0.1 * attempt)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()
        assert broken_invariants() == {}

    # The leases of the dead run out; the next sweep finds what they left.
    matching.sweep(now=timezone.now() + matching.LEASE)

    assert Demand.objects.filter(quantity_held=900).count() == 160
    assert sum(Match.objects.held().values_list("quantity", flat=True)) == 160 * 900
    assert broken_invariants() == {}
    assert untold() == []


@pytest.mark.servers
@pytest.mark.long
def test_redis_flushed_between_commit_and_task_costs_seconds_and_no_match(hospital: Organisation) -> None:
    import redis
    from django.conf import settings

    person = member(hospital)
    offer = OfferFactory.create()
    demand = DemandFactory.create(organisation=hospital, draft=True)
    demands.open_demand(demand, by=person)
    redis.Redis.from_url(settings.REDIS_URL).flushdb()

    worker = subprocess.Popen(
        [
            sys.executable, "-m", "celery", "-A", "cosmomatch", "worker", "--beat", "--pool=solo", "--loglevel=error",
            "--schedule", str(Path(os.environ["VAR_DIR"]) / f"beat-{os.getpid()}"),
        ],
        cwd=ROOT,
        env=worker_environment(),
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not Match.objects.held().exists() and time.monotonic() < deadline:
            time.sleep(0.2)
    finally:
        worker.terminate()
        worker.wait(60)

    assert Match.objects.held().get().offer == offer
    assert Order.objects.count() == 0
    assert broken_invariants() == {}


def test_what_is_amended_between_reading_and_writing_is_decided_anew() -> None:
    from django.db import transaction

    from apps.matching.loading import load_needs, load_rules, load_sources
    from apps.policy.models import Policy

    buyer_org = OrganisationFactory.create()
    person = member(buyer_org)
    demand = DemandFactory.create(organisation=buyer_org, queued=True)
    offer = OfferFactory.create()
    now = timezone.now()

    [claimed] = demands.claim_for_matching(now=now, lease=matching.LEASE, limit=1)
    policy = Policy.objects.current()
    sources = load_sources([demand.item_id], now, policy.values)
    plan = decide(load_needs([claimed], policy.values), sources, load_rules(), policy=policy.values, now=now)
    region("440000")
    amend_offer(offer, by=person, ships_to=["440000"])
    with transaction.atomic():
        write_plan(plan, {claimed.pk: claimed}, policy, now)
    demands.finish_matching([claimed])

    assert Match.objects.count() == 0
    matching.sweep()
    assert Match.objects.count() == 0
    amend_offer(offer, by=person, ships_to=[])
    matching.sweep()
    matching.sweep()
    assert Match.objects.held().get().offer == offer


def test_an_offer_that_appears_during_a_decision_is_matched_with_its_need() -> None:
    demand = DemandFactory.create(queued=True)
    claimed = demands.claim_for_matching(now=timezone.now(), lease=matching.LEASE, limit=5)
    # A worker has read by now that nothing is there; a supplier publishes, and another worker looks whom that helps.
    OfferFactory.create(item=demand.item, queued=True)
    matching.recheck_changed_offers()
    demands.finish_matching(claimed)

    matching.sweep()

    assert Match.objects.held().get().demand == demand


def test_a_hold_made_while_its_need_is_amended_is_taken_back() -> None:
    demand = DemandFactory.create()
    offer = OfferFactory.create(item=demand.item, ships_to=["420000"])
    member(demand.organisation)

    def move_to_xinjiang() -> None:
        matching.amend_demand(
            Demand.objects.get(pk=demand.pk), by=demand.organisation.memberships.get().user, region=region("650000")
        )
        connections.close_all()

    moving = threading.Thread(target=move_to_xinjiang)
    with transaction.atomic():
        Demand.objects.select_for_update(no_key=True).get(pk=demand.pk)
        moving.start()
        time.sleep(0.3)  # it waits for the row
        MatchFactory.create(demand=demand, offer=offer)
    moving.join()

    assert not Match.objects.held().exists()
    assert broken_invariants() == {}
