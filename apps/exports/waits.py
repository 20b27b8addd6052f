"""How long needs wait from being posted to being asked for, to the contact and to the first receipt.

All needs that were ever sent out count. One that still waits counts with the time it has waited so far, and a cancelled
one with the time until it was last changed.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from django.db import connections, router

from apps.demands.models import Demand
from apps.exports.survival import Observed, curve, share_by
from apps.policy.values import PolicyValues

ASKED, CONTACT, RECEIPT = MILESTONES = ("asked", "contact", "receipt")

# By what needs are grouped. Of `all` there is one group, whose key is "".
ALL, URGENCY, PLACE, ITEM, TIER = ("all", "urgency", "place", "item", "tier")


@dataclass(frozen=True)
class Wait:
    """How long the needs of one group wait for one milestone. Times are in seconds.

    `needs`: all that were sent out. `waiting`: of these, who neither got there nor were cancelled. Either is None where
    it may not be told. `median` and `ninetieth` are None where that is not reached, or known of too few needs. `kept`
    is the share of those that get there within the `promise`; there is one for the contact, by urgency.
    """

    needs: int | None
    waiting: int | None
    median: int | None
    ninetieth: int | None
    promise: int | None = None
    kept: float | None = None

    @property
    def is_short_of_half(self) -> bool:
        """Whether it is certain that fewer than half got there so far."""
        return self._is_short_of(0.5)

    @property
    def is_short_of_nine_in_ten(self) -> bool:
        return self._is_short_of(0.9)

    def _is_short_of(self, share: float) -> bool:
        return bool(self.needs) and self.waiting is not None and self.waiting > (1 - share) * (self.needs or 0)


# By what, key of the group, milestone.
Waits = dict[str, dict[str, dict[str, Wait]]]

# Seconds to three digits, rounded up: a wait of 12,345 seconds is written as 12,400. So there are at most 900 times for
# each power of ten, however many needs there are.
_SQL: Final = """
    WITH needs AS (
        SELECT d.id, d.urgency, d.opened_at, d.state = 'cancelled' AS is_cancelled, i.key AS item, o.kind,
               split_part(r.path, '/', %(depth)s) AS place,
               CASE WHEN d.state = 'cancelled' THEN d.updated_at ELSE %(now)s END AS seen_until
        FROM demands_demand d
        JOIN catalogue_region r ON r.code = d.region_id
        JOIN catalogue_item i ON i.id = d.item_id
        JOIN accounts_organisation o ON o.id = d.organisation_id
        WHERE d.opened_at IS NOT NULL AND starts_with(r.path, %(within)s)
        AND (o.state = 'verified' OR NOT %(verified)s)
    ), asked AS (
        SELECT demand_id, min(created_at) AS at
        FROM matching_match
        WHERE state <> 'standby' AND demand_id IN (SELECT id FROM needs)
        GROUP BY demand_id
    ), contact AS (
        SELECT m.demand_id, min(o.created_at) AS at
        FROM fulfilment_order o JOIN matching_match m ON m.id = o.match_id
        WHERE m.demand_id IN (SELECT id FROM needs)
        GROUP BY m.demand_id
    ), receipt AS (
        SELECT m.demand_id, min(t.received_at) AS at
        FROM fulfilment_delivery t
        JOIN fulfilment_order o ON o.id = t.order_id
        JOIN matching_match m ON m.id = o.match_id
        WHERE t.quantity_accepted > 0 AND m.demand_id IN (SELECT id FROM needs)
        GROUP BY m.demand_id
    ), waits AS (
        SELECT n.urgency, n.place, n.item, n.kind, n.is_cancelled, milestone, milestones.at IS NOT NULL AS is_reached,
               ceil(extract(
                   epoch FROM greatest(interval '0', coalesce(milestones.at, n.seen_until) - n.opened_at)
               ))::bigint AS seconds
        FROM needs n
        LEFT JOIN asked ON asked.demand_id = n.id
        LEFT JOIN contact ON contact.demand_id = n.id
        LEFT JOIN receipt ON receipt.demand_id = n.id
        CROSS JOIN LATERAL (
            VALUES ('asked', asked.at), ('contact', contact.at), ('receipt', receipt.at)
        ) AS milestones (milestone, at)
    ), rounded AS (
        SELECT waits.*, (seconds + step - 1) / step * step AS wait
        FROM waits
        CROSS JOIN LATERAL (SELECT (10 ^ greatest(0, length(seconds::text) - 3))::bigint AS step) AS steps
    )
    SELECT grouping(urgency, place, item, kind), coalesce(urgency, place, item, kind, ''),
           milestone, wait, is_reached, is_cancelled, count(*)
    FROM rounded
    GROUP BY GROUPING SETS (
        (milestone, wait, is_reached, is_cancelled),
        (urgency, milestone, wait, is_reached, is_cancelled),
        (place, milestone, wait, is_reached, is_cancelled),
        (item, milestone, wait, is_reached, is_cancelled),
        (kind, milestone, wait, is_reached, is_cancelled)
    )
"""
# The bits of SQL's `grouping`: 1 for what is not grouped by.
_GROUPED_BY: Final = {0b1111: ALL, 0b0111: URGENCY, 0b1011: PLACE, 0b1101: ITEM, 0b1110: TIER}


def waits(policy: PolicyValues, now: dt.datetime, *, within: str = "", verified: bool = False) -> Waits:
    """How long the needs of a region wait, by urgency, place just below the region, item and tier.

    `within` is the region's path; "" is all regions, and its places are provinces. `verified` leaves out the needs of
    organisations that are not verified.
    """
    groups: defaultdict[tuple[str, str, str], list[tuple[Observed, bool]]] = defaultdict(list)
    depth = max(1, within.count("/")) + 1
    with connections[router.db_for_read(Demand)].cursor() as cursor:
        cursor.execute(_SQL, {"within": within, "verified": verified, "now": now, "depth": depth})
        for grouped, key, milestone, wait, is_reached, is_cancelled, count in cursor.fetchall():
            by = _GROUPED_BY[grouped]
            group = str(policy.tier(key)) if by == TIER else key
            waits_on = not is_reached and not is_cancelled
            groups[by, group, milestone].append((Observed(wait, is_reached, count), waits_on))
    found: Waits = {by: {} for by in _GROUPED_BY.values()}
    for (by, key, milestone), seen in groups.items():
        promise = policy.escalates_after(key) if by == URGENCY and milestone == CONTACT else None
        found[by].setdefault(key, {})[milestone] = _wait(seen, promise)
    return found


def _wait(seen: list[tuple[Observed, bool]], promise: dt.timedelta | None) -> Wait:
    observed = [one for one, _waits_on in seen]
    estimate = curve(observed)
    seconds = int(promise.total_seconds()) if promise else None
    return Wait(
        needs=sum(one.count for one in observed),
        waiting=sum(one.count for one, waits_on in seen if waits_on),
        median=estimate.time_of(0.5),
        ninetieth=estimate.time_of(0.9),
        promise=seconds,
        kept=None if seconds is None else share_by(observed, seconds),
    )


def written(found: Waits) -> dict[str, Any]:
    """As JSON keeps it; `read` is the way back."""
    return {
        by: {key: {milestone: asdict(wait) for milestone, wait in group.items()} for key, group in groups.items()}
        for by, groups in found.items()
    }


def read(kept: Mapping[str, Any]) -> Waits:
    return {
        by: {key: {milestone: Wait(**wait) for milestone, wait in group.items()} for key, group in groups.items()}
        for by, groups in kept.items()
    }


# Who waits, by number, urgency and organisation, as `stats.contributions` has it.
_BEHIND: Final = """
    SELECT d.urgency, split_part(r.path, '/', 2), d.organisation_id, count(*),
           count(*) FILTER (WHERE d.state <> 'cancelled' AND NOT EXISTS (
               SELECT FROM matching_match m WHERE m.demand_id = d.id AND m.state <> 'standby'
           )),
           count(*) FILTER (WHERE d.state <> 'cancelled' AND NOT EXISTS (
               SELECT FROM fulfilment_order o JOIN matching_match m ON m.id = o.match_id WHERE m.demand_id = d.id
           )),
           count(*) FILTER (WHERE d.state <> 'cancelled' AND NOT EXISTS (
               SELECT FROM fulfilment_delivery t
               JOIN fulfilment_order o ON o.id = t.order_id
               JOIN matching_match m ON m.id = o.match_id
               WHERE m.demand_id = d.id AND t.quantity_accepted > 0
           ))
    FROM demands_demand d
    JOIN catalogue_region r ON r.code = d.region_id
    JOIN accounts_organisation o ON o.id = d.organisation_id
    WHERE d.opened_at IS NOT NULL AND o.state = 'verified'
    GROUP BY 1, 2, 3
"""
POSTED: Final = "posted"
NUMBERS: Final = (POSTED, *MILESTONES)


@dataclass(frozen=True)
class Behind:
    """The verified organisations behind public waits.

    `numbers`: needs by `NUMBERS` (posted, and waiting for each milestone), urgency and organisation. `places`: the
    organisations by province.
    """

    numbers: dict[str, dict[str, dict[str, int]]]
    places: dict[str, set[str]]


def behind() -> Behind:
    found = Behind({name: {} for name in NUMBERS}, {})
    with connections[router.db_for_read(Demand)].cursor() as cursor:
        cursor.execute(_BEHIND)
        for urgency, place, organisation, *counts in cursor.fetchall():
            found.places.setdefault(place, set()).add(str(organisation))
            for name, count in zip(NUMBERS, counts, strict=True):
                if count:
                    of_urgency = found.numbers[name].setdefault(urgency, {})
                    of_urgency[str(organisation)] = of_urgency.get(str(organisation), 0) + count
    return found
