"""The best offers for a need, found in the database without looking at all of them.

`matching_best` (a function in the database) finds offers that certainly hold the best so many; `ranking.rank` orders
them: the rule stands in one place. docs/matching.md, "The best offers, exactly".
"""

import datetime as dt
import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

from django.db import connection

from apps.matching.loading import load_sources
from apps.matching.scoring import facts, terms
from apps.matching.scoring.either import rounded
from apps.matching.scoring.facts import Fit, Need, Rules, fit_of, minimum_useful_quantity
from apps.matching.scoring.precedence import can_wait
from apps.matching.scoring.ranking import Shortlist
from apps.policy.models import Policy

BEST: Final = 20
# So many cells (offers of an item from one city) are looked at first, at most.
CELLS: int = 80
# The lead times whose terms are handed over one by one; longer ones count as this at first, and are ranked as they are.
_LONGEST_LEAD: Final = 30
_ANY_OTHER: Final = -1  # stands for a standard that nobody asked for; their keys begin at 1


def load_shortlists(
    needs: Sequence[Need], rules: Rules, policy: Policy, now: dt.datetime, *, best: int = BEST
) -> dict[int, Shortlist]:
    """For each need, sources that hold its `best` best, among its item's and those of accepted substitutes."""
    found: dict[int, list[list[int]]] = {}
    for need in needs:
        offered = rules.offered_for(need.item_id, accepts_substitutes=need.accepts_substitutes)
        found[need.id] = [best_offers(need, item, rules, policy, now, best=best) for item in sorted(offered)]
    offers = {offer for lists in found.values() for ids in lists for offer in ids}
    sources = {source.id: source for source in load_sources((), now, policy.values, only=offers)}
    return {
        need_id: Shortlist(
            sources=[sources[offer] for ids in lists for offer in ids if offer in sources],
            best=best,
            whole=all(len(ids) < best for ids in lists),
        )
        for need_id, lists in found.items()
    }


def best_offers(
    need: Need, item_id: int, rules: Rules, policy: Policy, now: dt.datetime, *, best: int = BEST
) -> list[int]:
    """Offers of the item that hold the `best` best for the need, best first up to rounding; fewer than `best` only if
    no other could serve it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT offer_id FROM matching_best(%s::matching_asked)",
            [as_row(arguments(need, item_id, rules, policy, now, best=best).values())],
        )
        return [offer for (offer,) in cursor.fetchall()]


def arguments(
    need: Need, item_id: int, rules: Rules, policy: Policy, now: dt.datetime, *, best: int = BEST
) -> dict[str, Any]:
    """What `matching_best` is told, in the order of `matching_asked` in the database: the need, and the terms that it
    decides alone, already weighted.
    """
    values = policy.values
    weights = values.weights
    asked = need.standard_id
    facts_of_need = facts.of_need(terms.LEAD_TIME.reads, need, now, values)
    exceeding = sorted(offered for offered, demanded in rules.satisfies if demanded == asked != offered)

    def fitting(standard: int | None) -> float | None:
        fit = fit_of(need, item_id, standard, rules)
        return fit.value * weights["standard"] if isinstance(fit, Fit) else None

    x, y, z = _on_the_globe(need.location.latitude, need.location.longitude)
    return {
        "k": best,
        "cells": CELLS,
        "at": now,
        "version": policy.version,
        "item": item_id,
        "organisation": need.organisation_id,
        "wanting": need.remaining,
        "matters": minimum_useful_quantity(need, values),
        "excluded": sorted(need.excluded),
        "path": need.location.path,
        "areas": areas(code for code in need.location.path.split("/") if code),
        "place_x": x,
        "place_y": y,
        "place_z": z,
        "lead": [
            rounded(terms.LEAD_TIME(values, {"lead_time_days": days, **facts_of_need})) * weights["lead_time"]
            for days in range(_LONGEST_LEAD + 1)
        ],
        "standard": asked,
        "exceeding": exceeding or None,
        "fit_unstated": fitting(None),
        "fit_asked": fitting(asked),
        "fit_exceeding": fitting(exceeding[0]) if exceeding else None,
        "fit_other": fitting(_ANY_OTHER),
        **{f"w_{name}": weights[name] for name in ("coverage", "distance", "freshness", "record", "price")},
        "half_distance_km": float(values.half_distance_km),
        "fresh_seconds": values.offer_fresh_days * 86_400.0,
        "prior_matches": float(values.record_prior_matches),
        "prior_share": float(values.record_prior_share),
        "gift_reach_km": values.gift_reach_km if can_wait(need) else None,
        "gift_reach_km_per_day": float(values.gift_reach_km_per_day),
    }


def as_row(values: Iterable[Any]) -> str:
    """The text of a composite value (PostgreSQL 15, 8.16.6): of numbers, lists of numbers, texts and times."""
    return f"({','.join(map(_as_field, values))})"


def _as_field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, list):
        return f'"{{{repr(value)[1:-1]}}}"'
    return '"' + str(value).replace("\\", "\\\\").replace('"', '""') + '"'


def areas(codes: Iterable[str]) -> int:
    """One bit for each region, as `matching_areas` in the database has them: a signed number of 64 bits."""
    bits = 0
    for code in codes:
        bits |= 1 << (int(hashlib.md5(code.encode(), usedforsecurity=False).hexdigest()[:4], 16) & 63)
    return bits - (1 << 64) if bits >> 63 else bits


def _on_the_globe(latitude: float | None, longitude: float | None) -> tuple[float | None, float | None, float | None]:
    if latitude is None or longitude is None:
        return None, None, None
    north, east = math.radians(latitude), math.radians(longitude)
    return math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)
