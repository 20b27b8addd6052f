"""A crowded market: suppliers and their published offers, hospitals, and what the hospitals will ask for.

Items by Zipf's law over the whole catalogue, so that some are offered by thousands and most by few; places drawn from
the real counties; everything from one seed.
"""

import datetime as dt
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate

from django.db import connection, models
from django.utils import timezone

from apps.accounts.models import Membership, Organisation, User
from apps.catalogue.models import Item, ItemStandard, Region, Standard
from apps.demands.lines import DemandLine
from apps.matching.search import offer_index
from apps.supply.models import Offer

# (standard deviation of the logarithm, median) of quantities
OFFERED = (1.2, 8_000)
WANTED = (0.9, 1_000)


@dataclass(frozen=True)
class Size:
    offers: int
    suppliers: int
    hospitals: int


@dataclass
class Market:
    """What is drawn from, the same for the same seed."""

    draw: random.Random
    items: Sequence[Item]
    weights: Sequence[float]
    standards: dict[int, list[Standard]]

    def item(self) -> Item:
        [item] = self.draw.choices(self.items, cum_weights=self.weights)
        return item

    def quantity(self, spread: tuple[float, int]) -> int:
        sigma, median = spread
        return max(1, round(self.draw.lognormvariate(math.log(median), sigma)))

    def standard(self, item: Item, share: float) -> Standard | None:
        known = self.standards.get(item.pk, [])
        return self.draw.choice(known) if known and self.draw.random() < share else None

    def line(self) -> DemandLine:
        item = self.item()
        return DemandLine(item=item, quantity=self.quantity(WANTED), standard=self.standard(item, 0.3))


def market(seed: int) -> Market:
    items = list(Item.objects.listed().select_related("unit").order_by("category__position", "position", "key"))
    draw = random.Random(seed)
    draw.shuffle(items)
    standards: dict[int, list[Standard]] = defaultdict(list)
    for link in ItemStandard.objects.select_related("standard").order_by("pk"):
        standards[link.item_id].append(link.standard)
    return Market(draw, items, list(accumulate(1 / rank for rank in range(1, len(items) + 1))), standards)


def build(size: Size, seed: int) -> tuple[Market, list[tuple[Organisation, User]]]:
    """Fill the database by COPY. Returns the market and the hospitals, each with its buyer."""
    world = market(seed)
    now = timezone.now()
    counties = list(
        Region.objects.filter(path__startswith="CN/", level="county", latitude__isnull=False)
        .exclude(pk__endswith="00")
        .order_by("pk")
        .values_list("pk", "path")
    )
    total = size.suppliers + size.hospitals
    homes = [world.draw.choice(counties) for _ in range(total)]
    kinds = ["supplier"] * size.suppliers + ["hospital"] * size.hospitals
    _people(total, kinds, homes, now)
    _offers(world, size, homes, now)
    # After a COPY the planner knows nothing of the rows. Without this, indexing them takes ten times as long.
    _analyze()
    offer_index.refresh_supplier_statistics(now=now)
    _analyze()
    hospitals = Organisation.objects.filter(kind="hospital").select_related("region").order_by("pk")
    return world, [(hospital, User.objects.get(memberships__organisation=hospital)) for hospital in hospitals]


def _analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def copy(model: type[models.Model], rows: Iterable[models.Model]) -> None:
    """What `bulk_create` does, in a tenth of the time; the database fills in its own defaults."""
    fields = [field for field in model._meta.concrete_fields if not (field.has_db_default() or field.generated)]
    names = ", ".join(str(field.column) for field in fields)
    with connection.cursor() as cursor, cursor.copy(f"COPY {model._meta.db_table} ({names}) FROM STDIN") as stream:
        for row in rows:
            stream.write_row([field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields])
    with connection.cursor() as cursor:  # the next row that is made in the ordinary way must not meet these
        cursor.execute(
            f"SELECT setval(pg_get_serial_sequence(%s, 'id'), (SELECT max(id) FROM {model._meta.db_table}))",  # noqa: S608  our own name
            [model._meta.db_table],
        )


def _people(total: int, kinds: Sequence[str], homes: Sequence[tuple[str, str]], now: dt.datetime) -> None:
    numbers = range(1, total + 1)
    copy(User, (User(id=n, email=f"person{n}@bench.example", name=f"Person {n}", password="!") for n in numbers))
    copy(
        Organisation,
        (
            Organisation(
                id=n,
                name=f"机构 {n}",
                kind=kind,
                identifier_kind="other",
                identifier=f"B{n:07d}",
                region_id=code,
                contact_name=f"Person {n}",
                contact_email=f"person{n}@bench.example",
                state="verified",
                announced_state="verified",
                verified_at=now,
                verified_until=(now + dt.timedelta(days=300)).date(),
            )
            for n, kind, (code, _path) in zip(numbers, kinds, homes, strict=True)
        ),
    )
    copy(Membership, (Membership(id=n, user_id=n, organisation_id=n, role="manager") for n in numbers))


def _offers(world: Market, size: Size, homes: Sequence[tuple[str, str]], now: dt.datetime) -> None:
    draw = world.draw

    def rows() -> Iterable[Offer]:
        for n in range(1, size.offers + 1):
            supplier = draw.randrange(size.suppliers)
            code, path = homes[supplier]
            item = world.item()
            confirmed = now - dt.timedelta(days=draw.uniform(0, 9))
            yield Offer(
                id=n,
                organisation_id=supplier + 1,
                posted_by_id=supplier + 1,
                item_id=item.pk,
                standard=world.standard(item, 0.8),
                quantity=world.quantity(OFFERED),
                minimum_order=draw.choice((1, 1, 100, 500)),
                lead_time_days=draw.choice((0, 1, 2, 3, 5, 10)),
                unit_price=Decimal(f"{draw.lognormvariate(2, 0.4):.2f}"),
                is_donation=draw.random() < 0.05,
                origin_region_id=code,
                ships_to=[path.split("/")[1]] if draw.random() < 0.2 else [],
                state="published",
                published_at=confirmed,
                confirmed_at=confirmed,
            )

    copy(Offer, rows())
