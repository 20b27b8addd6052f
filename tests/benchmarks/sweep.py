"""One sweep over a full queue, in this process, so that its share of SQL can be seen."""

import cProfile
import pstats
import time
from collections.abc import Callable, Sequence
from functools import partial

from django.db import connection, transaction
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.demands import services as demands
from apps.demands.models import Demand
from apps.matching import services as matching
from apps.matching.holds.plans import Done
from apps.matching.models import Match
from apps.notifications.models import Message, Notification
from tests.benchmarks.figures import median_time, milliseconds, row, watched
from tests.benchmarks.world import Market

Hospitals = Sequence[tuple[Organisation, User]]


def post(market: Market, hospitals: Hospitals) -> Demand:
    """One need, as a form posts it: the draft, then opened."""
    hospital, buyer = market.draw.choice(hospitals)
    with transaction.atomic():
        [demand] = demands.post_demands(hospital, [market.line()], by=buyer)
        return demands.open_demand(demand, by=buyer, quantity_confirmed=True)


def run(market: Market, hospitals: Hospitals, *, posts: int, profile: bool) -> None:
    floor = median_time(lambda: connection.cursor().execute("SELECT 1"), 200)

    print(f"\nOne sweep over {posts} needs in the queue")
    items = [post(market, hospitals).item_id for _ in range(posts)]
    fetch = sum(median_time(partial(_fetch, item), 1) for item in items) / posts
    models = (Match, Message, Notification)
    before = [model._default_manager.count() for model in models]
    took = _measure(posts, posts, floor, profile=profile)
    written = [model._default_manager.count() - number for model, number in zip(models, before, strict=True)]
    insert = _bare_inserts(sum(written))
    row(
        "fetch of all offers of the item, bare, per need",
        milliseconds(fetch),
        f"the sweep: {took / posts / fetch:,.1f} times",
    )
    row(
        "bare insert of as many rows, one by one, per need",
        milliseconds(insert / posts),
        f"the sweep: {took / insert:,.0f} times;"
        f" {', '.join(f'{n} {model.__name__}' for n, model in zip(written, models, strict=True))}",
    )

    few = max(1, posts // 4)
    print(f"\n{few} needs, one sweep for each, as on a quiet day")
    _measure(few, 1, floor, profile=profile, before=lambda: post(market, hospitals))

    print("\nSolving together what is contested, as once a minute, with all of these needs held")
    began, began_cpu = time.perf_counter(), time.process_time()
    matching.reallocate()
    row(
        "took",
        f"{time.perf_counter() - began:,.1f} s",
        f"of that {time.process_time() - began_cpu:,.1f} s on the processor",
    )


def _measure(
    posts: int, limit: int, floor: float, *, profile: bool, before: Callable[[], object] = lambda: None
) -> float:
    """Sweep until so many needs are matched; seconds."""
    profiler = cProfile.Profile()
    took = cpu = 0.0
    done = Done()
    with watched() as queries:
        while done.demands < posts:
            before()
            if limit == 1:
                queries.forget()
            if profile:
                profiler.enable()
            began, began_cpu = time.perf_counter(), time.process_time()
            done += matching.sweep(limit=limit)
            took += time.perf_counter() - began
            cpu += time.process_time() - began_cpu
            profiler.disable()
            queries.keep()
    row("needs matched per second", f"{posts / took:,.1f}", f"{done.held} suppliers asked, {done.standby} standbys")
    row(
        "per need",
        milliseconds(took / posts),
        f"{queries.number / posts:.1f} queries; {took / posts / floor:,.0f} times SELECT 1",
    )
    row("of that, on the processor in Python", milliseconds(cpu / posts))
    row("share of SQL in the sweep's time", f"{queries.seconds / took:.0%}")
    if profile:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(45)
        for sql, took_each in sorted(queries.by_statement.items(), key=lambda one: -sum(one[1]))[:25]:
            row(f"{sql[:58]}", milliseconds(sum(took_each)), f"{len(took_each)} × {sql[58:]}")
    return took


def _fetch(item: int) -> None:
    """What matching reads of an offer, by its index, without anything made of it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, organisation_id, item_id, quantity - quantity_reserved, minimum_order, lead_time_days,"
            " origin_region_id, ships_to, standard_id, confirmed_at, unit_price, is_donation"
            " FROM supply_offer WHERE item_id = %s AND state = 'published'",
            [item],
        )
        cursor.fetchall()


def _bare_inserts(rows: int) -> float:
    """As many rows of about the size of a match, each its own statement, in one transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE bare (id bigserial PRIMARY KEY, a bigint, b bigint, body jsonb, at timestamptz)"
        )
        body, now = '{"terms": "' + "x" * 900 + '"}', timezone.now()
        began = time.perf_counter()
        with transaction.atomic():
            for number in range(rows):
                cursor.execute("INSERT INTO bare (a, b, body, at) VALUES (%s, %s, %s, %s)", [number, number, body, now])
        took = time.perf_counter() - began
        cursor.execute("DROP TABLE bare")
    return took
