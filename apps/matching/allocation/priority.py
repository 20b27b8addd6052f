"""The order in which units of need are served, as steps with falling weight: tier first, then the rest. Pure.

What can be served of each need forms a polymatroid, so for any weights that fall from level to level the heaviest plan
is the lexicographic one: weights that fall by equal amounts will do, as long as one level is worth more than all that
the scores along a chain of exchanges can differ by.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from apps.matching.allocation.groups import Floats, Ints, Truths
from apps.matching.allocation.market import THOUSAND, Market
from apps.policy.values import Fairness

_MOST = 1 << 60  # the solver multiplies costs by the number of nodes; the product must stay below 2 ** 63


@dataclass(frozen=True)
class PriorityLevels:
    """Steps, of one need after the other and each need's best first: whose, how many units, how much each is worth."""

    row: Ints
    capacity: Ints
    level: Ints  # 0 is served first
    weight: Ints  # falls from level to level; within one, rises with the share of its need that a unit fills
    start: Ints  # of each need: its first step; one more at the end
    tier: Ints  # of each need, after ageing
    cap: Ints  # of each need: its share while the item is contested

    @cached_property
    def before(self) -> Ints:
        """How much a need must have got before each step is its turn."""
        before: Ints = np.cumsum(self.capacity) - self.capacity
        return np.asarray(before - before[self.start[:-1]][self.row], dtype=np.int64)

    def filled(self, got: Ints) -> Ints:
        """How much of each step is served when each need got so much."""
        return np.asarray(np.clip(got[self.row] - self.before, 0, self.capacity), dtype=np.int64)

    def worths(self, rows: Ints, got: Ints) -> Floats:
        """What these needs' steps are worth, each for itself, when they got so much."""
        count = self.start[rows + 1] - self.start[rows]
        which = np.repeat(np.arange(len(rows)), count)
        step = np.arange(len(which)) + np.repeat(self.start[rows] - np.cumsum(count) + count, count)
        filled = np.clip(got[which] - self.before[step], 0, self.capacity[step])
        worth = filled.astype(np.float64) * self.weight[step]
        return np.bincount(which, worth, minlength=len(rows)).astype(np.float64)

    def worth(self, got: Ints) -> float:
        return float(self.filled(got).astype(np.float64) @ self.weight)

    def levels(self, got: Ints) -> list[int]:
        """Units served on each level, best first: what is compared lexicographically."""
        totals = np.zeros(int(self.level.max(initial=-1)) + 1, dtype=np.int64)
        np.add.at(totals, self.level, self.filled(got))
        return totals.tolist()

    def tiers(self, got: Ints) -> dict[int, int]:
        """Units served in each tier."""
        return {int(tier): int(got[self.tier == tier].sum()) for tier in np.unique(self.tier)}


def build(market: Market, supply: Ints) -> PriorityLevels:
    """The steps of all needs; `supply` is what is free at the sources that could serve each."""
    policy, wanting = market.policy, market.wanting
    _tiers, tier = np.unique(market.tier, return_inverse=True)
    asked = np.bincount(tier, wanting).astype(np.int64)
    above = np.cumsum(asked)
    rivals = (np.bincount(tier)[tier] > 1) & (asked[tier] > supply)
    share = np.maximum(1, (supply * policy.share_cap).astype(np.int64))
    cap = np.where(rivals, np.minimum(wanting, share), wanting)
    fair_from = math.inf if policy.fairness == Fairness.OFF else policy.fair_from
    shared = (above[tier] > supply) & (market.free.sum() >= fair_from * above)[tier]
    parts = np.where(shared, policy.fair_parts, 1)

    # Where steps end: at each part, and at the cap.
    part = np.arange(1, parts.max(initial=1) + 1)
    edges = np.minimum(wanting[:, None] * part // parts[:, None], wanting[:, None])
    edges = np.sort(np.concatenate([edges, cap[:, None]], axis=1), axis=1)
    heights = np.diff(edges, axis=1, prepend=0)
    row, place = np.nonzero(heights)
    edge = edges[row, place]
    level = _levels(market, row, (edge * parts[row] - 1) // wanting[row], edge > cap[row])
    return PriorityLevels(
        row=row,
        capacity=heights[row, place],
        level=level,
        weight=_weights(level, _filling(market)[row], market),
        start=np.searchsorted(row, np.arange(len(market) + 1)),
        tier=market.tier,
        cap=cap,
    )


def _levels(market: Market, row: Ints, part: Ints, over_cap: Truths) -> Ints:
    """Of each step of these needs, what decides before distance and the other terms do: the smaller is served first."""
    policy = market.policy
    steps = np.minimum(policy.waiting_steps, market.hours / policy.waiting_step_hours).astype(np.int64)
    urgency = market.urgency[row]
    order = (part, urgency) if policy.fairness == Fairness.TIER else (urgency, part)
    key = np.stack([market.tier[row], over_cap, *order, market.days[row], -steps[row]])
    first = np.lexsort(key[::-1])
    level = np.zeros(len(row), dtype=np.int64)
    level[first[1:]] = np.cumsum((key[:, first[1:]] != key[:, first[:-1]]).any(axis=0))
    return level


def _filling(market: Market) -> Ints:
    """What a unit is worth more to each need for the share of the need that it fills, in thousandths of a score."""
    return np.rint(market.policy.fill_weight * THOUSAND / market.target).astype(np.int64)


def _weights(level: Ints, filling: Ints, market: Market) -> Ints:
    """Levels apart by more than an exchange along the longest chain can gain in score, and in filling at its ends."""
    count = int(level.max(initial=0)) + 1
    nodes = len(market.needs) + len(market.sources) + 2
    gap = 4 * (THOUSAND + market.bonus) * (min(len(market.needs), len(market.sources)) + 1)
    gap += int(filling.max(initial=0))
    gap = max(1, min(gap, _MOST // nodes // count))
    return (count - level) * gap + filling


def jain(market: Market, ladder: PriorityLevels, got: Ints, reachable: Ints) -> float:
    """Jain's index of the shares served in the first tier that is not served in full (1: all alike).

    Of the needs that some source could serve. R. Jain, D. Chiu, W. Hawe, DEC-TR-301, 1984.
    """
    for tier in np.unique(ladder.tier):
        members = (ladder.tier == tier) & (reachable > 0)
        share = got[members] / market.wanting[members]
        if len(share) and share.min() < 1 and share.max() > 0:
            return float(share.sum() ** 2 / (len(share) * (share**2).sum()))
    return 1.0
