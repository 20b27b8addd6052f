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
from apps.matching.ranking import Fit, Need, Rules, Shortlist, can_wait, enough_to_matter, fit_of, timeliness
from apps.policy.models import Policy

BEST: Final = 20
# So many cells (offers of an item from one city) are looked at first: of a million offers, even or uneven, some
# four in five needs are found among the best of these.
CELLS: int = 48
# The lead times whose terms are handed over one by one; longer ones count as this at first, and are ranked as they are.
_LONGEST_LEAD: Final = 30
_UNSTATED: Final = 0  # stands for "no standard stated"; keys of standards begin at 1
_ANY_OTHER: Final = -1


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
    facts = arguments(need, item_id, rules, policy, now, best=best)
    names = ", ".join(f"{name} => %s" for name in facts)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT offer_id FROM matching_best({names})", list(facts.values()))  # noqa: S608  our own names
        return [offer for (offer,) in cursor.fetchall()]


def arguments(
    need: Need, item_id: int, rules: Rules, policy: Policy, now: dt.datetime, *, best: int = BEST
) -> dict[str, Any]:
    """What `matching_best` is told: the need, and the terms that it decides alone, already weighted."""
    values = policy.values
    weights = values.weights
    asked = need.standard_id
    known = {_UNSTATED, asked, *(offered for offered, demanded in rules.satisfies if demanded == asked)}
    standards = sorted(standard for standard in known if standard is not None)

    def fitting(standard: int) -> float | None:
        fit = fit_of(need, item_id, standard or None, rules)
        return fit.value * weights["standard"] if isinstance(fit, Fit) else None

    fits = [fitting(standard) for standard in (*standards, _ANY_OTHER)]
    codes = [code for code in need.place.path.split("/") if code]
    x, y, z = _on_the_globe(need.place.latitude, need.place.longitude)
    return {
        "k": best,
        "cells": CELLS,
        "at": now,
        "version": policy.version,
        "need_item": item_id,
        "need_organisation": need.organisation_id,
        "wanting": float(need.wanting),
        "matters": enough_to_matter(need, values),
        "excluded": sorted(need.excluded),
        "codes": codes,
        "areas_there": areas(codes),
        "place_x": x,
        "place_y": y,
        "place_z": z,
        "lead": [
            timeliness(days, need.needed_by, values, now) * weights["lead_time"] for days in range(_LONGEST_LEAD + 1)
        ],
        "standards": standards,
        "fits": fits,
        "best_fit": max([0.0, *(fit for fit in fits if fit is not None)]),
        **{f"w_{name}": weights[name] for name in ("coverage", "distance", "freshness", "record", "price")},
        "half_distance_km": float(values.half_distance_km),
        "fresh_seconds": values.offer_fresh_days * 86_400.0,
        "prior_matches": float(values.record_prior_matches),
        "prior_share": float(values.record_prior_share),
        "gift_reach_km": values.gift_reach_km if can_wait(need) else None,
        "gift_reach_km_per_day": float(values.gift_reach_km_per_day),
    }


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
