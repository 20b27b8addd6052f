"""The best offers for a need, found in the database without looking at all of them.

`matching_best` (sql/) gives offers by upper bounds of their scores. `ranking.rank` scores them and has the last word:
an offer is among the best for certain if it scores more than any that was left out could. As long as too few are
certain, more are asked for. What the bounds know of the score and how: docs/decisions/0019-the-best-by-bounds.md.
"""

import datetime as dt
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from django.db import connection

from apps.catalogue.regions import EARTH_RADIUS_KM
from apps.matching.loading import load_sources
from apps.matching.scoring import facts, terms
from apps.matching.scoring.distance import point
from apps.matching.scoring.eligibility import fit_of
from apps.matching.scoring.facts import Fit, Location, Need, Rules, Source
from apps.matching.scoring.ranking import Ranked, rank
from apps.policy.models import Policy

# What one need is decided by; more are seldom asked, and each costs time to load and score. Then `LONGER` lists are.
BEST: Final = 10
LONGER: Final = 80
# Beyond the best, for offers that turn out not to serve the need: in an old market most have little left.
SPARE: Final = 30
# How many times as many are asked for when they do not suffice. All steps together cost a third more than the last.
_MORE: Final = 4
# The lead times whose scores are handed over one by one. A longer one is bounded by the last.
_LONGEST_LEAD: Final = 30
_ANY_OTHER: Final = -1  # stands for a standard that nobody asked for; their keys begin at 1


def load_shortlists(
    needs: Sequence[Need], rules: Rules, policy: Policy, now: dt.datetime, *, best: int = BEST
) -> dict[int, Ranked]:
    """For each need, by its id: its best candidates for certain, at least `best` of them unless fewer can serve it;
    among the offers of its item and of accepted substitutes.
    """
    found: dict[int, Ranked] = {}
    open_needs, wanted = list(needs), best + SPARE
    sources: dict[int, Source] = {}
    asked_for: set[int] = set()  # those that serve nobody at the moment are never loaded
    while open_needs:
        bounded = {need.id: _bounded(need, rules, policy, now, wanted) for need in open_needs}
        offers = {offer for bounds, _left_out in bounded.values() for offer in bounds} - asked_for
        sources |= {source.id: source for source in load_sources((), now, policy.values, only=offers)}
        asked_for |= offers
        for need in open_needs:
            bounds, left_out = bounded[need.id]
            ranked = rank(
                need, [sources[offer] for offer in bounds if offer in sources], rules, policy=policy.values, now=now
            )
            # Of equal scores the smaller id comes first, which may have been left out.
            certain = int((ranked.candidates.scores > left_out).sum())
            whole = left_out == -math.inf
            if whole or certain >= best:
                found[need.id] = Ranked(ranked.candidates.first(certain, whole=whole), ranked.refused)
        open_needs = [need for need in open_needs if need.id not in found]
        wanted *= _MORE
    return found


def _bounded(need: Need, rules: Rules, policy: Policy, now: dt.datetime, wanted: int) -> tuple[set[int], float]:
    """Offers that may be the best for the need, and the most that any other can score: -inf if no other can serve."""
    offers: set[int] = set()  # one that has changed since it was indexed comes twice
    left_out = -math.inf
    for item_id in sorted(rules.offered_for(need.item_id, accepts_substitutes=need.accepts_substitutes)):
        bounds = upper_bounds(need, item_id, rules, policy, now, wanted=wanted)
        offers.update(offer for offer, _at_most in bounds)
        # Offers without a bound are returned besides and do not count.
        known = [at_most for _offer, at_most in bounds if at_most < math.inf]
        if len(known) == wanted:
            left_out = max(left_out, min(known) + _unknown_to_search(policy))
    return offers, left_out


def upper_bounds(
    need: Need, item_id: int, rules: Rules, policy: Policy, now: dt.datetime, *, wanted: int
) -> list[tuple[int, float]]:
    """The offers of the item with the `wanted` highest bounds, and those that have none (inf)."""
    with connection.cursor() as cursor:
        search = arguments(need, item_id, rules, policy, now, wanted=wanted)
        cursor.execute("SELECT offer_id, at_most FROM matching_best(search => %s::jsonb)", [as_json(search)])
        bounds: list[tuple[int, float]] = cursor.fetchall()
        return bounds


def _unknown_to_search(policy: Policy) -> float:
    """How much a score may exceed its bound in the database.

    Terms that the search does not know count with their whole weight. The rest is for rounding, in Python and in SQL.
    """
    return terms.bounded_by_weight(policy.values) + 1e-5


def arguments(
    need: Need, item_id: int, rules: Rules, policy: Policy, now: dt.datetime, *, wanted: int
) -> dict[str, Any]:
    """What `matching_best` is given, by the names of `matching_search`: the need, and its own terms weighted."""
    values = policy.values
    weights = values.weights
    asked = need.standard_id
    facts_of_need = facts.of_need(terms.LEAD_TIME.reads, need, now, values)
    # Any of them will do below: `fit_of` gives all that exceed the same value.
    exceeding = sorted(offered for offered, demanded in rules.satisfies if demanded == asked != offered)

    def fitting(standard: int | None) -> float | None:
        fit = fit_of(need, item_id, standard, rules)
        return fit.value * weights["standard"] if isinstance(fit, Fit) else None

    x, y, z = on_the_globe(need.location)
    return {
        "wanted": wanted,
        "at": now,
        "policy_version": policy.version,
        "item": item_id,
        "remaining": need.remaining,
        "areas": areas(code for code in need.location.path.split("/") if code),
        "x": x,
        "y": y,
        "z": z,
        # The term itself, once for each number of days, so that its formula is not repeated in SQL.
        "lead": [
            terms.LEAD_TIME(values, {"lead_time_days": days, **facts_of_need}) * weights["lead_time"]
            for days in range(_LONGEST_LEAD + 1)
        ],
        "standard": asked,
        "exceeding": exceeding,
        "fit_unstated": fitting(None),
        "fit_asked": fitting(asked),
        "fit_exceeding": fitting(exceeding[0]) if exceeding else None,
        "fit_other": fitting(_ANY_OTHER),
        "w_coverage": weights["coverage"],
        "w_distance": weights["distance"],
        "half_distance": values.half_distance_km / EARTH_RADIUS_KM,
        "base": weights["freshness"] - freshness_part(now, policy),
    }


def as_json(search: Mapping[str, Any]) -> str:
    return json.dumps(search, default=dt.datetime.isoformat)


def areas(codes: Iterable[str]) -> int:
    """One bit for each region, as a signed number of 64 bits. Regions share bits: one in common says "perhaps"."""
    # A Bloom filter with one hash function (B. Bloom, CACM 13, 1970). MD5, because Python's `hash` of text differs from
    # process to process.
    bits = 0
    for code in codes:
        bits |= 1 << (int(hashlib.md5(code.encode(), usedforsecurity=False).hexdigest()[:4], 16) & 63)
    # PostgreSQL's bigint is signed.
    return bits - (1 << 64) if bits >> 63 else bits


def on_the_globe(location: Location) -> tuple[float | None, float | None, float | None]:
    """A location on the unit sphere, as the database keeps it: three nulls where it is not known."""
    # Nulls instead of NaN, which PostgreSQL sorts above every number, so that it would spoil the boxes of cells.
    x, y, z = point(location)
    return (None, None, None) if math.isnan(x) else (x, y, z)


def freshness_part(moment: dt.datetime, policy: Policy) -> float:
    """The part of freshness in a key: the weighted term with a moment of confirmation instead of an age.

    Freshness falls for all offers at the same rate. So moments order offers as ages do, at any time, and an index of
    keys does not go out of date. `base` in `arguments` subtracts the present moment again.
    """
    return policy.values.weights["freshness"] * moment.timestamp() / (policy.values.offer_fresh_days * 86_400)
