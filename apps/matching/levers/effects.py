"""What an act would bring: the greedy decision on the changed goods, summed up by region. Pure.

Only the changed goods are handed out. All others were offered to these needs already and did not serve them, because no
need is left short while an offer is left that would help (`allocation.sequential`).
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Final

from apps.matching.allocation.arcs import eligible_supply
from apps.matching.allocation.contested import market_of
from apps.matching.allocation.greedy import greedy
from apps.matching.allocation.priority import priority_levels
from apps.matching.levers.acts import Act
from apps.matching.scoring.facts import Need, Rules, Source, region_codes
from apps.matching.scoring.precedence import effective_tier
from apps.policy.values import PolicyValues

# Minimum orders that needs of unknown quantity are tried with, the least first.
_MOST_MINIMUMS: Final = 5


@dataclass(frozen=True, slots=True)
class Effect:
    """Needs that would get goods, of how many organisations, how many units in all, and the best tier among them."""

    needs: int
    organisations: int
    quantity: int
    tier: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The effect by code of region, each with all that lies within it; and the offers that would give, most first."""

    effects: Mapping[str, Effect]
    offers: tuple[int, ...]


@dataclass
class _Tally:
    needs: int = 0
    organisations: set[int] = field(default_factory=set)
    quantity: int = 0
    tier: int = 99


def outcome(
    act: Act,
    most: Mapping[int, int],
    rules: Rules,
    *,
    regions: AbstractSet[str],
    policy: PolicyValues,
    now: dt.datetime,
) -> Outcome | None:
    """What the act would bring to these regions, given by code; None if nothing.

    `most` is what needs of unknown quantity may take, by their ids.
    """
    rules = act.rules(rules)
    given: dict[int, int] = {}
    drawn: dict[int, int] = defaultdict(int)

    def hand_out(needs: Sequence[Need]) -> None:
        left = [replace(one, free=one.free - drawn[one.id], held=()) for one in act.sources]
        for need_id, source_id, units in _decide(needs, left, rules, policy, now):
            given[need_id] = given.get(need_id, 0) + units
            drawn[source_id] += units

    hand_out(act.needs)
    # As matching does: where a trial lot reaches no minimum order, the least one that is plausible is taken.
    minimums = sorted({source.minimum_order for source in act.sources})[:_MOST_MINIMUMS] if most else ()
    for minimum in minimums:
        raised = [
            replace(need, target=minimum, remaining=minimum)
            for need in act.needs
            if need.remaining < minimum <= most.get(need.id, 0) and need.id not in given
        ]
        if raised:
            hand_out(raised)
    effects = _by_region(act.needs, given, regions, policy, now)
    if not effects:
        return None
    offers = sorted((pk for pk, units in drawn.items() if units), key=lambda pk: (-drawn[pk], pk))
    return Outcome(effects, tuple(offers))


def _decide(
    needs: Iterable[Need], sources: Iterable[Source], rules: Rules, policy: PolicyValues, now: dt.datetime
) -> list[tuple[int, int, int]]:
    """Need, source and units of each shipment."""
    market = market_of(needs, sources, rules, policy=policy, now=now)
    if not len(market) or not market.sources:
        return []
    levels = priority_levels(market, eligible_supply(market))
    rows, columns, units = greedy(market, levels.cap).triples()
    return [
        (market.needs[row].id, market.sources[column].id, some)
        for row, column, some in zip(rows.tolist(), columns.tolist(), units.tolist(), strict=True)
    ]


def _by_region(
    needs: Iterable[Need], given: Mapping[int, int], regions: AbstractSet[str], policy: PolicyValues, now: dt.datetime
) -> dict[str, Effect]:
    tallies: dict[str, _Tally] = defaultdict(_Tally)
    for need in needs:
        if need.id not in given:
            continue
        tier = effective_tier(need.tier, need.waiting_since, now, policy)
        for code in regions & region_codes(need.location):
            tally = tallies[code]
            tally.needs += 1
            tally.organisations.add(need.organisation_id)
            tally.quantity += given[need.id]
            tally.tier = min(tally.tier, tier)
    return {
        code: Effect(tally.needs, len(tally.organisations), tally.quantity, tally.tier)
        for code, tally in tallies.items()
    }
