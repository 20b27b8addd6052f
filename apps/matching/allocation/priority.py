"""Lexicographic priorities as weights: each need is a list of segments whose weight falls with their level. Pure.

The aims in their order, tier first, are a lexicographic goal programme. The quantities that can be served together form
a polymatroid, on which the greedy algorithm is optimal (J. Edmonds, 1970; for flows N. Megiddo, Mathematical
Programming 7, 1974). So for *any* weights that fall from level to level the heaviest plan is the lexicographic one, and
weights need not grow exponentially. They fall by equal steps, each of which exceeds all that scores can differ by along
a chain of exchanges.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from apps.matching.allocation.groups import Bools, Floats, Ints
from apps.matching.allocation.market import THOUSAND, Market
from apps.policy.values import Fairness

_SETTLED = 1 << 14  # far more than a score and a bonus: a unit is not left out for the sake of better scores
_MAX_COST = 1 << 60  # the solver multiplies costs by the number of nodes; the product must stay below 2 ** 63


@dataclass(frozen=True)
class PriorityLevels:
    """The segments of all needs, one need after the other, and the best segment of each need first.

    A segment is an arc from its need to the sink: the reward of a need is concave and piecewise linear. Arrays have
    shape (n_segments,) unless another is given.
    """

    row: Ints  # index of the need
    capacity: Ints  # units
    level: Ints  # 0 is served first
    weight: Ints  # per unit, in thousandths of a score; falls with the level, and within one with the size of the need
    start: Ints  # (n_needs + 1,): the first segment of each need
    tier: Ints  # (n_needs,): after ageing
    cap: Ints  # (n_needs,): units that a need gets while the item is contested, before others had a turn

    @cached_property
    def offset(self) -> Ints:
        """Units that a need has got before each of its segments begins."""
        before: Ints = np.cumsum(self.capacity) - self.capacity
        return np.asarray(before - before[self.start[:-1]][self.row], dtype=np.int64)

    def of(self, rows: Ints) -> "PriorityLevels":
        """Those of some needs alone, given in order: the same levels and weights, whoever else is there."""
        number = np.full(len(self.tier), -1)
        number[rows] = np.arange(len(rows))
        chosen = number[self.row] >= 0
        row = number[self.row[chosen]]
        return PriorityLevels(
            row=row,
            capacity=self.capacity[chosen],
            level=self.level[chosen],
            weight=self.weight[chosen],
            start=np.searchsorted(row, np.arange(len(rows) + 1)),
            tier=self.tier[rows],
            cap=self.cap[rows],
        )

    def settled(self, units: Ints) -> "PriorityLevels":
        """All needs alike, each with so many units (n_needs,) and no more: then only the scores are left to decide.

        The solver's work grows with the size of its costs, and these are small.
        """
        rows = np.arange(len(units))
        return PriorityLevels(
            row=rows,
            capacity=units,
            level=np.zeros_like(rows),
            weight=np.full(len(rows), _SETTLED),
            start=np.arange(len(rows) + 1),
            tier=self.tier,
            cap=units,
        )

    def filled(self, assigned: Ints) -> Ints:
        """Units in each segment, when each need is assigned so much (n_needs,)."""
        return np.asarray(np.clip(assigned[self.row] - self.offset, 0, self.capacity), dtype=np.int64)

    def values_of(self, rows: Ints, assigned: Ints) -> Floats:
        """The weighted units of each of these needs, when it is assigned so much. All have the shape of `rows`."""
        count = self.start[rows + 1] - self.start[rows]
        which = np.repeat(np.arange(len(rows)), count)
        segment = np.arange(len(which)) + np.repeat(self.start[rows] - np.cumsum(count) + count, count)
        filled = np.clip(assigned[which] - self.offset[segment], 0, self.capacity[segment])
        value = filled.astype(np.float64) * self.weight[segment]
        return np.bincount(which, value, minlength=len(rows)).astype(np.float64)

    def value(self, assigned: Ints) -> float:
        """The weighted units of all needs."""
        return float(self.filled(assigned).astype(np.float64) @ self.weight)

    def units_by_level(self, assigned: Ints) -> list[int]:
        """Units on each level, the best level first: the vector that is compared lexicographically."""
        totals = np.zeros(int(self.level.max(initial=-1)) + 1, dtype=np.int64)
        np.add.at(totals, self.level, self.filled(assigned))
        return totals.tolist()

    def units_by_tier(self, assigned: Ints) -> dict[int, int]:
        """Units in each tier."""
        return {int(tier): int(assigned[self.tier == tier].sum()) for tier in np.unique(self.tier)}


def priority_levels(market: Market, supply: Ints) -> PriorityLevels:
    """The segments of all needs. `supply` (n_needs,) is what is free at the compatible sources of each."""
    policy, remaining = market.policy, market.remaining
    _tiers, tier = np.unique(market.tier, return_inverse=True)
    wanted = np.bincount(tier, remaining).astype(np.int64)
    wanted_so_far = np.cumsum(wanted)
    # A need alone in its tier, or in a tier that has enough, is not capped.
    contested = (np.bincount(tier)[tier] > 1) & (wanted[tier] > supply)
    share = np.maximum(1, (supply * policy.share_cap).astype(np.int64))
    cap = np.where(contested, np.minimum(remaining, share), remaining)
    fair_from = math.inf if policy.fairness == Fairness.OFF else policy.fair_from
    # Equal parts only where this tier and those above want more than there is, and enough is there for a part to help
    # (`fair_from`; decision 0018).
    shared = (wanted_so_far[tier] > supply) & (market.free.sum() >= fair_from * wanted_so_far)[tier]
    parts = np.where(shared, policy.fair_parts, 1)

    # Segments end at each equal part of a need, and at its cap.
    part = np.arange(1, parts.max(initial=1) + 1)
    ends = np.minimum(remaining[:, None] * part // parts[:, None], remaining[:, None])
    ends = np.sort(np.concatenate([ends, cap[:, None]], axis=1), axis=1)
    capacity = np.diff(ends, axis=1, prepend=0)
    # Two ends that coincide leave a segment of no capacity, which is dropped.
    row, index = np.nonzero(capacity)
    end = ends[row, index]
    level = _levels(market, row, (end * parts[row] - 1) // remaining[row], end > cap[row])
    return PriorityLevels(
        row=row,
        capacity=capacity[row, index],
        level=level,
        weight=_weights(level, _fill_rewards(market)[row], market),
        start=np.searchsorted(row, np.arange(len(market) + 1)),
        tier=market.tier,
        cap=cap,
    )


def _levels(market: Market, row: Ints, part: Ints, over_cap: Bools) -> Ints:
    """Number the segments by everything that comes before the score. Equal keys share a level."""
    policy = market.policy
    # Whole steps, up to a limit: hours apart are no reason to send goods past a nearer need (decision 0018).
    waited = np.minimum(policy.waiting_steps, market.hours / policy.waiting_step_hours).astype(np.int64)
    urgency = market.urgency[row]
    shared_first = (part, urgency) if policy.fairness == Fairness.TIER else (urgency, part)
    # The order of this list is the order of the aims. Rising numbers are served later, so waiting is negated.
    key = np.stack([market.tier[row], over_cap, *shared_first, market.days[row], -waited[row]])
    # `lexsort` sorts by its last key first.
    order = np.lexsort(key[::-1])
    level = np.zeros(len(row), dtype=np.int64)
    level[order[1:]] = np.cumsum((key[:, order[1:]] != key[:, order[:-1]]).any(axis=0))
    return level


def _fill_rewards(market: Market) -> Ints:
    """What a unit is worth for the share of its need that it fills, in thousandths: small needs get more per unit."""
    return np.rint(market.policy.fill_weight * THOUSAND / market.target).astype(np.int64)


def _weights(level: Ints, fill_reward: Ints, market: Market) -> Ints:
    """Weights that fall by `gap` from level to level.

    A chain of exchanges visits each need and source once at most. So it has at most 2·(min(n_needs, n_sources) + 1)
    arcs, and each changes the score by at most THOUSAND + bonus. The gap is twice that, and the largest fill reward.
    """
    count = int(level.max(initial=0)) + 1
    nodes = len(market.needs) + len(market.sources) + 2
    gap = 4 * (THOUSAND + market.bonus) * (min(len(market.needs), len(market.sources)) + 1)
    gap += int(fill_reward.max(initial=0))
    # With very many levels the solver's range cuts the gap below what the proof asks for. Levels still come first,
    # unless scores differ as much as in the worst case.
    gap = max(1, min(gap, _MAX_COST // nodes // count))
    return (count - level) * gap + fill_reward


def jain_index(market: Market, levels: PriorityLevels, assigned: Ints, supply: Ints) -> float:
    """Jain's fairness index of the shares served, in the first tier that is not served in full. 1 means all alike.

    Needs without a compatible source are left out. R. Jain, D. Chiu, W. Hawe, DEC-TR-301, 1984.
    """
    for tier in np.unique(levels.tier):
        members = (levels.tier == tier) & (supply > 0)
        share = assigned[members] / market.remaining[members]
        if len(share) and share.min() < 1 and share.max() > 0:
            return float(share.sum() ** 2 / (len(share) * (share**2).sum()))
    return 1.0
