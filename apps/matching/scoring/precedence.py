"""Which need is served before which: its tier after ageing, then urgency, days of supply, waiting. Pure.

For numbers, and for arrays of many needs.
"""

import datetime as dt
import math
from typing import Final

from apps.matching.scoring.either import Either, greatest, rounded_down
from apps.matching.scoring.facts import Need
from apps.policy.values import PolicyValues

ROUTINE: Final = 2  # the rank of an urgency that can wait


def hours_waited(waiting_since: dt.datetime, now: dt.datetime) -> float:
    return max(0.0, (now - waiting_since).total_seconds() / 3600)


def aged_tier(tier: Either, hours_waited: Either, policy: PolicyValues) -> Either:
    """The tier after so many hours: one better for each full period of waiting, never better than 1."""
    return greatest(tier - rounded_down(hours_waited / policy.ageing_hours_per_tier), 1)


def effective_tier(tier: int, waiting_since: dt.datetime, now: dt.datetime, policy: PolicyValues) -> int:
    """`aged_tier` of what has waited since then."""
    return int(aged_tier(tier, hours_waited(waiting_since, now), policy))


def precedence(need: Need, now: dt.datetime, policy: PolicyValues) -> tuple[int, int, float, dt.datetime, int]:
    """The order in which needs are served: tier, urgency, days of supply left (unknown last), waiting time, id."""
    return (
        effective_tier(need.tier, need.waiting_since, now, policy),
        need.urgency_rank,
        days_of_supply(need),
        # The id comes last, so that the order is total and the same in every run.
        need.waiting_since,
        need.id,
    )


def days_of_supply(need: Need) -> float:
    """The days of supply as needs are compared by them: unknown ones come last."""
    return math.inf if need.days_of_supply is None else float(need.days_of_supply)


def can_wait(need: Need) -> bool:
    """Whether goods may wait for a need that is nearer than this one: never while it is urgent."""
    return need.urgency_rank >= ROUTINE
