"""Contested groups in the database: many shared by 1, 2 and 4 processes, and a huge one, turn after turn.

Each world is a copy of the market's database with goods, needs and holds of its own. The processes do what Celery's
workers do: they take one task after the other, and each claims a group.
"""

import datetime as dt
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from apps.accounts.models import Organisation
from apps.catalogue.models import Item
from apps.demands.models import Demand
from apps.matching.models import Match
from apps.supply.models import Offer
from tests.benchmarks import databases
from tests.benchmarks.figures import row
from tests.benchmarks.world import copy

ROOT: Final = Path(__file__).resolve().parents[2]
# Each byte on its input is a task.
_WORKER: Final = """
import django; django.setup()
import json, os, time
from tests.benchmarks.allocation import peak_mb
from apps.matching import services
began, groups = time.perf_counter(), []
while os.read(0, 1):
    start = time.perf_counter()
    services.allocate_next(seconds={seconds})
    groups.append(time.perf_counter() - start)
print(json.dumps({{"groups": len(groups), "slowest": max(groups, default=0), "memory": peak_mb(),
    "wall": time.perf_counter() - began, "cpu": time.process_time()}}))
"""


def _build(groups: int, needs: int, offers: int, seed: int = 2020) -> None:
    """So many items, each with its needs and offers; every third need holds what one supplier has."""
    chance, now = random.Random(seed), timezone.now()
    [base] = Item.objects.listed().order_by("pk")[:1]
    items = []
    for number in range(groups):
        base.pk, base.key = None, f"contested.{number}"
        base.save(force_insert=True)
        items.append(base.pk)
    suppliers = list(Organisation.objects.filter(kind="supplier").values_list("pk", "region_id"))
    hospitals = list(Organisation.objects.filter(kind="hospital").values_list("pk", "region_id"))
    first_offer, first_need, first_match = (
        (model.objects.order_by("-pk").values_list("pk", flat=True).first() or 0) + 1
        for model in (Offer, Demand, Match)
    )
    numbers = [(group, n) for group in range(groups) for n in range(needs)]
    quantity = {first_need + index: chance.randint(100, 3000) for index in range(len(numbers))}

    def offer_of(group: int, n: int) -> int:
        return first_offer + group * offers + n

    holds = {
        first_need + index: offer_of(group, n)
        for index, (group, n) in enumerate(numbers)
        if index % 3 == 0 and n < offers
    }
    reserved = {offer: quantity[need] for need, offer in holds.items()}

    def rows_of_offers() -> Iterator[Offer]:
        # Supply for some 60 % of the demand.
        mean = int(1550 * needs * 0.6 / offers)
        for group, item in enumerate(items):
            for n in range(offers):
                supplier, region = chance.choice(suppliers)
                pk = offer_of(group, n)
                yield Offer(
                    id=pk, organisation_id=supplier, posted_by_id=None, item_id=item,
                    quantity=max(reserved.get(pk, 0), chance.randint(1, 2 * mean)),
                    quantity_reserved=reserved.get(pk, 0),
                    minimum_order=1, lead_time_days=chance.randint(0, 10), unit_price=Decimal("9.50"),
                    origin_region_id=region, ships_to=[region[:2] + "0000"] if chance.random() < 0.3 else [],
                    state="published", published_at=now, confirmed_at=now,
                )  # fmt: skip

    def rows_of_needs() -> Iterator[Demand]:
        for index, (group, _n) in enumerate(numbers):
            hospital, region = chance.choice(hospitals)
            pk = first_need + index
            opened = now - dt.timedelta(hours=chance.uniform(1, 20))
            yield Demand(
                id=pk, reference=f"G{pk}", organisation_id=hospital, posted_by_id=None, item_id=items[group],
                quantity=quantity[pk], quantity_kind="exact", quantity_held=quantity[pk] if pk in holds else 0,
                region_id=region, urgency=chance.choice(["emergency", "urgent", "routine"]), state="open",
                opened_at=opened, confirmed_at=now,
            )  # fmt: skip

    def rows_of_matches() -> Iterator[Match]:
        for number, (need, offer) in enumerate(holds.items(), first_match):
            yield Match(
                id=number, demand_id=need, offer_id=offer, quantity=quantity[need], quantity_asked=quantity[need],
                rank=1, score=0.5, packed_terms=[], policy_version=1, tier=1, state="held",
                respond_by=now + dt.timedelta(days=1),
            )  # fmt: skip

    with connection.cursor() as cursor:
        # As in the aged market: triggers row by row would take longer than all that is measured.
        cursor.execute("SET session_replication_role = replica")
        copy(Offer, rows_of_offers())
        copy(Demand, rows_of_needs())
        copy(Match, rows_of_matches())
        cursor.execute("RESET session_replication_role")
        cursor.execute("ANALYZE")


def _work(processes: int, *, seconds: float) -> dict[str, Any]:
    """Let so many processes allocate what is contested; also the longest transaction that wrote, in seconds."""
    from apps.matching import services

    parts = connection.settings_dict
    url = f"postgresql://{parts['USER']}@/{parts['NAME']}?host={parts['HOST']}"
    waiting = services.note_contested()
    began = time.perf_counter()
    tasks, queue = os.pipe()
    os.write(queue, b"." * waiting)
    os.close(queue)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER.format(seconds=seconds)],
            cwd=ROOT,
            stdin=tasks,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "DATABASE_URL": url, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        for _process in range(processes)
    ]
    longest = 0.0
    with connection.cursor() as cursor:
        while any(process.poll() is None for process in running):
            cursor.execute(
                "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0) FROM pg_stat_activity"
                " WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
            )
            longest = max(longest, float(cursor.fetchone()[0]))
            time.sleep(0.05)
    answers = [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]
    return {
        "waiting": waiting,
        "groups": sum(one["groups"] for one in answers),
        "wall": max(one["wall"] for one in answers),
        "all": time.perf_counter() - began,
        "cpu": sum(one["cpu"] for one in answers),
        "slowest": max(one["slowest"] for one in answers),
        "memory": max(one["memory"] for one in answers),
        "longest": longest,
        "held": Match.objects.held().count(),
    }


def _show(name: str, found: dict[str, Any]) -> None:
    note = f"{found['groups']} of {found['waiting']} groups, CPU {found['cpu']:.0f} s, slowest {found['slowest']:.1f} s"
    row(name, f"{found['wall']:.1f} s", note)
    row("  longest transaction that wrote", f"{found['longest']:.2f} s", f"peak memory {found['memory']:.0f} MB")


def run(*, groups: int, needs: int, huge: tuple[int, int], seconds: float) -> None:
    print(f"\nContested groups in the database; load {os.getloadavg()[0]:.1f}")
    took = {}
    for processes in (1, 2, 4) if groups else ():
        with databases.use("contested", anew=True):
            _build(groups, needs, needs)
            found = _work(processes, seconds=seconds)
            took[processes] = found["wall"]
            _show(f"{groups} groups of {needs} needs and offers, {processes} processes", found)
    for processes in list(took)[1:]:
        row(f"  as fast with {processes} processes as with one", f"{took[1] / took[processes]:.2f} ×")
    if huge[0]:
        with databases.use("contested", anew=True):
            _build(1, *huge)
            _show(
                f"one of {huge[0]:,} needs × {huge[1]:,} offers, budget {seconds:.0f} s",
                _work(1, seconds=seconds),
            )
