"""The numbers that a ministry may set: weights, clocks, shares. Pure data with its defaults; version 1 is what stands
here.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Final

TERMS: Final = ("coverage", "distance", "lead_time", "standard", "freshness", "record", "price")


class Fairness(StrEnum):
    """Among whom a contested item is shared evenly, instead of serving one need in full before the next."""

    OFF = "off"
    URGENCY = "urgency"  # among the needs of the same tier and urgency
    TIER = "tier"  # among all needs of the same tier; urgency decides only within an equal part


def _weights() -> dict[str, float]:
    return {
        "coverage": 0.25,
        "distance": 0.20,
        "lead_time": 0.20,
        "standard": 0.10,
        "freshness": 0.10,
        "record": 0.10,
        "price": 0.05,
    }


def _hold_minutes() -> dict[str, int]:
    return {"emergency": 15, "urgent": 120, "routine": 1440}


@dataclass(frozen=True, kw_only=True)
class PolicyValues:
    """One version of the policy. Raises `ValueError` for numbers that make no sense."""

    weights: Mapping[str, float] = field(default_factory=_weights)
    hold_minutes: Mapping[str, int] = field(default_factory=_hold_minutes)
    # Waiting this long lifts a need by one tier, again and again: late, not forgotten.
    ageing_hours_per_tier: float = 24
    # While an item is contested, no need takes more than this share of it before the others of its tier had their turn.
    share_cap: float = 0.5
    # While an item is contested, a need is served in this many equal parts, each behind the same part of the others.
    fairness: str = Fairness.URGENCY
    fair_parts: int = 8
    # A further shipment for a need weighs as much as this much score on the whole need; 0: as many as it takes.
    shipment_weight: float = 0.02
    # Every shipment weighs as much as a whole score on this many units, however large the need.
    shipment_units: float = 0
    # Equal parts only where what is free covers this share of what the tier and those above it ask for: below, nobody
    # would be left with enough, and small needs are filled instead.
    fair_from: float = 0.25
    # What a unit that would fill the whole need is worth more, as a score; one of a thousand, a thousandth of it.
    fill_weight: float = 0.3
    # How finely waiting time is told apart: in steps of this many hours, up to so many steps.
    waiting_step_hours: float = 24
    waiting_steps: int = 3
    # A gift goes no farther than this at once, and this much farther for each day that it has been on offer, to needs
    # that are routine; None: anywhere at once, as for all that is urgent and all that is sold.
    gift_reach_km: float | None = 350
    gift_reach_km_per_day: float = 13
    # Small gains make nobody's phone ring: who was asked already counts as this much score better, for a quantity that
    # changes by up to this share is not asked again, and unless a tier gets more, or all together is worth this much
    # more, nothing is changed.
    stay_bonus: float = 0.1
    stay_share: float = 0.1
    stay_margin: float = 0.01
    # An offer that covers less than this share of a need is not worth a shipment.
    matter_share: float = 0.01
    # How many suppliers wait as next best.
    standbys: int = 3
    # Where the distance term is one half.
    half_distance_km: float = 500
    # How late a delivery may be before its term is 0.
    lateness_days: float = 14
    # The record of a supplier counts as if this many matches had gone this well before.
    record_prior_matches: float = 5
    record_prior_share: float = 0.8
    # After this long without confirmation an offer's freshness is 0.
    offer_fresh_days: float = 14

    def __post_init__(self) -> None:
        if set(self.weights) != set(TERMS) or any(weight < 0 for weight in self.weights.values()):
            raise ValueError("weights: one number of at least 0 for each term")
        if abs(sum(self.weights.values()) - 1) > 1e-9:
            raise ValueError("weights: must add up to 1")
        if not 0 < self.share_cap <= 1 or not 0 <= self.matter_share <= 1:
            raise ValueError("shares: between 0 and 1")
        if self.fairness not in set(Fairness) or not 1 <= self.fair_parts <= 100:
            raise ValueError("fairness: off, urgency or tier, in 1 to 100 parts")
        small = (self.shipment_weight, self.stay_bonus, self.stay_share, self.stay_margin)
        if not all(0 <= share <= 1 for share in small):
            raise ValueError("shipment weight and reasons to stay: between 0 and 1")
        if self.ageing_hours_per_tier <= 0 or self.half_distance_km <= 0 or self.lateness_days <= 0:
            raise ValueError("ageing, distance and lateness: above 0")
        if self.standbys < 0 or any(minutes <= 0 for minutes in self.hold_minutes.values()):
            raise ValueError("standbys and hold times: not negative")
        self._check_scarcity()

    def _check_scarcity(self) -> None:
        if not all(0 <= weight <= 1000 for weight in (self.fill_weight, self.shipment_units)):
            raise ValueError("fill weight and shipment units: between 0 and 1000")
        if not 0 <= self.fair_from <= 1:
            raise ValueError("fair from: between 0 and 1")
        if self.waiting_step_hours <= 0 or self.waiting_steps < 0:
            raise ValueError("waiting: steps of more than 0 hours, and not fewer than none")
        if (self.gift_reach_km or 0) < 0 or self.gift_reach_km_per_day < 0:
            raise ValueError("reach of gifts: not negative")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "PolicyValues":
        """Read what `to_json` wrote; what is missing keeps its default."""
        known = {one.name for one in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"unknown settings: {', '.join(unknown)}")
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def hold(self, urgency: str) -> dt.timedelta:
        """How long a supplier has to answer."""
        return dt.timedelta(minutes=self.hold_minutes[urgency])
