# ruff: noqa: S608  our own names and numbers
"""The best twenty offers of a million: by bounds, beside a bare fetch, and beside ranking every offer of the item.

Every way is asked through the same connection, its arguments bound by the server and each statement planned anew, as
Django's connections do: nothing is prepared. `arguments` in __main__ name the sizes; a world is made by one seed. Times
are of the wall clock: compare those of one run.
"""

import datetime as dt
import math
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection
from django.utils import timezone

from apps.catalogue.models import Region
from apps.matching.loading import load_rules, load_sources
from apps.matching.scoring.facts import Location, Need, Rules
from apps.matching.scoring.ranking import rank
from apps.matching.search import offer_index
from apps.matching.search.best import BEST, SPARE, arguments, as_json, load_shortlists
from apps.policy.models import Policy
from apps.supply.models import Offer
from tests.benchmarks import databases
from tests.benchmarks.allocation import against
from tests.benchmarks.figures import quantile

ITEMS = 200
SUPPLIERS = 50_000
SMALL = 10_000
CHECKED = 20  # needs whose list is compared with that of ranking.rank over all offers
UNIFORM, SKEWED = "uniform", "skewed"

# What lies in the way of writing a million rows; made again afterwards.
_SLOW = ("offer_by_destination", "offer_by_change", "offer_fresh_clock", "offer_match_queue")

_WORLD = """
TRUNCATE matching_indexedoffer, matching_indexcell, matching_supplierrecord, matching_referenceprice, supply_offer,
    supply_offerchange, accounts_organisation CASCADE;
DROP TABLE IF EXISTS bench_item, bench_county, bench_province, bench_home, bench_standard;
INSERT INTO catalogue_item (key, name_zh, name_en, category_id, unit_id, trial_lot, is_consumable, position, codes,
    device_categories)
SELECT 'bench.' || n, '物 ' || n, 'Thing ' || n, (SELECT min(key) FROM catalogue_category), 'piece', 100, true, 0, '[]',
    '{{}}'
FROM generate_series(1, {items} - (SELECT count(*) FROM catalogue_item)) n ON CONFLICT DO NOTHING;
CREATE TABLE bench_item AS
SELECT row_number() OVER (ORDER BY md5(key)) AS n, id FROM catalogue_item ORDER BY 1 LIMIT {items};
CREATE TABLE bench_county AS SELECT row_number() OVER (ORDER BY code) AS n, code FROM catalogue_region
WHERE path LIKE 'CN/%' AND level = 'county' AND latitude IS NOT NULL;
CREATE TABLE bench_province AS SELECT row_number() OVER (ORDER BY code) AS n, code FROM catalogue_region
WHERE path LIKE 'CN/%' AND level = 'province';
-- Three standards for each item, of which the first exceeds the second where the catalogue has such a pair.
CREATE TABLE bench_standard AS
SELECT bench_item.n AS item_n, standard.k, standard.id FROM bench_item CROSS JOIN LATERAL (
    SELECT (ARRAY[pair.offered_id, pair.demanded_id, other.id])[k] AS id, k
    FROM (SELECT offered_id, demanded_id FROM catalogue_satisfaction WHERE offered_id <> demanded_id
          ORDER BY md5(id::text || bench_item.n) LIMIT 1) pair,
         (SELECT id FROM catalogue_standard ORDER BY md5(code || bench_item.n) LIMIT 1) other,
         generate_series(1, 3) k
) standard;
CREATE TABLE bench_home AS
SELECT n, (1 + floor(random() * (SELECT count(*) FROM bench_county)))::int AS county
FROM generate_series(1, {suppliers}) n;
INSERT INTO accounts_organisation (id, name, kind, identifier_kind, identifier, address, contact_name, contact_phone,
    contact_email, state, state_reason, verified_at, source, source_key, region_id, announced_state, call_back)
SELECT home.n, '机构 ' || home.n, 'supplier', 'other', 'R' || home.n, '', '', '', '', 'verified', '', now(), '', '',
    county.code, 'verified', ''
FROM bench_home home JOIN bench_county county ON county.n = home.county;
INSERT INTO matching_supplierrecord
SELECT n, floor(-ln(1 - random()) * 6)::int, floor(-ln(1 - random()) * 1.5)::int, now()
FROM generate_series(1, {suppliers}) n WHERE random() < 0.6;
"""

_OFFERS = """
WITH cut AS (
    SELECT array_agg(share ORDER BY n) AS at FROM (
        SELECT n, (sum(weight) OVER (ORDER BY n) / sum(weight) OVER ())::float8 AS share
        FROM (SELECT n, CASE WHEN {skewed} THEN 1.0 / n ELSE 1 END AS weight
              FROM generate_series(1, {items}) n) weighted
    ) shares
),
drawn AS (
    SELECT n, (1 + floor(random() * {suppliers}))::int AS supplier,
        least({items}, 1 + width_bucket(random(), (SELECT at FROM cut))) AS item_n,
        random() AS promised, random() AS promised_share, random() AS minimum, random() AS lead, random() AS gift,
        random() AS reach, random() AS certified, random() AS age, random() AS standard,
        greatest(1, round(exp(9 + 1.2 * sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()))))::bigint
            AS quantity,
        exp(2 + 0.4 * sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random())) AS price
    FROM generate_series(1, {offers}) n
)
INSERT INTO supply_offer (id, organisation_id, item_id, standard_id, quantity, quantity_reserved, minimum_order,
    lead_time_days, unit_price, currency, is_donation, origin_region_id, ships_to, certificate_number,
    certificate_valid_until, note, state, state_code, state_note, published_at, confirmed_at, source, source_key)
SELECT drawn.n, supplier, item.id, standard.id, quantity,
    CASE WHEN promised < 0.2 THEN floor(quantity * promised_share)::bigint ELSE 0 END,
    (ARRAY[1, 1, 100, 500])[1 + floor(minimum * 4)::int], floor(lead * lead * 21)::int,
    CASE WHEN gift < 0.05 THEN NULL ELSE round(price::numeric, 2) END, 'CNY', gift < 0.05, county.code,
    CASE WHEN reach < 0.4 THEN '{{}}' ELSE (
        SELECT array_agg(code) FROM bench_province
        WHERE n IN (1 + (drawn.n * 7) % 34, 1 + (drawn.n * 13 + 5) % 34, 1 + (drawn.n * 29 + 11) % 34)
            OR code = left(county.code, 2) || '0000'
    ) END,
    '', CASE WHEN certified < 0.3 THEN current_date + floor(certified * 1200 - 10)::int END, '', 'published', '', '',
    now() - age * interval '9 days', now() - age * interval '9 days', '', ''
FROM drawn
JOIN bench_item item ON item.n = drawn.item_n
JOIN bench_home home ON home.n = drawn.supplier
JOIN bench_county county ON county.n = home.county
LEFT JOIN bench_standard standard
    ON standard.item_n = drawn.item_n AND standard.k = 1 + floor(drawn.standard * 3.75)::int
"""

# As the triggers and the hourly count would have left it.
_NOTED = """
INSERT INTO matching_referenceprice (item_id, price, taken_at, currency)
SELECT item_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY unit_price), now(), 'CNY' FROM supply_offer
GROUP BY item_id;
INSERT INTO supply_offerchange (offer_id, item_id, changed_at) SELECT id, item_id, now() FROM supply_offer;
ANALYZE supply_offerchange;
"""

_FLOOR = """
DROP TABLE IF EXISTS bench_floor;
CREATE TABLE bench_floor AS SELECT item_id, id AS offer_id FROM supply_offer;
CREATE INDEX ON bench_floor (item_id, offer_id);
"""


@dataclass
class Way:
    """One way to ask, and how long it took for each need (seconds): from the client's side, and of the processor by the
    server, which busy neighbours disturb less.
    """

    name: str
    sql: str
    given: Callable[[dict[str, Any]], dict[str, Any]] = lambda facts: facts  # what is written for one need
    took: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)

    def at(self, share: float) -> float:
        return quantile(self.took, share)


def _execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def build(offers: int, *, skewed: bool, seed: int) -> None:
    """Suppliers, offers and what ranking takes of them; then indexed, as after a quiet minute."""
    _execute(f"SELECT setseed({seed % 1000 / 1000})")
    sizes: dict[str, Any] = {"items": ITEMS, "suppliers": SUPPLIERS, "offers": offers, "skewed": skewed}
    _execute(_WORLD.format(**sizes))
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = ANY (%s)", [list(_SLOW)])
        definitions = [definition for (definition,) in cursor.fetchall()]
        for name in _SLOW:
            cursor.execute(f"DROP INDEX IF EXISTS {name}")
        # What the triggers and foreign keys would do row by row is done at once below, and the draw is within them.
        cursor.execute("ALTER TABLE supply_offer DISABLE TRIGGER ALL")
        cursor.execute("SET max_parallel_workers_per_gather = 0")
        cursor.execute(_OFFERS.format(**sizes))
        cursor.execute("ALTER TABLE supply_offer ENABLE TRIGGER ALL")
        for definition in definitions:
            cursor.execute(definition)
        cursor.execute("ANALYZE supply_offer")
    _execute(_NOTED)
    began = time.monotonic()
    offer_index.index_offers(batch=50_000)
    print(f"  indexed: {(time.monotonic() - began) / offers * 1e6:.0f} µs an offer")
    _execute(_FLOOR)
    _execute("CREATE TABLE bench_whole ()")


def needs(number: int, *, skewed: bool, seed: int, now: dt.datetime) -> list[Need]:
    draw = random.Random(seed)
    places = list(
        Region.objects.filter(path__startswith="CN/", level="county", latitude__isnull=False)
        .order_by("pk")
        .values_list("path", "latitude", "longitude")
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM bench_item ORDER BY n")
        items = [item for (item,) in cursor.fetchall()]
        cursor.execute(
            "SELECT item.id, standard.id FROM bench_standard standard JOIN bench_item item ON item.n = item_n"
        )
        standards: dict[int, list[int]] = {}
        for item, standard in cursor.fetchall():
            standards.setdefault(item, []).append(standard)
    weights = [1 / n if skewed else 1 for n in range(1, len(items) + 1)]
    made = []
    for number_ in range(number):
        [item] = draw.choices(items, weights)
        wanting = max(1, round(draw.lognormvariate(math.log(1000), 0.9)))
        made.append(
            Need(
                id=number_,
                organisation_id=0,
                item_id=item,
                target=wanting,
                remaining=wanting,
                tier=1,
                urgency_rank=1,
                days_of_supply=None,
                waiting_since=now,
                needed_by=None
                if draw.random() < 0.4
                else now + dt.timedelta(days=draw.choice((1, 2, 3, 5, 7, 14, 30))),
                location=Location(*draw.choice(places)),
                standard_id=draw.choice(standards[item]) if draw.random() < 0.3 else None,
            )
        )
    return made


def run(*, offers: int, asked: int, twins: int, seed: int) -> None:
    """Both distributions, each at 10,000 and at `offers`."""
    for skewed in (False, True):
        with _world(SMALL, skewed=skewed, seed=seed):
            small = measure(asked, twins, skewed=skewed, seed=seed)
        with _world(offers, skewed=skewed, seed=seed):
            large = measure(asked, twins, skewed=skewed, seed=seed)
            _compare(offers, small, large)
        with _world(offers, skewed=skewed, seed=seed, to_change=True):
            _changes(seed)


@contextmanager
def _world(offers: int, *, skewed: bool, seed: int, to_change: bool = False) -> Iterator[None]:
    """A database of its own, which is used again as it is where the folder is kept: what migrations and `build` would
    make otherwise since, it does not have. A copy of it `to_change`.
    """
    distribution = SKEWED if skewed else UNIFORM
    name = f"bench_{distribution}_{offers}_{seed}"
    whole_world = databases.use("bench_changed", template=name, anew=True) if to_change else databases.use(name)
    with whole_world:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('bench_whole') IS NOT NULL")
            [(whole,)] = cursor.fetchall()
        began = time.monotonic()
        if not whole:
            build(offers, skewed=skewed, seed=seed)
        for table in ("supply_offer", "supply_offerchange", "matching_indexedoffer", "matching_indexcell",
                      "bench_floor", "accounts_organisation", "matching_supplierrecord", "matching_referenceprice",
                      "catalogue_region"):  # fmt: skip
            _execute(f"VACUUM ANALYZE {table}")
        made = "as kept" if whole else f"made in {time.monotonic() - began:.0f} s"
        print(f"\n{offers:,} offers, {distribution}; {made}; load {os.getloadavg()[0]:.1f}")
        yield


def measure(asked: int, twins: int, *, skewed: bool, seed: int) -> dict[str, Way]:

    now = timezone.now()
    rules, policy = load_rules(), Policy.objects.current()
    wanted = needs(asked, skewed=skewed, seed=seed, now=now)
    ways = _ways()
    _ask(ways, [arguments(need, need.item_id, rules, policy, now, wanted=BEST + SPARE) for need in wanted])
    for way in ways.values():
        _show(way)
    _show(Way("bounds, loaded and ordered by ranking.rank", "", took=_whole(wanted, rules, policy, now)))
    _show(
        Way("every offer, loaded and ordered by ranking.rank", "", took=_everything(wanted[:twins], rules, policy, now))
    )

    sample = wanted[:CHECKED]
    same = sum(_is_the_same(need, rules, policy, now) for need in sample)
    against(f"lists equal to ranking.rank of all offers, of {len(sample)}", same / len(sample), 1, most=False)
    return ways


def _ways() -> dict[str, Way]:
    floor = "SELECT offer_id FROM bench_floor WHERE item_id = %(item)s::bigint ORDER BY item_id, offer_id LIMIT 20"
    return {
        "floor": Way("an index-only fetch of 20 rows", floor),
        "best": Way(
            "bounds: matching_best",
            "SELECT offer_id, at_most FROM matching_best(search => %(search)s::jsonb)",
            lambda facts: {"search": as_json(facts)},
        ),
    }


def _show(way: Way) -> None:
    print(
        f"  {way.name:<46} p50 {way.at(0.5) * 1000:>8.3f}  p95 {way.at(0.95) * 1000:>8.3f}"
        f"  p99 {way.at(0.99) * 1000:>8.3f} ms  {len(way.took):>5} needs"
        + (f"; the server worked {quantile(way.worked, 0.5) * 1000:.3f} ms at p50" if any(way.worked) else ""),
        flush=True,
    )


def _whole(wanted: Sequence[Need], rules: Rules, policy: Policy, now: dt.datetime) -> list[float]:
    """What a sweep does for one need: find, load, order."""
    took = []
    for need in wanted[: len(wanted) // 2]:
        began = time.perf_counter()
        load_shortlists([need], rules, policy, now)
        took.append(time.perf_counter() - began)
    return took


def _everything(wanted: Sequence[Need], rules: Rules, policy: Policy, now: dt.datetime) -> list[float]:
    """The same without bounds."""
    took = []
    for need in wanted:
        began = time.perf_counter()
        rank(need, load_sources([need.item_id], now, policy.values), rules, policy=policy.values, now=now)
        took.append(time.perf_counter() - began)
    return took


def _is_the_same(need: Need, rules: Rules, policy: Policy, now: dt.datetime) -> bool:
    by_all = rank(
        need, load_sources([need.item_id], now, policy.values), rules, policy=policy.values, now=now
    ).candidates
    [shortlist] = load_shortlists([need], rules, policy, now).values()
    return [one.source.id for one in shortlist.candidates[:BEST]] == [one.source.id for one in by_all[:BEST]]


def _compare(offers: int, small: dict[str, Way], large: dict[str, Way]) -> None:
    best, floor = large["best"], large["floor"]
    print(
        f"  the server's work, times the floor's: {quantile(best.worked, 0.5) / quantile(floor.worked, 0.5):.1f} at p50"
    )
    against("p50, times the floor's", best.at(0.5) / floor.at(0.5), 8, most=True)
    against("p95, times the floor's", best.at(0.95) / floor.at(0.95), 12, most=True)
    against(f"p50 at {offers:,} offers, times that at {SMALL:,}", best.at(0.5) / small["best"].at(0.5), 3, most=True)


def _changes(seed: int) -> None:
    """What the bounds cost who publishes or changes an offer: the same statements with the triggers and without, by
    turns, each a transaction of its own.
    """
    draw = random.Random(seed)
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM supply_offer")
        [(last,)] = cursor.fetchall()
    verbs: dict[str, Callable[[int], None]] = {
        "publishing": _publish,
        "changing the quantity": lambda pk: _execute(
            f"UPDATE supply_offer SET quantity = quantity + 1 WHERE id = {pk}"
        ),
        "confirming": lambda pk: _execute(f"UPDATE supply_offer SET confirmed_at = now() WHERE id = {pk}"),
        "promising": lambda pk: _execute(
            f"UPDATE supply_offer SET quantity_reserved = quantity_reserved WHERE id = {pk}"
        ),
    }
    print("\nWhat the bounds cost who changes an offer")
    for name, verb in verbs.items():
        took: dict[str, list[float]] = {"DISABLE": [], "ENABLE": []}
        for _round in range(20):
            for state, times in took.items():
                for trigger in Offer._meta.triggers:  # type: ignore[attr-defined]  # of pgtrigger
                    if trigger.name.startswith("note_"):
                        _execute(f"ALTER TABLE supply_offer {state} TRIGGER {trigger.get_pgid(Offer)}")
                for pk in draw.sample(range(1, last), 25):
                    _execute(
                        f"UPDATE supply_offer SET state = 'paused' WHERE id = {pk}"
                    ) if name == "publishing" else None
                    began = time.perf_counter()
                    verb(pk)
                    times.append(time.perf_counter() - began)
        without, with_bounds = (quantile(times, 0.5) for times in took.values())
        against(f"{name}, times without ({without * 1000:.2f} ms)", with_bounds / without, 2, most=True)
    began = time.perf_counter()
    indexed = offer_index.index_offers()
    print(f"  indexing {indexed:,} of them: {(time.perf_counter() - began) / max(1, indexed) * 1000:.2f} ms an offer")


def _publish(pk: int) -> None:
    _execute(f"UPDATE supply_offer SET state = 'published', published_at = now(), confirmed_at = now() WHERE id = {pk}")


def _ask(ways: dict[str, Way], facts: list[dict[str, Any]]) -> None:
    """Round and round, so that a neighbour who is busy for a while is busy for all."""
    connection.ensure_connection()
    server = connection.connection.info.backend_pid
    with psycopg.Cursor(connection.connection) as cursor:
        for turn in (facts[:20], facts):  # the first is to warm up
            for one in turn:
                for way in ways.values():
                    worked, began = _worked(server), time.perf_counter()
                    cursor.execute(way.sql, way.given(one)).fetchall()
                    if turn is facts:
                        way.took.append(time.perf_counter() - began)
                        way.worked.append(_worked(server) - worked)


def _worked(process: int) -> float:
    """Seconds that a process had of the processor, where the system (Linux) tells."""
    schedule = Path(f"/proc/{process}/schedstat")
    return int(schedule.read_text().split()[0]) / 1e9 if schedule.exists() else 0.0
