"""Who gets what, when several needs want the same goods: pure, greedy, tier by tier.

Guarantees, each held by a property test: nothing is oversold, nobody gets more than they want, no need is left
wanting while a source that would serve it is left, the order of the input does not matter, and no lower tier is given
what a higher one lacks.
"""

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from apps.matching.policy import PolicyValues
from apps.matching.ranking import (
    Candidate,
    HeldFor,
    Need,
    Ranked,
    Rules,
    Source,
    effective_tier,
    precedence,
    rank,
)


@dataclass(frozen=True, slots=True)
class Hold:
    """Ask this source for this much. `rank` counts from 1 within the need."""

    need_id: int
    candidate: Candidate
    quantity: int
    rank: int


@dataclass(frozen=True, slots=True)
class Standby:
    """The next best, should one of the asked say no."""

    need_id: int
    candidate: Candidate
    rank: int


@dataclass
class Plan:
    """What was decided. `yielding` are ids of unanswered holds that give way to a higher tier."""

    holds: list[Hold] = field(default_factory=list)
    standbys: list[Standby] = field(default_factory=list)
    yielding: list[int] = field(default_factory=list)
    ranked: dict[int, Ranked] = field(default_factory=dict)


def decide(
    needs: Iterable[Need], sources: Sequence[Source], rules: Rules, *, policy: PolicyValues, now: dt.datetime
) -> Plan:
    """Serve the needs in order of precedence, each from its best sources; what is not enough is split over several.

    Within a tier each need first gets at most its share of a contested item, then what is still there. When free
    stock does not suffice, unanswered holds of lower tiers on the need's sources yield, lowest tier and largest id
    first.
    """
    plan = Plan()
    table = _Table(sources)
    queue = sorted(needs, key=lambda need: precedence(need, now, policy))
    for tier, group in groupby(queue, key=lambda need: effective_tier(need.tier, need.waiting_since, now, policy)):
        members = list(group)
        for need in members:
            plan.ranked[need.id] = rank(need, sources, rules, policy=policy, now=now)
        taken: dict[int, dict[int, int]] = {need.id: {} for need in members}
        shares = {need.id: _share(need, members, plan.ranked, table, policy) for need in members}
        for cap in (shares, {need.id: need.wanting for need in members}):
            for need in members:
                _take(need, plan.ranked[need.id].candidates, taken[need.id], table, cap[need.id], policy)
        for need in members:
            _take_over(need, tier, plan, taken[need.id], table)
        for need in members:
            _record(need, plan, taken[need.id], policy)
    return plan


class _Table:
    """What is still there while the decision is being made."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self.free: dict[int, int] = {}
        self.held: dict[int, list[HeldFor]] = defaultdict(list)
        for source in sources:
            self.free[source.id] = source.free
            self.held[source.id] = sorted(source.held, key=lambda hold: (hold.tier, hold.match_id))


def _share(need: Need, members: Sequence[Need], ranked: dict[int, Ranked], table: _Table, policy: PolicyValues) -> int:
    """The share of a need while its item is contested within the tier; all it wants otherwise."""
    rivals = [other for other in members if other.item_id == need.item_id]
    supply = sum(table.free[candidate.source.id] for candidate in ranked[need.id].candidates)
    if len(rivals) < 2 or sum(other.wanting for other in rivals) <= supply:
        return need.wanting
    return min(need.wanting, max(1, math.floor(supply * policy.share_cap)))


def _fitting(wanted: int, available: int, minimum: int) -> int:
    """How much to take of a source; 0 when it would be below its minimum order."""
    quantity = min(wanted, available)
    return quantity if quantity >= minimum else 0


def _take(
    need: Need,
    candidates: Sequence[Candidate],
    taken: dict[int, int],
    table: _Table,
    cap: int,
    policy: PolicyValues,
) -> None:
    """Take from the best sources with enough free stock to matter, up to `cap` in all."""
    matters = max(1, math.ceil(need.wanting * policy.matter_share))
    for candidate in candidates:
        wanted = cap - sum(taken.values())
        if wanted <= 0:
            return
        source = candidate.source
        already = taken.get(source.id, 0)
        available = table.free[source.id]
        if already + available < min(matters, wanted + already):
            continue
        minimum = max(1, source.minimum_order - already)
        quantity = _fitting(wanted, available, minimum)
        if quantity:
            taken[source.id] = already + quantity
            table.free[source.id] -= quantity


def _take_over(need: Need, tier: int, plan: Plan, taken: dict[int, int], table: _Table) -> None:
    """Let unanswered holds of lower tiers yield, source by source, until the need has what it wants."""
    for candidate in plan.ranked[need.id].candidates:
        wanted = need.wanting - sum(taken.values())
        if wanted <= 0:
            return
        source = candidate.source
        lower = [hold for hold in table.held[source.id] if hold.tier > tier]
        minimum = max(1, source.minimum_order - taken.get(source.id, 0))
        if table.free[source.id] + sum(hold.quantity for hold in lower) < minimum or wanted < minimum:
            continue
        while lower and table.free[source.id] < wanted:
            hold = lower.pop()
            table.held[source.id].remove(hold)
            table.free[source.id] += hold.quantity
            plan.yielding.append(hold.match_id)
        quantity = _fitting(wanted, table.free[source.id], minimum)
        if quantity:
            taken[source.id] = taken.get(source.id, 0) + quantity
            table.free[source.id] -= quantity


def _record(need: Need, plan: Plan, taken: dict[int, int], policy: PolicyValues) -> None:
    """Write down holds and standbys, ranked in the order of the candidates."""
    place = 0
    waiting = 0
    for candidate in plan.ranked[need.id].candidates:
        quantity = taken.get(candidate.source.id, 0)
        if quantity:
            place += 1
            plan.holds.append(Hold(need.id, candidate, quantity, place))
    for candidate in plan.ranked[need.id].candidates:
        if candidate.source.id not in taken and waiting < policy.standbys and taken:
            waiting += 1
            plan.standbys.append(Standby(need.id, candidate, place + waiting))
