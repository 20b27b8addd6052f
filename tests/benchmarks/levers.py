"""Levers over all open needs of the market: how long a count takes, and what a page of them costs.

No need can be served: half of the offers have given out all they had, the others ask for large minimum orders, state no
standard, have an expired certificate or were not confirmed.
"""

import datetime as dt
import time
from collections.abc import Iterator, Sequence
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.catalogue.models import Region
from apps.demands.models import Demand
from apps.matching import services as matching
from apps.matching.models import Lever, LeverCount, LeverEffect
from apps.portal import levers
from tests.benchmarks.allocation import against
from tests.benchmarks.figures import median_time, milliseconds, row
from tests.benchmarks.world import Market, copy

SIZES: Final = (10_000, 100_000)
# The promise is given for this many.
_PROMISED: Final = 100_000
_KEEP_BACK: Final = """
    UPDATE supply_offer SET
        quantity_reserved = CASE WHEN id % 2 = 0 THEN quantity ELSE 0 END,
        minimum_order = CASE WHEN id % 10 = 1 THEN 5000 ELSE minimum_order END,
        standard_id = CASE WHEN id % 10 = 3 THEN NULL ELSE standard_id END,
        certificate_valid_until = CASE WHEN id % 10 IN (5, 9) THEN CURRENT_DATE - 3 END,
        state = CASE WHEN id % 10 = 7 THEN 'stale' ELSE state END,
        state_code = CASE WHEN id % 10 = 7 THEN 'nobody_confirmed' ELSE state_code END
"""


def run(market: Market, hospitals: Sequence[tuple[Organisation, User]]) -> None:
    print("\nLevers of all open needs")
    for size in SIZES:
        # Other parts use the same market.
        with transaction.atomic():
            _build(market, hospitals, size)
            _offices()
            began = time.perf_counter()
            found = matching.count_levers()
            first = time.perf_counter() - began
            again = _again()
            effects, freed = LeverEffect.objects.count(), LeverEffect.objects.filter(region="CN").order_by("-needs")
            row(f"{size:,} needs: levers", f"{found:,}", f"{effects:,} effects in regions")
            row("  causes", "", ", ".join(sorted(set(Lever.objects.values_list("cause", flat=True)))))
            row("  the largest helps", f"{freed[0].needs:,} needs" if freed else "none")
            row("  first count", f"{first:.1f} s", "as much again where nothing changed: " + f"{again:.1f} s")
            if size == _PROMISED:
                against("  seconds of a count", again, 60, most=True)
            row("  the ten biggest of the country", milliseconds(median_time(_ten, 5)))
            transaction.set_rollback(True)


def _offices() -> None:
    """A desk of each province, and of the country."""
    now = timezone.now()
    provinces = Region.objects.filter(path__startswith="CN/", level__in=["country", "province"]).order_by("pk")
    Organisation.objects.bulk_create(
        [
            Organisation(
                name=f"Desk {region.pk}",
                kind="coordinator",
                region=region,
                state="verified",
                verified_at=now,
                verified_until=(now + dt.timedelta(days=300)).date(),
            )
            for region in provinces
        ]
    )


def _again() -> float:
    LeverCount.objects.update(counted_at=timezone.now() - dt.timedelta(days=1))
    began = time.perf_counter()
    matching.count_levers()
    return time.perf_counter() - began


def _ten() -> None:
    keys = levers.ranked(["CN"]).values_list("pk", flat=True)[: levers.BIGGEST]
    levers.in_words(levers.shown().filter(pk__in=list(keys)))


def _build(market: Market, hospitals: Sequence[tuple[Organisation, User]], size: int) -> None:
    now = timezone.now()
    first = (Demand.objects.order_by("-pk").values_list("pk", flat=True).first() or 0) + 1

    def needs() -> Iterator[Demand]:
        for pk in range(first, first + size):
            line, (hospital, buyer) = market.line(), market.draw.choice(hospitals)
            opened = now - dt.timedelta(hours=market.draw.uniform(0, 48))
            yield Demand(
                id=pk, reference=f"L{pk}", organisation=hospital, posted_by=buyer, item=line.item,
                quantity=line.quantity, quantity_kind="exact", standard=line.standard, region=hospital.region,
                urgency=market.draw.choice(["emergency", "urgent", "routine"]), state="open", opened_at=opened,
                confirmed_at=now,
            )  # fmt: skip

    with connection.cursor() as cursor:
        # As in the aged market: triggers row by row would take longer than all that is measured.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(_KEEP_BACK)
        copy(Demand, needs())
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
        cursor.execute("ANALYZE demands_demand, supply_offer")
