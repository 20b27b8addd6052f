"""Sums for boards and dashboards: what is needed, offered, promised and delivered, by item and place.

Nothing here names an organisation. What the public sees goes through `suppress`.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.core.cache import cache
from django.db import connection
from django.db.models import Count, Q
from django.utils import timezone
from redis.exceptions import RedisError

from apps.catalogue.models import Item
from apps.demands.models import Demand, DemandState
from apps.fulfilment.models import Order
from apps.supply.models import Offer

LEAST_ORGANISATIONS: Final = 3
"""A public number stands for at least as many organisations."""

_REMEMBERED_SECONDS: Final = 15
MEASURES: Final = ("needed", "offered", "matched", "delivered")


@dataclass
class Cell:
    """A sum in base units, and how many organisations stand behind it."""

    quantity: int = 0
    organisations: int = 0
    is_hidden: bool = False

    def add(self, other: "Cell") -> None:
        self.quantity += other.quantity
        self.organisations += other.organisations


@dataclass
class Row:
    """The measures of one item, in one place or everywhere."""

    cells: dict[str, Cell] = field(default_factory=lambda: {measure: Cell() for measure in MEASURES})

    @property
    def shows_something(self) -> bool:
        return any(cell.quantity and not cell.is_hidden for cell in self.cells.values())

    @property
    def weight(self) -> tuple[int, int]:
        """What puts it high on a list: how many organisations need it, then how much."""
        return self.cells["needed"].organisations, self.cells["needed"].quantity


_SUMS: Final = """
    WITH line AS (
        SELECT d.item_id, r.path, d.organisation_id AS body, d.state, d.quantity_matched AS matched,
               d.quantity_received AS received, coalesce(d.quantity, i.trial_lot) AS target
        FROM demands_demand d
        JOIN catalogue_item i ON i.id = d.item_id
        JOIN catalogue_region r ON r.code = d.region_id
        WHERE starts_with(r.path, %(within)s)
    ), measured (measure, item_id, path, body, quantity) AS (
        SELECT 'needed', item_id, path, body, target - received FROM line
        WHERE state IN ('open', 'matched') AND target > received
        UNION ALL
        SELECT 'matched', item_id, path, body, matched - received FROM line WHERE matched > received
        UNION ALL
        SELECT 'delivered', item_id, path, body, received FROM line WHERE received > 0
        UNION ALL
        SELECT 'offered', o.item_id, r.path, o.organisation_id, o.quantity - o.quantity_reserved
        FROM supply_offer o JOIN catalogue_region r ON r.code = o.origin_region_id
        WHERE o.state = 'published' AND o.quantity > o.quantity_reserved AND starts_with(r.path, %(within)s)
    ), placed AS (
        SELECT measure, item_id, split_part(path, '/', 2) AS province, body, quantity FROM measured
    )
    SELECT measure, i.key, CASE WHEN grouping(province) = 0 THEN province END, sum(quantity), count(DISTINCT body)
    FROM placed JOIN catalogue_item i ON i.id = placed.item_id
    GROUP BY GROUPING SETS ((measure, i.key, province), (measure, i.key))
"""


def _sums(within: str = "") -> tuple[dict[str, Row], dict[str, dict[str, Row]]]:
    """Rows by item, and by item and province code ("" where the country has none). `within` is the path of a region."""
    totals: dict[str, Row] = defaultdict(Row)
    by_place: dict[str, dict[str, Row]] = defaultdict(lambda: defaultdict(Row))
    with connection.cursor() as cursor:
        cursor.execute(_SUMS, {"within": within})
        for measure, key, province, quantity, bodies in cursor.fetchall():
            row = totals[key] if province is None else by_place[key][province]
            row.cells[measure] = Cell(int(quantity), bodies)
    return dict(totals), {key: dict(places) for key, places in by_place.items()}


def suppress(cells: Mapping[str, Cell]) -> None:
    """Hide the cells of one row that stand for too few organisations, and as many more as it takes.

    A single hidden cell could be had by subtracting the others from the total: the next smallest is hidden with it,
    until the hidden ones together stand for enough.
    """
    filled = sorted((cell for cell in cells.values() if cell.organisations), key=lambda cell: cell.organisations)
    hidden = [cell for cell in filled if cell.organisations < LEAST_ORGANISATIONS]
    for cell in filled[len(hidden) :]:
        if not hidden or (len(hidden) > 1 and sum(one.organisations for one in hidden) >= LEAST_ORGANISATIONS):
            break
        hidden.append(cell)
    for cell in hidden:
        cell.is_hidden = True


@dataclass
class Board:
    """What everybody may see."""

    as_of: dt.datetime
    totals: dict[str, Row]
    by_place: dict[str, dict[str, Row]]
    headline: dict[str, int]
    waits: dict[str, tuple[dt.timedelta, int]]

    @property
    def median_wait(self) -> dt.timedelta | None:
        return self.waits[""][0] if "" in self.waits else None


def board() -> Board:
    """The public board, at most some seconds old."""
    try:
        remembered: Board | None = cache.get("portal.board")
    except RedisError:
        return _board()
    if remembered is None:
        remembered = _board()
        cache.set("portal.board", remembered, _REMEMBERED_SECONDS)
    return remembered


def _board() -> Board:
    totals, by_place = _sums()
    for row in totals.values():
        for cell in row.cells.values():
            cell.is_hidden = 0 < cell.organisations < LEAST_ORGANISATIONS
    for places in by_place.values():
        for measure in MEASURES:
            suppress({province: row.cells[measure] for province, row in places.items()})

    return Board(as_of=timezone.now(), totals=totals, by_place=by_place, headline=_headline(), waits=_public(waits()))


def _headline() -> dict[str, int]:
    live = Demand.objects.aggregate(
        open=Count("pk", filter=Q(state=DemandState.OPEN)),
        met=Count("pk", filter=Q(state=DemandState.FULFILLED)),
        bodies=Count("organisation", distinct=True, filter=~Q(state=DemandState.DRAFT)),
    )
    return {**live, "offers": Offer.objects.published().count(), "orders": Order.objects.count()}


@dataclass(frozen=True)
class Wait:
    median: dt.timedelta
    needs: int
    organisations: int


def waits(within: str = "") -> dict[str, Wait]:
    """How long needs waited from being posted to the contact, by province; "" is all together.

    The contact is there when the first order is: both come with the acceptance.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH first AS (
                SELECT d.id, d.organisation_id, split_part(r.path, '/', 2) AS province,
                       min(o.created_at) - d.opened_at AS wait
                FROM demands_demand d
                JOIN catalogue_region r ON r.code = d.region_id
                JOIN matching_match m ON m.demand_id = d.id
                JOIN fulfilment_order o ON o.match_id = m.id
                WHERE d.opened_at IS NOT NULL AND starts_with(r.path, %s)
                GROUP BY d.id, r.path
            )
            SELECT coalesce(province, ''), percentile_cont(0.5) WITHIN GROUP (ORDER BY greatest(wait, interval '0')),
                   count(*), count(DISTINCT organisation_id)
            FROM first
            GROUP BY GROUPING SETS ((province), ())
            HAVING count(*) > 0
            """,
            [within],
        )
        return {province: Wait(median, needs, bodies) for province, median, needs, bodies in cursor.fetchall()}


def _public(found: Mapping[str, Wait]) -> dict[str, tuple[dt.timedelta, int]]:
    return {
        province: (wait.median, wait.needs)
        for province, wait in found.items()
        if wait.organisations >= LEAST_ORGANISATIONS
    }


def in_region(paths: Sequence[str]) -> dict[str, Row]:
    """By item key, for those who may see everything of these regions: nothing is hidden."""
    rows: dict[str, Row] = defaultdict(Row)
    for path in outermost(paths):
        for key, row in _sums(path)[0].items():
            for measure, cell in row.cells.items():
                rows[key].cells[measure].add(cell)
    return dict(rows)


def outermost(paths: Sequence[str]) -> list[str]:
    """Without those that lie in another of them: nothing is counted twice."""
    return sorted({path for path in paths if not any(path != other and path.startswith(other) for other in paths)})


def items_of(keys: Iterable[str]) -> dict[str, Item]:
    return {item.key: item for item in Item.objects.filter(key__in=list(keys)).select_related("unit")}


@dataclass(frozen=True)
class Bar:
    """One piece of a bar of 100."""

    name: str
    start: float
    width: float


def bars(row: Row) -> list[Bar]:
    """Delivered, promised and still needed of one item, as shares of the three together."""
    delivered, matched, needed = (row.cells[name].quantity for name in ("delivered", "matched", "needed"))
    wanting = max(0, needed - matched)
    whole = max(1, delivered + matched + wanting)
    pieces, start = [], 0.0
    for name, quantity in (("received", delivered), ("promised", matched), ("wanting", wanting)):
        width = round(100 * quantity / whole, 2)
        pieces.append(Bar(name, round(start, 2), width))
        start += width
    return pieces
