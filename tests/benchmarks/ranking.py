# ruff: noqa: S608  our own names and numbers
"""The best twenty offers of a million: bounds beside scoring every offer of the item, and beside a bare fetch.

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
from apps.matching.search.best import BEST, arguments, as_row, load_shortlists
from apps.policy.models import Policy
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
TRUNCATE matching_listing, matching_cell, matching_supplierrecord, matching_referenceprice, supply_offer,
    accounts_organisation CASCADE;
DROP TABLE IF EXISTS bench_item, bench_county, bench_province, bench_home, bench_standard;
INSERT INTO catalogue_item (key, name_zh, name_en, category_id, unit_id, trial_lot, is_consumable, position, codes)
SELECT 'bench.' || n, '物 ' || n, 'Thing ' || n, (SELECT min(key) FROM catalogue_category), 'piece', 100, true, 0, '[]'
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
    contact_email, state, state_reason, verified_at, source, source_key, region_id, announced_state)
SELECT home.n, '机构 ' || home.n, 'supplier', 'other', 'R' || home.n, '', '', '', '', 'verified', '', now(), '', '',
    county.code, 'verified'
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

# As the triggers and the hourly stock-taking would have left it.
_LISTINGS = """
INSERT INTO matching_referenceprice (item_id, price, taken_at, currency)
SELECT item_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY unit_price), now(), 'CNY' FROM supply_offer
GROUP BY item_id;
INSERT INTO matching_listing (offer_id, item_id, organisation_id, standard_id, quantity, minimum_order, lead_time_days,
    certificate_valid_until, confirmed_at, unit_price, is_donation, areas, city, x, y, z, kept, broken, reference_price)
SELECT * FROM matching_listable ORDER BY offer_id;
ANALYZE matching_listing;
"""

# Everything that scoring needs in one table, as if nothing ever changed.
_FLAT = """
DROP TABLE IF EXISTS bench_flat;
CREATE TABLE bench_flat AS
SELECT listing.*, offer.ships_to, offer.quantity - offer.quantity_reserved AS free,
    organisation.state AS organisation_state
FROM matching_listing listing JOIN supply_offer offer ON offer.id = listing.offer_id
JOIN accounts_organisation organisation ON organisation.id = offer.organisation_id;
CREATE INDEX ON bench_flat (item_id);
CREATE INDEX bench_floor ON bench_flat (item_id, offer_id);
"""

_FIT = """CASE WHEN @standard_id IS NULL THEN fit_unstated WHEN @standard_id = standard THEN fit_asked
        WHEN @standard_id = ANY (exceeding) THEN fit_exceeding ELSE fit_other END"""
_TERMS = f"""
    w_distance / (1 + 12742.0176 * asin(least(1, sqrt(
        (@x - place_x) ^ 2 + (@y - place_y) ^ 2 + (@z - place_z) ^ 2) / 2)) / half_distance_km)
    + lead[1 + least(@lead_time_days, array_length(lead, 1) - 1)]
    + {_FIT}
    + w_coverage * least(1, @free::float8 / wanting)
    + w_freshness * greatest(0, least(1,
        (date_part('epoch', @confirmed_at) - date_part('epoch', at)) / fresh_seconds + 1))
    + w_record * (@kept + prior_share * prior_matches) / (@kept + @broken + prior_matches)
    + w_price * CASE WHEN @is_donation THEN 1 WHEN @unit_price IS NULL OR coalesce(@usual, 0) = 0 THEN 0.5
        ELSE least(1, greatest(0, 1.5 - @unit_price / @usual)) END
"""
_FILTERS = f"""
    @item_id = asked.item AND @organisation_id <> asked.organisation AND @minimum_order <= wanting
    AND @free >= greatest(matters, @minimum_order) AND (@ships_to = '{{}}' OR @ships_to && codes)
    AND NOT @offer_id = ANY (excluded)
    AND (@certificate_valid_until IS NULL OR @certificate_valid_until >= (at AT TIME ZONE 'UTC')::date)
    AND @organisation_state = 'verified'
    AND {_FIT} IS NOT NULL
"""
_ONE_TABLE = {name: f"flat.{name}" for name in (
    "x", "y", "z", "lead_time_days", "standard_id", "free", "confirmed_at", "kept", "broken", "is_donation",
    "unit_price", "item_id", "organisation_id", "minimum_order", "ships_to", "offer_id", "certificate_valid_until",
    "organisation_state",
)} | {"usual": "flat.reference_price"}  # fmt: skip
_JOINED = {
    "x": "(cosd(region.latitude) * cosd(region.longitude))",
    "y": "(cosd(region.latitude) * sind(region.longitude))",
    "z": "sind(region.latitude)",
    "free": "(offer.quantity - offer.quantity_reserved)",
    "kept": "coalesce(record.kept, 0)",
    "broken": "coalesce(record.broken, 0)",
    "unit_price": "offer.unit_price::float8",
    "usual": "price.price",
    "offer_id": "offer.id",
    "organisation_state": "organisation.state",
} | {name: f"offer.{name}" for name in (
    "lead_time_days", "standard_id", "confirmed_at", "is_donation", "item_id", "organisation_id", "minimum_order",
    "ships_to", "certificate_valid_until",
)}  # fmt: skip
_NORMAL_FORM = """supply_offer offer
    JOIN accounts_organisation organisation ON organisation.id = offer.organisation_id
    JOIN catalogue_region region ON region.code = offer.origin_region_id
    LEFT JOIN matching_supplierrecord record ON record.organisation_id = offer.organisation_id
    LEFT JOIN matching_referenceprice price ON price.item_id = offer.item_id"""


def _twin(name: str, told: str, source: str, columns: dict[str, str], condition: str = "true") -> str:
    """A function that scores every offer of the item, `told` what `matching_best` is; its plan lasts as long."""
    terms, filters = _TERMS, _FILTERS
    for column in sorted(columns, key=len, reverse=True):
        terms, filters = (text.replace(f"@{column}", columns[column]) for text in (terms, filters))
    return f"""
        CREATE OR REPLACE FUNCTION {name}(asked matching_asked) RETURNS TABLE (offer_id bigint, score double precision)
        LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET jit = off AS $$
        #variable_conflict use_column
        DECLARE
            {told}
            codes CONSTANT varchar[] := string_to_array(path, '/');
        BEGIN
            RETURN QUERY SELECT {columns["offer_id"]} AS offer_id, {terms} AS score FROM {source}
            WHERE {condition} AND {filters} ORDER BY score DESC, offer_id LIMIT k;
        END $$
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
    """Suppliers, offers and what ranking takes of them; then shelved, as after a quiet minute."""
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
    _execute(_LISTINGS)
    offer_index.index_offers(batch=250_000)
    _execute(_FLAT)
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
    settings = connection.settings_dict
    market, name = settings["NAME"], f"bench_{distribution}_{offers}_{seed}"
    where = psycopg.conninfo.make_conninfo(host=settings["HOST"], user=settings["USER"], dbname="postgres")
    _leave()
    with psycopg.connect(where, autocommit=True) as server:
        template = market
        if to_change:
            template, name = name, "bench_changed"
            server.execute("DROP DATABASE IF EXISTS bench_changed")
        if not server.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchall():
            server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    settings["NAME"] = name
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('bench_whole') IS NOT NULL")
            [(whole,)] = cursor.fetchall()
        began = time.monotonic()
        if not whole:
            build(offers, skewed=skewed, seed=seed)
        for table in ("supply_offer", "matching_listing", "matching_cell", "bench_flat", "accounts_organisation",
                      "matching_supplierrecord", "matching_referenceprice", "catalogue_region"):  # fmt: skip
            _execute(f"VACUUM ANALYZE {table}")
        made = "as kept" if whole else f"made in {time.monotonic() - began:.0f} s"
        print(f"\n{offers:,} offers, {distribution}; {made}; load {os.getloadavg()[0]:.1f}")
        yield
    finally:
        _leave()
        settings["NAME"] = market


def _leave() -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # of the PostgreSQL wrapper


def measure(asked: int, twins: int, *, skewed: bool, seed: int) -> dict[str, Way]:

    now = timezone.now()
    rules, policy = load_rules(), Policy.objects.current()
    wanted = needs(asked, skewed=skewed, seed=seed, now=now)
    ways = _ways()
    lists = _ask(ways, [arguments(need, need.item_id, rules, policy, now) for need in wanted], twins)
    for way in ways.values():
        _show(way)
    _show(Way("bounds, loaded and ordered by ranking.rank", "", took=_whole(wanted, rules, policy, now)))

    pairs = list(zip(lists["best"], lists["one table"], strict=False))
    against(
        f"recall against the {len(pairs)} lists of the twin",
        sum(set(twin) <= set(best) for best, twin in pairs) / len(pairs),
        1,
        most=False,
    )
    sample = wanted[:CHECKED]
    same = sum(_is_the_same(need, rules, policy, now) for need in sample)
    against(f"lists equal to ranking.rank of all offers, of {len(sample)}", same / len(sample), 1, most=False)
    return ways


def _ways() -> dict[str, Way]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT string_agg(format('%s CONSTANT %s := asked.%s;', attname, format_type(atttypid, NULL), attname), ' ')
            FROM pg_attribute WHERE attrelid = 'matching_asked'::regclass
            """
        )
        [(told,)] = cursor.fetchall()
        cursor.execute("DROP FUNCTION IF EXISTS bench_one_table, bench_joined")
        cursor.execute(_twin("bench_one_table", told, "bench_flat flat", _ONE_TABLE))
        cursor.execute(_twin("bench_joined", told, _NORMAL_FORM, _JOINED, "offer.state = 'published'"))

    def asked(facts: dict[str, Any]) -> dict[str, Any]:
        return {"asked": as_row(facts.values())}

    floor = "SELECT offer_id FROM bench_flat WHERE item_id = %(item)s::bigint ORDER BY item_id, offer_id LIMIT 20"
    return {
        "floor": Way("an index-only fetch of 20 rows", floor),
        "best": Way("bounds: matching_best", "SELECT offer_id FROM matching_best(%(asked)s::matching_asked)", asked),
        "one table": Way(
            "every offer of the item, one table",
            "SELECT offer_id FROM bench_one_table(%(asked)s::matching_asked)",
            asked,
        ),
        "joined": Way(
            "every offer of the item, joined", "SELECT offer_id FROM bench_joined(%(asked)s::matching_asked)", asked
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
        [shortlist] = load_shortlists([need], rules, policy, now).values()
        rank(need, shortlist, rules, policy=policy.values, now=now)
        took.append(time.perf_counter() - began)
    return took


def _is_the_same(need: Need, rules: Rules, policy: Policy, now: dt.datetime) -> bool:
    by_all = rank(
        need, load_sources([need.item_id], now, policy.values), rules, policy=policy.values, now=now
    ).candidates
    [shortlist] = load_shortlists([need], rules, policy, now).values()
    few = rank(need, shortlist, rules, policy=policy.values, now=now).candidates
    return [one.source.id for one in few[:BEST]] == [one.source.id for one in by_all[:BEST]]


def _compare(offers: int, small: dict[str, Way], large: dict[str, Way]) -> None:
    best, floor, joined = large["best"], large["floor"], large["joined"]
    print(
        f"  the server's work, times the floor's: {quantile(best.worked, 0.5) / quantile(floor.worked, 0.5):.1f} at p50"
    )
    against("p50, times the floor's", best.at(0.5) / floor.at(0.5), 6, most=True)
    against("p95, times the floor's", best.at(0.95) / floor.at(0.95), 8, most=True)
    against("p50, times faster than joined", joined.at(0.5) / best.at(0.5), 25, most=False)
    against("p95, times faster than joined", joined.at(0.95) / best.at(0.95), 60, most=False)
    against("p50, times faster than one table", large["one table"].at(0.5) / best.at(0.5), 1, most=False)
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
                for trigger in ("matching_listed_new", "matching_listed_changed"):
                    _execute(f"ALTER TABLE supply_offer {state} TRIGGER {trigger}")
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
    shelved = offer_index.index_offers()
    print(f"  shelving {shelved:,} of them: {(time.perf_counter() - began) / max(1, shelved) * 1000:.2f} ms an offer")


def _publish(pk: int) -> None:
    _execute(f"UPDATE supply_offer SET state = 'published', published_at = now(), confirmed_at = now() WHERE id = {pk}")


def _ask(ways: dict[str, Way], facts: list[dict[str, Any]], twins: int) -> dict[str, list[list[Any]]]:
    """Round and round, so that a neighbour who is busy for a while is busy for all."""
    found: dict[str, list[list[Any]]] = {name: [] for name in ways}
    connection.ensure_connection()
    server = connection.connection.info.backend_pid
    with psycopg.Cursor(connection.connection) as cursor:
        for turn in (facts[:20], facts):  # the first is to warm up
            for place, one in enumerate(turn):
                for name, way in ways.items():
                    if name in {"one table", "joined"} and place >= twins:
                        continue
                    worked, began = _worked(server), time.perf_counter()
                    rows = [offer for offer, *_ in cursor.execute(way.sql, way.given(one)).fetchall()]
                    if turn is facts:
                        way.took.append(time.perf_counter() - began)
                        way.worked.append(_worked(server) - worked)
                        found[name].append(rows)
    return found


def _worked(process: int) -> float:
    """Seconds that a process had of the processor, where the system (Linux) tells."""
    schedule = Path(f"/proc/{process}/schedstat")
    return int(schedule.read_text().split()[0]) / 1e9 if schedule.exists() else 0.0
