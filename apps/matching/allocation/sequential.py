"""Who gets what, when several needs want the same goods: pure, greedy, tier by tier.

Guarantees, each held by a property test: nothing is oversold, nobody gets more than they want, no need is left
wanting while a source that would serve it is left, the order of the input does not matter, and no lower tier is given
what a higher one lacks.
"""

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from apps.matching.allocation.shortage import Shortage
from apps.matching.scoring.ranking import (
    Candidate,
    HeldFor,
    Need,
    Ranked,
    Rules,
    Shortlist,
    Source,
    SourceTable,
    effective_tier,
    minimum_useful_quantity,
    precedence,
    rank,
)
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
    """The next best, should one of the asked say no."""

    need_id: int
    candidate: Candidate
    rank: int


@dataclass
class Plan:
    """What was decided. `yielding` are ids of unanswered holds that give way to a higher tier."""

    holds: list[Hold] = field(default_factory=list)
    standbys: list[Backup] = field(default_factory=list)
    yielding: list[int] = field(default_factory=list)
    ranked: dict[int, Ranked] = field(default_factory=dict)

    def tell(self, verdicts: Mapping[int, Shortage]) -> None:
        """Let each hold say why its need was given no more."""
        self.holds = [
            replace(hold, candidate=replace(hold.candidate, terms=(*hold.candidate.terms, verdict.term())))
            if (verdict := verdicts.get(hold.need_id))
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
    shortlists: Mapping[int, Shortlist] | None = None,
) -> Plan:
    """Serve the needs in order of precedence, each from its best sources; what is not enough is split over several.

    Within a tier each need first gets at most its share of a contested item, then what is still there. A source that
    has not answered a need is asked for no more of it meanwhile, but what the need still wants stays there: no lower
    tier gets it. When free stock does not suffice, unanswered holds of lower tiers on the need's sources yield, lowest
    tier and largest id first.

    With `shortlists`, by need, `sources` are those on them, and the plan is the one that all sources would lead to:
    what cannot be decided by the best few raises `BeyondRanking`.
    """
    plan = Plan()
    table = _Table(sources)
    shelf = SourceTable(() if shortlists is not None else sources, policy=policy, now=now)
    queue = sorted(needs, key=lambda need: precedence(need, now, policy))
    for tier, group in groupby(queue, key=lambda need: effective_tier(need.tier, need.waiting_since, now, policy)):
        members = list(group)
        for need in members:
            known = shelf if shortlists is None else shortlists[need.id]
            plan.ranked[need.id] = rank(need, known, rules, policy=policy, now=now)
        taken: dict[int, dict[int, int]] = {need.id: {} for need in members}
        table.tier = tier
        shares = {need.id: _share(need, members, plan.ranked, table, policy) for need in members}
        for cap in (shares, {need.id: need.wanting for need in members}):
            for need in members:
                _take(need, plan.ranked[need.id].candidates.sources(), taken[need.id], table, cap[need.id], policy)
        for need in members:
            _take_over(need, plan, taken[need.id], table, policy)
            table.wanting[need.id] = need.wanting - sum(taken[need.id].values())
        for need in members:
            _record(need, plan, taken[need.id], policy)
    return plan


class _Table:
    """What is still there while the decision is being made."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.free: dict[int, int] = {source.id: source.free for source in sources}
        self.held: dict[int, list[HeldFor]] = defaultdict(list)
        # What needs still want that a source has not answered, by need.
        self.wanting: dict[int, int] = {hold.need_id: hold.wanting for source in sources for hold in source.held}
        self.tier = 1  # whose turn it is
        for source in sources:
            if source.held:
                self.held[source.id] = sorted(source.held, key=lambda hold: (hold.tier, hold.match_id))

    def left(self, source_id: int, freed: int = 0) -> int:
        """What the tier whose turn it is may take: all but what higher ones still want that were not answered yet.

        `freed`: if so much more were free.
        """
        free = self.free[source_id] + freed
        if free and source_id in self.held:
            free -= sum(self.wanting[hold.need_id] for hold in self.held[source_id] if hold.tier < self.tier)
        return max(0, free)


def _share(need: Need, members: Sequence[Need], ranked: dict[int, Ranked], table: _Table, policy: PolicyValues) -> int:
    """The share of a need while its item is contested within the tier; all it wants otherwise."""
    rivals = [other for other in members if other.item_id == need.item_id]
    if len(rivals) < 2:
        return need.wanting
    wanted = sum(other.wanting for other in rivals)
    supply = 0
    for source in ranked[need.id].candidates.sources():
        supply += table.left(source.id)
        if supply >= wanted:
            return need.wanting
    return min(need.wanting, max(1, math.floor(supply * policy.share_cap)))


def _fitting(wanted: int, available: int, already: int, minimum: int, matters: int) -> int:
    """How much to take of a source beyond what is taken already; 0 where that would be below its minimum order or not
    worth a shipment.
    """
    quantity = min(wanted, available)
    least = max(already + 1, minimum, min(matters, already + wanted))
    return quantity if already + quantity >= least else 0


def _take(
    need: Need,
    sources: Iterable[Source],
    taken: dict[int, int],
    table: _Table,
    cap: int,
    policy: PolicyValues,
) -> None:
    """Take from the best sources with enough free stock to matter, up to `cap` in all."""
    matters = minimum_useful_quantity(need, policy)
    for source in sources:
        wanted = cap - sum(taken.values())
        if wanted <= 0:
            return
        already = taken.get(source.id, 0)
        quantity = _fitting(wanted, table.left(source.id), already, source.minimum_order, matters)
        if quantity:
            taken[source.id] = already + quantity
            table.free[source.id] -= quantity
        if quantity == wanted:
            return


def _take_over(need: Need, plan: Plan, taken: dict[int, int], table: _Table, policy: PolicyValues) -> None:
    """Let unanswered holds of lower tiers yield, source by source, until the need has what it wants. None yields for
    what would not be taken.
    """
    matters = minimum_useful_quantity(need, policy)
    for source in plan.ranked[need.id].candidates.sources():
        wanted = need.wanting - sum(taken.values())
        if wanted <= 0:
            return
        already = taken.get(source.id, 0)
        lower = [hold for hold in table.held[source.id] if hold.tier > table.tier]
        available = table.left(source.id, freed=sum(hold.quantity for hold in lower))
        quantity = _fitting(wanted, available, already, source.minimum_order, matters)
        if not quantity:
            continue
        while lower and table.left(source.id) < quantity:
            hold = lower.pop()
            table.held[source.id].remove(hold)
            table.free[source.id] += hold.quantity
            plan.yielding.append(hold.match_id)
        taken[source.id] = already + quantity
        table.free[source.id] -= quantity


def _record(need: Need, plan: Plan, taken: dict[int, int], policy: PolicyValues) -> None:
    """Write down holds and standbys, ranked in the order of the candidates."""
    if not taken:
        return
    candidates = plan.ranked[need.id].candidates
    chosen: list[int] = []
    waiting: list[int] = []
    for place, source in enumerate(candidates.sources()):
        if source.id in taken:
            chosen.append(place)
        elif len(waiting) < policy.standbys:
            waiting.append(place)
        if len(chosen) == len(taken) and len(waiting) == policy.standbys:
            break
    for rank_, place in enumerate(chosen, 1):
        candidate = candidates[place]
        quantity = taken[candidate.source.id]
        if quantity > candidate.source.free:  # others have yielded
            candidate = candidates.giving(place, quantity)
        plan.holds.append(Hold(need.id, candidate, quantity, rank_))
    for rank_, place in enumerate(waiting, len(chosen) + 1):
        plan.standbys.append(Backup(need.id, candidates[place], rank_))
