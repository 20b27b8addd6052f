"""Committing allocations: how many a second, by one, four and sixteen clients, singly and a hundred at a time.

An allocation is committed when the need counts the quantity as asked for, the offer counts it as promised, and the
match stands, all in one durable transaction. Ours are the calls of `matching.holds.commit`, the same texts. Beside
them, turn by turn in the same run: the same match row alone, inserted bare; lock, look and write (`SELECT … FOR
UPDATE`); and a conditional UPDATE for each table. Clients are processes with a connection each and nothing else.
Between turns the matches go and the counters return to nothing, so that each begins alike; after each turn the sums are
asked in SQL.
"""

import datetime as dt
import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count, islice
from typing import IO, Any, Final, cast

from django.db import connection, transaction
from django.utils import timezone

from apps.demands.models import Demand
from apps.matching.holds.commit import COMMIT, COMMIT_ONE, KEPT, HoldRequest, commit_holds
from apps.matching.models import Match
from apps.matching.models.reasons import packed
from apps.supply.models import Offer
from tests.benchmarks.allocation import against
from tests.benchmarks.figures import median_time, milliseconds, quantile, row
from tests.benchmarks.sweep import Hospitals
from tests.benchmarks.world import Market, copy

CLIENTS: Final = (1, 4, 16)
BATCH: Final = 100
NEEDS: Final = 20_000
PLENTY: Final = 10**11
TERMS: Final = [
    {"name": name, "value": 400, "score": 0.412345, "weight": 0.125}
    for name in ("coverage", "distance", "lead_time", "standard", "freshness", "record", "price", "share")
]


@dataclass(frozen=True)
class Way:
    name: str
    verb: str
    batch: int = 1
    counts: bool = True


BARE = Way("bare inserts of the match", "bare", counts=False)
OURS = Way("ours, singly", "ours")
LOCKED = Way("SELECT … FOR UPDATE", "for_update")
BY_TABLE = Way("a statement for each table", "by_table")
BATCHED = Way(f"ours, {BATCH} at a time", "ours", batch=BATCH)
BARE_BATCHED = Way(f"bare inserts, {BATCH} in a statement", "bare_together", batch=BATCH, counts=False)
WAYS: Final = (BARE, OURS, LOCKED, BY_TABLE, BATCHED, BARE_BATCHED)

_NAMES: Final = ", ".join(KEPT)
_ROW: Final = f"(demand_id, offer_id, quantity_asked, {_NAMES}, state, decline_reason, decline_note)"
STATEMENTS: Final = {
    "ours": COMMIT,
    "ours_one": COMMIT_ONE,
    "bare": f"""
        INSERT INTO matching_match {_ROW}
        VALUES (%(need_id)s, %(offer_id)s, %(quantity)s, {", ".join(f"%({name})s" for name in KEPT)}, 'held', '', '')
        RETURNING id""",  # noqa: S608  our own names
    "bare_together": f"""
        INSERT INTO matching_match {_ROW}
        SELECT need_id, offer_id, quantity, {_NAMES}, 'held', '', ''
        FROM jsonb_populate_recordset(NULL::matching_hold_request, %(requests)s::jsonb)
        RETURNING id""",  # noqa: S608  our own names
    "lock_need": """
        SELECT quantity - quantity_held - quantity_matched FROM demands_demand
        WHERE id = %(need_id)s AND state = 'open' FOR UPDATE""",
    "lock_offer": """
        SELECT quantity - quantity_reserved FROM supply_offer
        WHERE id = %(offer_id)s AND state = 'published' FOR UPDATE""",
    "count_need": "UPDATE demands_demand SET quantity_held = quantity_held + %(quantity)s WHERE id = %(need_id)s",
    "count_offer": """
        UPDATE supply_offer SET quantity_reserved = quantity_reserved + %(quantity)s WHERE id = %(offer_id)s""",
    "admit_need": """
        UPDATE demands_demand SET quantity_held = quantity_held + %(quantity)s
        WHERE id = %(need_id)s AND state = 'open' AND quantity - quantity_held - quantity_matched >= %(quantity)s""",
    "admit_offer": """
        UPDATE supply_offer SET quantity_reserved = quantity_reserved + %(quantity)s
        WHERE id = %(offer_id)s AND state = 'published' AND quantity - quantity_reserved >= %(quantity)s""",
}


class Crowd:
    """The clients, started once and told what to do turn by turn."""

    def __init__(self, processes: Sequence["subprocess.Popen[str]"]) -> None:
        self.processes = processes

    def work(self, clients: int, **order: Any) -> list[dict[str, float]]:
        """What each of the first so many did. `pairs` are dealt out among them by need, as sweeps claim needs: no two
        workers are after goods for the same one.
        """
        hands: list[list[tuple[int, int]]] = [[] for _ in range(clients)]
        for need, offer in order.pop("pairs"):
            hands[need % clients].append((need, offer))
        for process, hand in zip(self.processes, hands, strict=False):
            self.tell(process, {**order, "pairs": hand})
        return [self.hear(process) for process in self.processes[:clients]]

    @staticmethod
    def tell(process: "subprocess.Popen[str]", order: dict[str, Any]) -> None:
        stream = cast("IO[str]", process.stdin)
        stream.write(json.dumps(order) + "\n")
        stream.flush()

    @staticmethod
    def hear(process: "subprocess.Popen[str]") -> dict[str, float]:
        return cast("dict[str, float]", json.loads(cast("IO[str]", process.stdout).readline()))


@contextmanager
def crowd(size: int, facts: dict[str, Any]) -> Iterator[Crowd]:
    settings = connection.settings_dict
    dsn = f"host={settings['HOST']} dbname={settings['NAME']} user={settings['USER']}"
    command = [sys.executable, "-m", "tests.benchmarks.client", dsn]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )  # closing its input ends it
            for _ in range(size)
        ]
        for process in processes:
            Crowd.tell(process, {"statements": STATEMENTS, "facts": facts})
        for process in processes:
            Crowd.hear(process)
        yield Crowd(processes)


@dataclass
class Stage:
    """Needs without end, a few hot offers, and the facts that every match of this benchmark has."""

    needs: list[int]
    offers: list[int]
    facts: dict[str, Any]

    def pairs(self, draw: random.Random, number: int) -> list[tuple[int, int]]:
        """So many different pairs, in any order."""
        total = len(self.needs) * len(self.offers)
        return [
            (self.needs[place // len(self.offers)], self.offers[place % len(self.offers)])
            for place in draw.sample(range(total), min(number, total))
        ]

    def clear(self, free: int = PLENTY) -> None:
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE matching_match CASCADE")
            cursor.execute("UPDATE demands_demand SET quantity_held = 0 WHERE quantity_held > 0")
            cursor.execute(
                "UPDATE supply_offer SET quantity = %s, quantity_reserved = 0, confirmed_at = %s WHERE id = ANY(%s)",
                [free, self.facts["confirmed_at"], self.offers],
            )
            for table in ("demands_demand", "supply_offer"):
                cursor.execute(f"VACUUM {table}")
            cursor.execute("CHECKPOINT")

    def check(self, done: int, *, counts: bool) -> None:
        """What was counted is what was written, and nothing is oversold."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*), coalesce(sum(quantity), 0) FROM matching_match WHERE state = 'held'")
            matches, quantity = cursor.fetchone()
            cursor.execute(
                """
                SELECT (SELECT sum(quantity_held) FROM demands_demand),
                       (SELECT sum(quantity_reserved) FROM supply_offer),
                       (SELECT count(*) FROM supply_offer WHERE quantity_reserved > quantity),
                       (SELECT count(*) FROM supply_offer o WHERE quantity_reserved <>
                          (SELECT coalesce(sum(m.quantity), 0) FROM matching_match m WHERE m.offer_id = o.id))"""
            )
            held, reserved, oversold, apart = cursor.fetchone()
        assert matches == done, f"{matches} matches for {done} allocations"
        if counts:
            assert (held, reserved, oversold, apart) == (quantity, quantity, 0, 0), "the sums do not agree"


def stage(market: Market, hospitals: Hospitals, hot: int) -> Stage:
    now = timezone.now()
    offers = list(Offer.objects.published().order_by("pk").values_list("pk", flat=True)[:hot])
    Offer.objects.exclude(pk__in=offers).filter(quantity_reserved__gt=0).update(quantity_reserved=0)
    Demand.objects.filter(quantity_held__gt=0).update(quantity_held=0)
    numbers = count((Demand.objects.order_by("-pk").values_list("pk", flat=True).first() or 0) + 1)
    first = next(numbers)

    def need(number: int) -> Demand:
        hospital, buyer = hospitals[number % len(hospitals)]
        return Demand(
            id=number,
            reference=f"B-{number:08d}",
            organisation=hospital,
            posted_by=buyer,
            item=market.items[0],
            quantity=PLENTY,
            region_id=hospital.region_id,
            state="open",
            opened_at=now,
            confirmed_at=now,
            escalating_since=now,
            escalates_at=now,
            ask_at=now,
            stale_at=now,
        )

    copy(Demand, (need(first + number) for number in range(NEEDS)))
    facts = {
        "requested_at": None,
        "confirmed_at": now.isoformat(),
        "quantity": 1,
        "rank": 1,
        "score": 0.712345,
        "terms": packed(TERMS),
        "policy_version": 1,
        "is_substitute": False,
        "tier": 1,
        "respond_by": now.isoformat(),
    }
    return Stage(list(range(first, first + NEEDS)), offers, facts)


def run(market: Market, hospitals: Hospitals, *, hot: int = 20, seconds: float = 1.0, rounds: int = 3) -> None:
    """Empties the matches and orders of this database. Takes about
    `rounds × ways × clients × (seconds + 0.5)` seconds.
    """
    place = stage(market, hospitals, hot)
    draw = random.Random(7)
    rates: dict[tuple[int, Way], list[float]] = defaultdict(list)
    deadlocks: dict[Way, int] = defaultdict(int)
    print(f"\nAllocations committed, {hot:,} hot offers, {NEEDS:,} needs, {rounds} turns of {seconds:g} s each")
    with crowd(max(CLIENTS), place.facts) as clients:
        for turn in range(rounds):
            for number in CLIENTS:
                for way in WAYS if turn % 2 == 0 else WAYS[::-1]:
                    place.clear()
                    pairs = place.pairs(draw, int(40_000 * max(1, seconds)))
                    done = clients.work(number, way=way.verb, batch=way.batch, seconds=seconds, pairs=pairs)
                    place.check(int(sum(one["done"] for one in done)), counts=way.counts)
                    rates[number, way].append(sum(one["done"] / one["seconds"] for one in done))
                    deadlocks[way] += int(sum(one["deadlocks"] for one in done))
        left = _sold_out(place, clients, draw, seconds)
    through_django = _through_django(place, draw, seconds)
    place.clear()
    _show({key: quantile(found, 0.5) for key, found in rates.items()}, through_django)
    against("offers that were given out to less or more than the last piece", left, 0, most=True)
    against("deadlocks of ours", sum(deadlocks[way] for way in (OURS, BATCHED)), 0, most=True)
    assert not any(deadlocks.values()), "those beside ours lock needs before offers too"


def _show(rates: dict[tuple[int, Way], float], through_django: dict[int, float]) -> None:
    print(f"  {'allocations a second; load ' + format(os.getloadavg()[0], '.1f'):<42}", *_columns(CLIENTS), sep="")
    for way in WAYS:
        figures = [f"{rates[number, way]:,.0f} ({rates[number, way] / rates[number, BARE]:.2f})" for number in CLIENTS]
        print(f"  {way.name:<42}", *_columns(figures), sep="")
    row("a commit that has nothing but itself to flush", milliseconds(_flush()))
    for batch, rate in through_django.items():
        row(f"the same verb called through Django by one client, {batch} at a time", f"{rate:,.0f}")
    for number in CLIENTS:
        bare, ours = rates[number, BARE], rates[number, OURS]
        who = f"{number} client{'s' if number > 1 else ''}"
        against(f"{who}, singly: of the bare inserts", ours / bare, 0.5, most=False)
        against(f"{who}, singly: of SELECT … FOR UPDATE", ours / rates[number, LOCKED], 1.5, most=False)
        against(f"{who}, {BATCH} at a time: of the bare inserts", rates[number, BATCHED] / bare, 4, most=False)
        row(
            "  the same rows without locks or counters",
            f"{rates[number, BARE_BATCHED] / bare:.2f}",
            f"bare inserts, {BATCH} in a statement, by as many",
        )


def _flush() -> float:
    """Seconds that the disk takes for a commit: that of a message, less one that is not waited for."""

    def commit(durable: str) -> float:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('synchronous_commit', %s, false)", [durable])
            return median_time(lambda: cursor.execute("SELECT pg_logical_emit_message(true, 'bench', '')"), 200)

    alone = commit("off")
    return commit("on") - alone


def _columns(values: Sequence[object]) -> Iterator[str]:
    return (f"{value!s:>18}" for value in values)


def _sold_out(place: Stage, clients: Crowd, draw: random.Random, seconds: float) -> int:
    """Everybody at once, in batches and singly, until nothing is left: how many offers did not end at exactly that."""
    free = 10_000 // len(place.offers)
    place.clear(free=free)
    for batch in (7, 1):
        pairs = place.pairs(draw, 40_000)
        clients.work(max(CLIENTS), way="ours", batch=batch, seconds=10 * seconds, pairs=pairs)
    place.check(Match.objects.count(), counts=True)
    return Offer.objects.filter(pk__in=place.offers).exclude(quantity_reserved=free).count()


def _through_django(place: Stage, draw: random.Random, seconds: float) -> dict[int, float]:
    """Allocations a second of `commit_holds` in this process, each call a transaction of its own."""
    found = {}
    times = {name: dt.datetime.fromisoformat(place.facts[name]) for name in ("confirmed_at", "respond_by")}
    facts = {**place.facts, **times, "terms": TERMS}
    for batch in (1, BATCH):
        place.clear()
        pairs = iter(place.pairs(draw, 40_000))
        done, began = 0, time.perf_counter()
        while time.perf_counter() < began + seconds:
            with transaction.atomic():
                chosen = islice(pairs, batch)
                done += len(
                    commit_holds([HoldRequest(need_id=need, offer_id=offer, **facts) for need, offer in chosen])
                )
        found[batch] = done / (time.perf_counter() - began)
        place.check(done, counts=True)
    return found
