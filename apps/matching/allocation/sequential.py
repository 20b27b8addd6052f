"""The sequential decision: one need after the other takes from its best sources, in order of precedence. Pure.

Property tests hold its guarantees: no source is oversold, and no need gets more than it wants. None is left short
while a source that would help is left. No lower tier gets what a higher one lacks. The order of the input does not
matter.
"""

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from apps.matching.allocation.shortage import Shortage
from apps.matching.scoring.facts import HeldFor, Need, Rules, Source, minimum_useful_quantity
from apps.matching.scoring.precedence import effective_tier, precedence
from apps.matching.scoring.ranking import Candidate, Ranked, SourceTable, rank
from apps.policy.values import PolicyValues


@dataclass(frozen=True, slots=True)
class Hold:
    """Ask this source for this much. `rank` counts from 1 within the need."""

    need_id: int
    candidate: Candidate
    quantity: int
    rank: int


@dataclass(frozen=True, slots=True)
class Backup:
    """The offer to ask next, should a supplier that is asked now say no. `rank` goes on from that of the holds."""

    need_id: int
    candidate: Candidate
    rank: int


@dataclass
class Plan:
    """What was decided. `yielding` are ids of unanswered holds that end because a higher tier needs the stock."""

    holds: list[Hold] = field(default_factory=list)
    backups: list[Backup] = field(default_factory=list)
    yielding: list[int] = field(default_factory=list)
    ranked: dict[int, Ranked] = field(default_factory=dict)

    def add(self, other: "Plan") -> None:
        """Take in the plan of other needs."""
        self.holds += other.holds
        self.backups += other.backups
        self.yielding += other.yielding
        self.ranked |= other.ranked

    def explain(self, shortages: Mapping[int, Shortage]) -> None:
        """Add to each hold why its need got no more; `shortages` are by need id."""
        self.holds = [
            replace(hold, candidate=replace(hold.candidate, terms=(*hold.candidate.terms, shortage.term())))
            if (shortage := shortages.get(hold.need_id))
            else hold
            for hold in self.holds
        ]


def decide(
    needs: Iterable[Need],
    sources: Sequence[Source],
    rules: Rules,
    *,
    policy: PolicyValues,
    now: dt.datetime,
    shortlists: Mapping[int, Ranked] | None = None,
) -> Plan:
    """Serve the needs in order of precedence, each from its best sources, and from several where one is not enough.

    Within a tier each need first gets at most its share of a contested item, then what is left. A source that has not
    answered a need is not asked for more of it meanwhile. What the need still wants of that source stays reserved from
    lower tiers. Where free stock is too little, unanswered holds of lower tiers yield, the lowest tier first, and
    within it the largest id.

    With `shortlists`, by need id, `sources` are those on the lists, and the plan is the one that all sources would lead
    to. Raises `BeyondRanking` where the lists do not decide it.
    """
    plan = Plan()
    stock = _Stock(sources)
    table = SourceTable(() if shortlists is not None else sources, policy=policy, now=now)
    queue = sorted(needs, key=lambda need: precedence(need, now, policy))
    # A tier is finished before the next begins, so a lower one never takes what a higher one lacks.
    for tier, group in groupby(queue, key=lambda need: effective_tier(need.tier, need.waiting_since, now, policy)):
        members = list(group)
        for need in members:
            known = rank(need, table, rules, policy=policy, now=now) if shortlists is None else shortlists[need.id]
            plan.ranked[need.id] = known
        taken: dict[int, dict[int, int]] = {need.id: {} for need in members}
        stock.tier = tier
        shares = {need.id: _share(need, members, plan.ranked, stock, policy) for need in members}
        # Two turns: shares of what is contested first, so that one large need does not take all; then the rest.
        for cap in (shares, {need.id: need.remaining for need in members}):
            for need in members:
                _take(need, plan.ranked[need.id].candidates.sources(), taken[need.id], stock, cap[need.id], policy)
        for need in members:
            # Holds of others yield only after free stock: taking back a hold costs a supplier's patience.
            _take_over(need, plan, taken[need.id], stock, policy)
            # Lower tiers must leave this much at sources that have not answered this need (`_Stock.available`).
            stock.remaining[need.id] = need.remaining - sum(taken[need.id].values())
        for need in members:
            _record(need, plan, taken[need.id], policy)
    return plan


class _Stock:
    """What each source has left while the decision is being made."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.free: dict[int, int] = {source.id: source.free for source in sources}
        self.held: dict[int, list[HeldFor]] = defaultdict(list)
        # By need id, the units that remain of needs whose holds a source has not answered.
        self.remaining: dict[int, int] = {hold.need_id: hold.remaining for source in sources for hold in source.held}
        self.tier = 1  # that is being served
        for source in sources:
            if source.held:
                self.held[source.id] = sorted(source.held, key=lambda hold: (hold.tier, hold.match_id))

    def available(self, source_id: int, freed: int = 0) -> int:
        """Units that the present tier may take, if `freed` units more were free.

        Higher tiers keep what they still want of a source that has not answered them.
        """
        free = self.free[source_id] + freed
        if free and source_id in self.held:
            free -= sum(self.remaining[hold.need_id] for hold in self.held[source_id] if hold.tier < self.tier)
        return max(0, free)


def _share(need: Need, members: Sequence[Need], ranked: dict[int, Ranked], stock: _Stock, policy: PolicyValues) -> int:
    """The units that a need may take in the first turn: its share while its item is contested within the tier."""
    competitors = [other for other in members if other.item_id == need.item_id]
    # Alone in its tier a need competes with nobody.
    if len(competitors) < 2:
        return need.remaining
    wanted = sum(other.remaining for other in competitors)
    supply = 0
    for source in ranked[need.id].candidates.sources():
        # Stops as soon as there is enough for all, which is usually after a few sources.
        supply += stock.available(source.id)
        if supply >= wanted:
            return need.remaining
    return min(need.remaining, max(1, math.floor(supply * policy.share_cap)))


def _quantity(wanted: int, available: int, already: int, minimum_order: int, minimum_useful: int) -> int:
    """Units to take of a source beyond those taken already; 0 where the sum would be below one of the minimums."""
    quantity = min(wanted, available)
    # All that is wanted may be less than the useful minimum; then that is useful.
    least = max(already + 1, minimum_order, min(minimum_useful, already + wanted))
    return quantity if already + quantity >= least else 0


def _take(
    need: Need,
    sources: Iterable[Source],
    taken: dict[int, int],
    stock: _Stock,
    cap: int,
    policy: PolicyValues,
) -> None:
    """Take from the best sources with a useful quantity, up to `cap` units in all."""
    minimum_useful = minimum_useful_quantity(need, policy)
    for source in sources:
        wanted = cap - sum(taken.values())
        if wanted <= 0:
            return
        already = taken.get(source.id, 0)
        quantity = _quantity(wanted, stock.available(source.id), already, source.minimum_order, minimum_useful)
        if quantity:
            taken[source.id] = already + quantity
            stock.free[source.id] -= quantity
        if quantity == wanted:
            return


def _take_over(need: Need, plan: Plan, taken: dict[int, int], stock: _Stock, policy: PolicyValues) -> None:
    """Let unanswered holds of lower tiers yield, source by source, until the need has what it wants.

    No hold yields for stock that would not be taken.
    """
    minimum_useful = minimum_useful_quantity(need, policy)
    for source in plan.ranked[need.id].candidates.sources():
        wanted = need.remaining - sum(taken.values())
        if wanted <= 0:
            return
        already = taken.get(source.id, 0)
        lower = [hold for hold in stock.held[source.id] if hold.tier > stock.tier]
        # As if all of them yielded. Then only as many yield as are needed.
        available = stock.available(source.id, freed=sum(hold.quantity for hold in lower))
        quantity = _quantity(wanted, available, already, source.minimum_order, minimum_useful)
        if not quantity:
            continue
        while lower and stock.available(source.id) < quantity:
            # From the end of the sorted list: the lowest tier, and within it the largest id.
            hold = lower.pop()
            stock.held[source.id].remove(hold)
            stock.free[source.id] += hold.quantity
            plan.yielding.append(hold.match_id)
        taken[source.id] = already + quantity
        stock.free[source.id] -= quantity


def _record(need: Need, plan: Plan, taken: dict[int, int], policy: PolicyValues) -> None:
    """Write the holds and backups of a need into the plan, ranked in the order of its candidates."""
    if not taken:
        return
    candidates = plan.ranked[need.id].candidates
    chosen: list[int] = []
    others: list[int] = []
    for index, source in enumerate(candidates.sources()):
        if source.id in taken:
            chosen.append(index)
        elif len(others) < policy.standbys:
            others.append(index)
        if len(chosen) == len(taken) and len(others) == policy.standbys:
            break
    for rank_, index in enumerate(chosen, 1):
        candidate = candidates[index]
        quantity = taken[candidate.source.id]
        if quantity > candidate.source.free:  # holds of lower tiers have yielded
            candidate = candidates.with_quantity(index, quantity)
        plan.holds.append(Hold(need.id, candidate, quantity, rank_))
    for rank_, index in enumerate(others, len(chosen) + 1):
        plan.backups.append(Backup(need.id, candidates[index], rank_))
