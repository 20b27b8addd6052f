"""Keeps the offer index: what the search for the best offers knows of each offer, and the bounds of cells.

Nothing waits for this. An offer that changed is noted by supply (`OfferChange`), and the search looks at what is noted
without a bound: until it is indexed the search is slower, never wrong. This module is the only writer of the index, one
transaction at a time, and locks no offer.
"""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from django.db import connection, transaction
from django.db.models import Aggregate, Count, F, FloatField, Max, Min, Q, QuerySet
from django.utils import timezone
from psycopg import sql

from apps.matching.loading import load_published
from apps.matching.models import (
    BROKEN,
    CALLED_OFF,
    FAILED,
    KEPT,
    IndexCell,
    IndexedOffer,
    Match,
    ReferencePrice,
    SupplierRecord,
)
from apps.matching.scoring import facts, terms
from apps.matching.scoring.facts import Source
from apps.matching.search.best import areas, freshness_part, on_the_globe
from apps.policy.models import Policy
from apps.supply import changes
from apps.supply.models import Offer, OfferChange, OfferState

# Half a year: long enough for a supplier to have a record, short enough for it to mend one.
RECORD_WINDOW: Final = dt.timedelta(days=180)
# A reference price stays for a day, and longer while the median is within this share of it: each new one has all offers
# of the item indexed anew.
PRICE_STAYS: Final = dt.timedelta(days=1)
PRICE_SHARE: Final = 0.02
# How long a key is good for at least. An offer's freshness ends at 0, which a key cannot say: that of an offer near its
# end is made as if it were a little younger, and made anew before it is too low.
_GOOD_FOR: Final = dt.timedelta(days=1)
_RENEWED_BEFORE: Final = dt.timedelta(hours=12)
# What a record counts, by name of its column.
_COUNTED: Final = {"kept": KEPT, "broken": BROKEN, "called_off": CALLED_OFF, "failed": FAILED}
_ALONE: Final = 4_207_001  # the advisory lock of the index's writer
_BATCH: Final = 5000
_COPIED: Final = ("item_id", "quantity", "minimum_order", "lead_time_days")


def index_offers(*, now: dt.datetime | None = None, batch: int = _BATCH) -> int:
    """Index what changed, and items whose keys were made for another policy. Returns how many offers were indexed.

    Safe to run side by side with everything; a second run at the same time waits for each item of the first.
    """
    now = now or timezone.now()
    policy = Policy.objects.current()
    # Items of another policy first: their cells bound nothing, so each search of them reads all offers.
    outdated = IndexCell.objects.exclude(policy_version=policy.version).order_by("item_id")
    done = sum(_index(item, {}, policy, now) for item in outdated.values_list("item_id", flat=True).distinct())
    for item_id, noted in _noted(batch):
        done += _index(item_id, noted, policy, now)
    return done


def _noted(batch: int) -> Iterator[tuple[int, dict[int, dt.datetime]]]:
    """Changed offers with the time of each change, item by item, read `batch` rows at a time.

    A change that is noted behind the place of reading waits for the next run.
    """
    reached = Q()
    while rows := list(OfferChange.objects.filter(reached).order_by("item_id", "pk")[:batch]):
        for item_id, group in groupby(rows, key=lambda row: row.item_id):
            yield item_id, {row.pk: row.changed_at for row in group}
        # Keyset pagination, because rows before this place are deleted while the loop runs.
        reached = Q(item__gt=rows[-1].item_id) | Q(item=rows[-1].item_id, pk__gt=rows[-1].pk)


@transaction.atomic
def _index(item_id: int, noted: Mapping[int, dt.datetime], policy: Policy, now: dt.datetime) -> int:
    """Index these offers of an item, or all of the item if its keys are those of another policy.

    The facts are read after the times of change: what changes after that is noted again and stays so.
    """
    _be_alone()
    indexed = IndexedOffer.objects.filter(pk__in=noted)
    touched = set(indexed.values_list("item_id", "city"))  # an offer may have been one of another item
    offers = set(noted)
    if IndexCell.objects.filter(item=item_id).exclude(policy_version=policy.version).exists():
        indexed = IndexedOffer.objects.filter(Q(item=item_id) | Q(pk__in=noted))
        touched |= set(IndexCell.objects.filter(item=item_id).values_list("item_id", "city"))
        offers |= set(IndexedOffer.objects.filter(item=item_id).values_list("pk", flat=True))
    indexed.delete()
    # In the order of keys and in batches, so that a new policy does not hold a million rows in memory.
    ordered = sorted(offers)
    for start in range(0, len(ordered), _BATCH):
        rows = _rows(load_published(ordered[start : start + _BATCH]), policy, now)
        _copy(rows)
        touched |= {(row.item_id, row.city) for row in rows}
    # Also the cells that these offers left: their bounds may be lower now.
    for item in {item for item, _city in touched}:
        _bound(item, [city for other, city in touched if other == item], policy)
    changes.forget(noted)
    return len(offers)


def _be_alone() -> None:
    """Until the end of the transaction nobody else writes the index."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ALONE])


def _rows(sources: Sequence[Source], policy: Policy, now: dt.datetime) -> list[IndexedOffer]:
    fresh = dt.timedelta(days=policy.values.offer_fresh_days)
    youngest_end = now + _GOOD_FOR - fresh
    steady = _steady(sources, policy, now)
    rows = []
    for source, part in zip(sources, steady, strict=True):
        # A key made with the true moment would be too low once freshness has ended at 0: a bound must never be too low.
        counts_from = max(source.confirmed_at, youngest_end)
        x, y, z = on_the_globe(source.location)
        rows.append(
            IndexedOffer(
                offer_id=source.id,
                item_id=source.item_id,
                # Offers without coordinates share a cell of their own, because a box cannot hold them.
                city="" if x is None else _city(source.location.path),
                key=part + freshness_part(counts_from, policy),
                good_until=counts_from + fresh,
                quantity=source.free,
                minimum_order=source.minimum_order,
                # -1 has all bits set, so it meets every need.
                areas=areas(source.ships_to) if source.ships_to else -1,
                lead_time_days=source.lead_time_days,
                x=x,
                y=y,
                z=z,
                standard_id=source.standard_id,
            )
        )
    return rows


def _steady(sources: Sequence[Source], policy: Policy, now: dt.datetime) -> list[float]:
    """The weighted terms that depend on neither the need nor the time."""
    import numpy as np

    columns = facts.of_sources(terms.steady_facts(), sources, now, policy.values)
    # Without any steady term the sum is a single number, hence the broadcast.
    steady: list[float] = np.broadcast_to(terms.steady(columns, policy.values), len(sources)).tolist()
    return steady


def _city(path: str) -> str:
    """The prefecture of a path ("CN/420000/420100/420106/"), or the region itself where it is larger."""
    codes = path.strip("/").split("/")
    return codes[min(2, len(codes) - 1)]


def _bound(item_id: int, cities: Collection[str], policy: Policy) -> None:
    """Make the bounds of these cells of an item anew from what is in them."""
    # Made anew instead of widened: widened bounds would grow looser for ever.
    IndexCell.objects.filter(item=item_id, city__in=cities).delete()
    bounds = (
        IndexedOffer.objects.filter(item=item_id, city__in=cities)
        .order_by("city")
        .values("item_id", "city")
        .annotate(
            best_key=Max("key"),
            soonest=Min("lead_time_days"),
            min_x=Min("x"),
            max_x=Max("x"),
            min_y=Min("y"),
            max_y=Max("y"),
            min_z=Min("z"),
            max_z=Max("z"),
        )
    )
    _copy([IndexCell(policy_version=policy.version, **facts) for facts in bounds])


def _copy(rows: Sequence[IndexedOffer] | Sequence[IndexCell]) -> None:
    """What `bulk_create` does, in a fifth of the time: a new policy writes a row for every offer there is."""
    if not rows:
        return
    meta = rows[0]._meta
    names = [field.attname for field in meta.concrete_fields if field.name != "id"]
    table = sql.Identifier(meta.db_table)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(table, sql.SQL(", ").join(map(sql.Identifier, names)))
    with connection.cursor() as cursor, cursor.copy(statement) as stream:
        for row in rows:
            stream.write_row([getattr(row, name) for name in names])


class Median(Aggregate):
    """https://www.postgresql.org/docs/current/functions-aggregate.html#FUNCTIONS-ORDEREDSET-TABLE"""

    function = "percentile_cont"
    template = "%(function)s(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


def refresh_supplier_statistics(*, now: dt.datetime | None = None) -> int:
    """Count the records of suppliers, take reference prices, and index the offers that these concern.

    Offers whose keys will soon be too low are indexed as well. Returns how many offers were noted for it.

    Meant to run once an hour. It mends, too, what was written past the triggers (a restored dump, a replica).
    """
    now = now or timezone.now()
    noted = _count_records(now) + _take_prices(now)
    noted += changes.note_all(Offer.objects.filter(indexed__good_until__lt=now + _RENEWED_BEFORE))
    noted += changes.note_all(_otherwise_than_indexed())
    index_offers(now=now)
    return noted


def _otherwise_than_indexed() -> QuerySet[Offer]:
    """Offers that differ from the index although no change was noted: missing, left over, or with other facts."""
    same = Q(**{f"indexed__{name}": F(name) for name in _COPIED}) & (
        Q(indexed__standard_id=F("standard_id")) | Q(indexed__standard_id=None, standard=None)
    )
    published = Q(state=OfferState.PUBLISHED)
    wrong = published & (Q(indexed=None) | ~same) | ~published & Q(indexed__isnull=False)
    return Offer.objects.filter(wrong, noted_change=None)


@transaction.atomic
def _count_records(now: dt.datetime) -> int:
    """Per supplier, over half a year: what became of its promises. Returns how many offers that concerns."""
    counted = {
        organisation: dict(zip(_COUNTED, counts, strict=True))
        for organisation, *counts in Match.objects.filter(created_at__gte=now - RECORD_WINDOW)
        .order_by()
        .values("offer__organisation_id")
        .annotate(**{name: Count("pk", filter=of) for name, of in _COUNTED.items()})
        .values_list("offer__organisation_id", *_COUNTED)
    }
    known = {record["pk"]: record for record in SupplierRecord.objects.values("pk", *_COUNTED)}
    nothing = dict.fromkeys(_COUNTED, 0)
    changed = [
        SupplierRecord(organisation_id=pk, counted_at=now, **promises)
        for pk in sorted(counted.keys() | known.keys())
        # Writing a record notes all offers of its supplier, so only records that differ are written.
        if {"pk": pk, **(promises := counted.get(pk, nothing))} != known.get(pk)
    ]
    SupplierRecord.objects.bulk_create(
        changed,
        update_conflicts=True,
        unique_fields=["organisation"],
        update_fields=[*_COUNTED, "counted_at"],
    )
    return changes.note_all(Offer.objects.published().filter(organisation__in=[record.pk for record in changed]))


@transaction.atomic
def _take_prices(now: dt.datetime) -> int:
    """Take the median price of an item's published offers, in the currency of most of them, as its reference price.

    Only items without a price, or with one of yesterday that is not near any more, get a new one. Returns how many
    offers that concerns.
    """
    known = ReferencePrice.objects.in_bulk()
    recent = [pk for pk, price in known.items() if price.taken_at > now - PRICE_STAYS]
    medians = (
        Offer.objects.published()
        .filter(unit_price__isnull=False)
        .exclude(item__in=recent)
        .values("item_id", "currency")
        .annotate(price=Median("unit_price"), offers=Count("pk"))
        .order_by("item_id", "-offers", "currency")
    )
    taken = []
    for item_id, group in groupby(medians, key=itemgetter("item_id")):
        # Sorted by the number of offers, so the first is the most usual currency.
        most = next(group)
        before = known.get(item_id)
        is_near = before is not None and abs(most["price"] - before.price) <= PRICE_SHARE * before.price
        if before is None or before.currency != most["currency"] or not is_near:
            taken.append(ReferencePrice(item_id=item_id, price=most["price"], currency=most["currency"], taken_at=now))
    ReferencePrice.objects.bulk_create(
        taken, update_conflicts=True, unique_fields=["item"], update_fields=["price", "currency", "taken_at"]
    )
    return changes.note_all(Offer.objects.published().filter(item__in=[price.pk for price in taken]))
