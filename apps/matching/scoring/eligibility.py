"""May this offer serve this need? One ordered list of checks, which everything that filters offers stands on. Pure.

A check is a row: its reason, and how it is decided, in one of two ways.

- `formula`: a condition on named facts that holds where the offer may *not* serve the need, for numbers and for arrays,
  as the formulas of `terms` are.
- `listed`: for needs that name offers or suppliers who are out of the question: which attribute of the source is looked
  up, and in which set of the need. Such lists are short, so that nobody looks at every pair for them.

An offer is refused for the first check of the list that it fails. To add one, write its row below with a member of
`Reason`; words for it are in `explanation`.

Offers that serve nobody at the moment (stale, paused, a certificate that has run out, a supplier that is not verified)
are never loaded: `loading.load_sources`.
"""

import datetime as dt
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from apps.matching.scoring import facts
from apps.matching.scoring.distance import km_between
from apps.matching.scoring.either import Either
from apps.matching.scoring.facts import Fit, Need, Rules, Source, fit_of, region_codes, ships_here
from apps.matching.scoring.precedence import ROUTINE
from apps.matching.scoring.reasons import Reason
from apps.policy.values import PolicyValues


@dataclass(frozen=True)
class Check:
    """One question that keeps an offer from a need."""

    reason: Reason
    formula: Callable[..., Either] | None = None
    listed: tuple[str, Callable[[Need], Collection[int]]] | None = None
    reads: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        if (self.formula is None) == (self.listed is None):
            raise ValueError(f"{self.reason}: a check has either a formula or a list")
        object.__setattr__(self, "reads", facts.facts_read(self.formula) if self.formula else ())

    def refuses(self, given: Mapping[str, Either]) -> Either:
        """Where its formula says no, from facts that were read before."""
        assert self.formula is not None
        return self.formula(**{name: given[name] for name in self.reads})

    def fails(self, need: Need, source: Source, given: Mapping[str, float]) -> bool:
        """Whether it refuses one source to one need."""
        if not self.listed:
            return bool(self.refuses(given))
        attribute, values = self.lists(need)
        return getattr(source, attribute) in values

    def lists(self, need: Need) -> tuple[str, Collection[int]]:
        """Which attribute of a source is looked up for this need, and in what."""
        assert self.listed is not None
        attribute, named_by = self.listed
        return attribute, named_by(need)


def _own(need: Need) -> Collection[int]:
    return (need.organisation_id,)


def _asked_before(need: Need) -> Collection[int]:
    return need.excluded


def _substitute(accepted: Either) -> Either:
    return accepted == 0


def _standard(meets: Either) -> Either:
    return meets == 0


def _region(ships_here: Either) -> Either:
    return ships_here == 0


def _minimum(remaining: Either, minimum_order: Either) -> Either:
    return remaining < minimum_order


def _stock(available: Either, minimum_order: Either) -> Either:
    # Nothing at all is too little, whatever the minimum order.
    return (available < minimum_order) | (available < 1)


def _little(available: Either, minimum_useful: Either) -> Either:
    return available < minimum_useful


def _far(urgency_rank: Either, km: Either, reach_km: Either) -> Either:
    # Where the way is not known, it is not too far: nothing is greater than NaN.
    return (urgency_rank >= ROUTINE) & (km > reach_km)


_checks: Final[list[Check]] = [
    Check(Reason.OWN, listed=("organisation_id", _own)),
    Check(Reason.SUBSTITUTE, _substitute),
    Check(Reason.STANDARD, _standard),
    Check(Reason.REGION, _region),
    Check(Reason.ASKED_BEFORE, listed=("id", _asked_before)),
    Check(Reason.MINIMUM, _minimum),
    Check(Reason.STOCK, _stock),
    Check(Reason.LITTLE, _little),
    Check(Reason.FAR, _far),
]


def checks() -> tuple[Check, ...]:
    """In the order in which they are asked."""
    return tuple(_checks)


def why_not(
    need: Need,
    source: Source,
    rules: Rules,
    *,
    policy: PolicyValues,
    now: dt.datetime,
    ignoring: Collection[Reason] = (),
) -> Reason | None:
    """The first check that one offer fails for one need; None where it may serve it."""
    km = km_between(need.location, source.location, rules.distances)
    fit = fit_of(need, source.item_id, source.standard_id, rules)
    given: dict[str, float] = {
        **facts.of_need(facts.NEED, need, now, policy),
        **facts.of_source(facts.SOURCE, source, now, policy),
        "fit": fit.value if isinstance(fit, Fit) else math.nan,
        "accepted": fit is not Reason.SUBSTITUTE,
        "meets": fit is not Reason.STANDARD,
        "ships_here": ships_here(source.ships_to, region_codes(need.location)),
        "km": facts.known(km),
    }
    for check in checks():
        if check.reason not in ignoring and check.fails(need, source, given):
            return check.reason
    return None


@contextmanager
def added(check: Check) -> Iterator[Check]:
    """For tests: the check is asked last within the block, and gone after it."""
    _checks.append(check)
    try:
        yield check
    finally:
        _checks.remove(check)
