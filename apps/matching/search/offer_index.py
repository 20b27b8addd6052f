# ruff: noqa: S608  our own names
"""Puts listings into cells, and takes at set times what ranking reads of suppliers and items.

Nothing waits for this: what stands on the counter is ranked as it stands there, only slower. Cells are written here
alone, one transaction at a time; the triggers that list offers never touch them. The other half of `services.py`.
"""

import datetime as dt
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import Count, Exists, OuterRef, QuerySet
from django.utils import timezone

from apps.matching.models import BROKEN, KEPT, LEAD_CLASSES, Cell, Listing, Match
from apps.policy.models import Policy

RECORD_WINDOW: Final = dt.timedelta(days=180)
# A reference price stays for a day, and longer while the median is within this share of it: each new one moves all
# listings of the item.
PRICE_STAYS: Final = dt.timedelta(days=1)
PRICE_SHARE: Final = 0.02
# How long a key is good for at least. An offer's freshness ends at 0, which a key cannot say: that of an offer near its
# end is made as if it were a little younger, and made anew before it is too low.
_GOOD_FOR: Final = dt.timedelta(days=1)
_RENEWED_BEFORE: Final = dt.timedelta(hours=12)
_FOREVER: Final = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
_ALONE: Final = 4_207_001  # the advisory lock of who writes cells

_CLASS = "width_bucket(lead_time_days::float8, %(classes)s::float8[]) - 1"
_KEY = "keyed.steady + %(freshness)s * date_part('epoch', keyed.counts_from) / %(fresh_seconds)s"
_BESTS = ", ".join(
    f"max({_KEY}) FILTER (WHERE lead_class = {place}) AS best_{place}" for place in range(len(LEAD_CLASSES))
)
_NAMES = ", ".join(f"best_{place}" for place in range(len(LEAD_CLASSES)))
_RAISED = ", ".join(
    f"best_{place} = greatest(cell.best_{place}, excluded.best_{place})" for place in range(len(LEAD_CLASSES))
)
_LENGTH = "nullif(sqrt(avg(x) ^ 2 + avg(y) ^ 2 + avg(z) ^ 2), 0)"
# A chord is at most as long as the way over any point between; a millionth for rounding.
_CHORD = "sqrt(({0}.x - {1}.x) ^ 2 + ({0}.y - {1}.y) ^ 2 + ({0}.z - {1}.z) ^ 2) + 1e-6"

_SHELVE = f"""
-- What is locked is read as it is by then; read once more it would be what it was when the statement began.
WITH chosen AS MATERIALIZED (
    SELECT * FROM matching_listing WHERE cell_id IS NULL AND (%(item)s IS NULL OR item_id = %(item)s)
    ORDER BY offer_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
),
keyed AS MATERIALIZED (
    SELECT offer_id, item_id, city, quantity, x, y, z, {_CLASS} AS lead_class,
        matching_steady(kept, broken, is_donation, unit_price, reference_price,
            %(record)s, %(price)s, %(prior)s, %(prior_share)s) AS steady,
        greatest(confirmed_at, %(counts_from)s) AS counts_from
    FROM chosen
),
middle AS (
    SELECT item_id, city, avg(x) / {_LENGTH} AS x, avg(y) / {_LENGTH} AS y, avg(z) / {_LENGTH} AS z
    FROM keyed GROUP BY item_id, city
),
cell AS (
    INSERT INTO matching_cell AS cell (item_id, city, policy_version, good_until, most, x, y, z, radius, {_NAMES})
    SELECT item_id, city, %(version)s,
        CASE WHEN %(freshness)s = 0 THEN %(forever)s ELSE min(counts_from) + %(fresh)s END, max(quantity),
        min(middle.x), min(middle.y), min(middle.z), max({_CHORD.format("keyed", "middle")}), {_BESTS}
    FROM keyed JOIN middle USING (item_id, city)
    GROUP BY item_id, city ORDER BY item_id, city
    ON CONFLICT (item_id, city) DO UPDATE SET
        good_until = least(cell.good_until, excluded.good_until), most = greatest(cell.most, excluded.most),
        radius = greatest(cell.radius, {_CHORD.format("cell", "excluded")} + excluded.radius), {_RAISED}
    RETURNING cell.id, cell.item_id, cell.city
)
UPDATE matching_listing listing SET cell_id = cell.id, steady = keyed.steady, key = {_KEY}
FROM keyed JOIN cell USING (item_id, city) WHERE listing.offer_id = keyed.offer_id
"""

_HELD = ", ".join(
    f"max(listing.key) FILTER (WHERE {_CLASS} = {place}) AS best_{place}" for place in range(len(LEAD_CLASSES))
)
_HELD_NAMES, _CELL_NAMES = (
    ", ".join(f"{table}.best_{place}" for place in range(len(LEAD_CLASSES))) for table in ("held", "cell")
)
_TIGHTEN = f"""
WITH held AS MATERIALIZED (
    SELECT listing.cell_id AS id,
        CASE WHEN %(freshness)s = 0 THEN %(forever)s ELSE to_timestamp(
            min(listing.key - listing.steady) / nullif(%(freshness)s, 0) * %(fresh_seconds)s + %(fresh_seconds)s
        ) END AS good_until,
        max(listing.quantity) AS most, max({_CHORD.format("listing", "cell")}) AS radius, {_HELD}
    FROM matching_listing listing JOIN matching_cell cell ON cell.id = listing.cell_id GROUP BY listing.cell_id
)
UPDATE matching_cell cell SET (good_until, most, radius, {_NAMES}) = (
    SELECT held.good_until, held.most, held.radius, {_HELD_NAMES}
)
FROM held WHERE held.id = cell.id AND (cell.good_until, cell.most, cell.radius, {_CELL_NAMES})
    IS DISTINCT FROM (held.good_until, held.most, held.radius, {_HELD_NAMES})
"""


_FACTS = ", ".join(str(field.column) for field in Listing._meta.concrete_fields[1:-3])


def _columns(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in _FACTS.split(", "))


def index_offers(*, now: dt.datetime | None = None, batch: int = 5000) -> int:
    """Put what stands on the counter into cells, with keys by the policy in force, so many at a time. Returns how
    many listings.

    Safe to run side by side with everything; a second run at the same time waits for each batch of the first.
    """
    now = now or timezone.now()
    policy = Policy.objects.current()
    done = 0
    outdated = Cell.objects.exclude(policy_version=policy.version).order_by("item_id")
    for item_id in outdated.values_list("item_id", flat=True).distinct():
        while _clear(item_id, policy, batch):
            pass
        while shelved := _shelve(policy, now, batch, item_id):
            done += shelved
    while shelved := _shelve(policy, now, batch):
        done += shelved
    return done


@transaction.atomic
def _shelve(policy: Policy, now: dt.datetime, batch: int, item_id: int | None = None) -> int:
    """One batch, of this item alone if one is given. Listings that somebody is just changing stay for the next time."""
    _be_alone()
    cells = Cell.objects.all() if item_id is None else Cell.objects.filter(item=item_id)
    if cells.exclude(policy_version=policy.version).exists():
        return 0  # another policy came into force meanwhile: the next run
    with connection.cursor() as cursor:
        cursor.execute(_SHELVE, _facts(policy, now) | {"item": item_id, "limit": batch})
        return int(cursor.rowcount)


@transaction.atomic
def _clear(item_id: int, policy: Policy, batch: int) -> int:
    """One batch of an item's listings out of cells that were made for another policy, and the emptied cells away. As
    long as there are any, the item is ranked without bounds.
    """
    _be_alone()
    cells = Cell.objects.filter(item=item_id).exclude(policy_version=policy.version)
    cleared = _to_the_counter(Listing.objects.filter(cell__in=cells), batch)
    if cleared < batch:
        cells.delete()
    return cleared


def _be_alone() -> None:
    """Until the end of the transaction nobody else writes cells."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ALONE])


def _facts(policy: Policy, now: dt.datetime) -> dict[str, Any]:
    values = policy.values
    fresh = dt.timedelta(days=values.offer_fresh_days)
    return {
        "classes": list(LEAD_CLASSES),
        "version": policy.version,
        "freshness": values.weights["freshness"],
        "record": values.weights["record"],
        "price": values.weights["price"],
        "prior": float(values.record_prior_matches),
        "prior_share": float(values.record_prior_share),
        "fresh": fresh,
        "fresh_seconds": fresh.total_seconds(),
        "counts_from": now + _GOOD_FOR - fresh,
        "forever": _FOREVER,
    }


def refresh_supplier_statistics(*, now: dt.datetime | None = None) -> int:
    """Count the records of suppliers, take reference prices, have every listing say what it must. Then make keys anew
    that will not be good for long, and lower the bounds of cells to what is in them. Returns how many listings moved.

    Meant to run once an hour. It mends, too, what was written past the triggers (a restored dump, a replica).
    """
    now = now or timezone.now()
    _count_records(now)
    _take_prices(now)
    mended = _mend()
    mended += _renew(Policy.objects.current(), now)
    index_offers(now=now)
    _tighten(Policy.objects.current(), now)
    return mended


@transaction.atomic
def _count_records(now: dt.datetime) -> None:
    """Per supplier, over half a year: promises kept and broken."""
    counted, values = (
        Match.objects.filter(created_at__gte=now - RECORD_WINDOW)
        .order_by()
        .values("offer__organisation_id")
        .annotate(kept=Count("pk", filter=KEPT), broken=Count("pk", filter=BROKEN))
        .values_list("offer__organisation_id", "kept", "broken")
        .query.sql_with_params()
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO matching_supplierrecord AS record (organisation_id, kept, broken, counted_at)
            SELECT organisation_id, coalesce(counted.kept, 0), coalesce(counted.broken, 0), %s
            FROM ({counted}) counted (organisation_id, kept, broken)
            FULL JOIN (SELECT organisation_id FROM matching_supplierrecord) known USING (organisation_id)
            ORDER BY organisation_id
            ON CONFLICT (organisation_id) DO UPDATE
            SET (kept, broken, counted_at) = (excluded.kept, excluded.broken, excluded.counted_at)
            WHERE (record.kept, record.broken) IS DISTINCT FROM (excluded.kept, excluded.broken)
            """,
            (now, *values),
        )


@transaction.atomic
def _take_prices(now: dt.datetime) -> None:
    """The median price of the published offers of each item that has none, or one of yesterday that is not near it; in
    the currency of most of them.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO matching_referenceprice AS reference (item_id, price, currency, taken_at)
            SELECT DISTINCT ON (item_id) item_id,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY unit_price)::float8, currency, %(now)s
            FROM supply_offer offer
            WHERE state = 'published' AND unit_price IS NOT NULL AND item_id NOT IN (
                SELECT item_id FROM matching_referenceprice WHERE taken_at > %(before)s
            )
            GROUP BY item_id, currency ORDER BY item_id, count(*) DESC, currency
            ON CONFLICT (item_id) DO UPDATE
            SET (price, currency, taken_at) = (excluded.price, excluded.currency, excluded.taken_at)
            WHERE excluded.currency <> reference.currency
                OR abs(excluded.price - reference.price) > %(share)s * reference.price
            """,
            {"now": now, "before": now - PRICE_STAYS, "share": PRICE_SHARE},
        )


@transaction.atomic
def _mend() -> int:
    """Have every listing say what it must. Rows are locked first and read after: whoever changes an offer meanwhile
    waits, and writes its listing once more.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT listing.offer_id FROM matching_listing listing LEFT JOIN matching_listable listable USING (offer_id)
            WHERE ({_columns("listing")}) IS DISTINCT FROM ({_columns("listable")})
            ORDER BY listing.offer_id FOR UPDATE OF listing
            """
        )
        wrong = [offer for (offer,) in cursor.fetchall()]
        cursor.execute(
            f"""
            UPDATE matching_listing listing
            SET ({_FACTS}, cell_id, steady, key) = ({_columns("listable")}, NULL, NULL, NULL)
            FROM matching_listable listable
            WHERE listable.offer_id = listing.offer_id AND listing.offer_id = ANY (%s)
            """,
            [wrong],
        )
        cursor.execute(
            """
            DELETE FROM matching_listing listing WHERE offer_id = ANY (%s)
                AND NOT EXISTS (SELECT FROM matching_listable listable WHERE listable.offer_id = listing.offer_id)
            """,
            [wrong],
        )
        cursor.execute(
            f"""
            INSERT INTO matching_listing (offer_id, {_FACTS}) SELECT offer_id, {_FACTS} FROM matching_listable listable
            WHERE NOT EXISTS (SELECT FROM matching_listing listing WHERE listing.offer_id = listable.offer_id)
            ORDER BY offer_id ON CONFLICT DO NOTHING
            """
        )
        return len(wrong) + int(cursor.rowcount)


@transaction.atomic
def _renew(policy: Policy, now: dt.datetime) -> int:
    """Take offers whose keys will soon be too low out of their cells, to be shelved again."""
    soon = now + _RENEWED_BEFORE
    stale = soon - dt.timedelta(days=policy.values.offer_fresh_days)
    return _to_the_counter(Listing.objects.filter(cell__good_until__lt=soon, confirmed_at__lt=stale))


def _to_the_counter(listings: QuerySet[Listing], limit: int | None = None) -> int:
    """In the order of keys, in which everybody takes the rows of offers."""
    rows = list(listings.order_by("pk").select_for_update(of=["self"]).values_list("pk", flat=True)[:limit])
    return Listing.objects.filter(pk__in=rows).update(cell=None, steady=None, key=None)


@transaction.atomic
def _tighten(policy: Policy, now: dt.datetime) -> None:
    """Bounds only rise when something is shelved; this lowers them to what is there."""
    _be_alone()
    Cell.objects.filter(~Exists(Listing.objects.filter(cell=OuterRef("pk")))).delete()
    if Cell.objects.exclude(policy_version=policy.version).exists():
        return
    with connection.cursor() as cursor:
        cursor.execute(_TIGHTEN, _facts(policy, now))
