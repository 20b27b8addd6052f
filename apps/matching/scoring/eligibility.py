"""May this offer serve this need? One ordered list of checks, which everything that filters offers stands on. Pure, but
for words and conditions of the ORM.

A check is a row of `_checks` with all that it consists of: its reason, how it is decided, how it is counted in SQL, the
sentences for the requester, and the change of the need that would help. To add one, write its row. It is decided in
one of three ways:

- `formula`: a condition on named facts that holds where the offer may *not* serve the need, for numbers and for arrays,
  as the formulas of `terms` are.
- `listed`: for needs that name offers or suppliers who are out of the question: which attribute of the source is looked
  up, and in which set of the need. Such lists are short, so that nobody looks at every pair for them.
- `sql` alone: the offer serves nobody at the moment. `loading.load_sources` leaves it out.

An offer is refused for the first check of the list that it fails. Beside that, an item may have twenty thousand offers
that are counted for the requester (`explanation.outlook`), without loading one of them: by all checks that they fail.
"""

import datetime as dt
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from django.db.models import F, Q
from django.utils.translation import ngettext_lazy

from apps.matching.scoring import facts
from apps.matching.scoring.distance import km_between
from apps.matching.scoring.either import Either
from apps.matching.scoring.facts import Fit, Need, Rules, Source, minimum_useful_quantity, region_codes, ships_here
from apps.matching.scoring.precedence import ROUTINE
from apps.policy.values import PolicyValues


class Reason(StrEnum):
    """Why an offer may not serve a need, and why a need was not given all it wants: one list of codes.

    The codes are stored and seen by clients: they keep their spelling.
    """

    # Why an offer may not serve a need.
    OWN = "own"  # the need and the offer are of one organisation
    SUBSTITUTE = "substitute"  # another item, which the requester does not accept
    STANDARD = "standard"  # not the standard that is asked for, nor one that meets it
    REGION = "region"  # the supplier does not ship there
    MINIMUM = "minimum"  # the minimum order is more than the need still wants
    STOCK = "stock"  # all promised to others, or less left than the minimum order
    LITTLE = "little"  # less left than is worth a shipment for this need
    ASKED_BEFORE = "asked_before"  # its supplier was asked and said no, or never answered
    FAR = "far"  # a gift, which waits for a need nearby before it goes so far to one that can wait

    # Why an offer serves nobody at the moment.
    CERTIFICATE = "certificate"  # has run out
    UNVERIFIED = "unverified"  # the supplier is not verified
    STALE = "stale"  # not confirmed for long, or said to be gone
    PAUSED = "paused"

    # Why a need was not given all it wants, beside MINIMUM: what is left is below minimum orders, or too little.
    NO_SOURCE = "no_source"  # no offer fits
    CAPPED = "capped"  # its share of a contested item
    SHARED = "shared"  # others of its tier need it too
    HIGHER = "higher"  # higher tiers were served first
    EXHAUSTED = "exhausted"  # all that fits is given


# The reasons that a need's shortage may have. Stored with each shortage.
OF_SHORTAGES: Final = (
    Reason.NO_SOURCE,
    Reason.MINIMUM,
    Reason.CAPPED,
    Reason.SHARED,
    Reason.HIGHER,
    Reason.EXHAUSTED,
)


class Action(StrEnum):
    """What the requester could change."""

    SUBSTITUTES = "substitutes"
    STANDARD = "standard"
    MORE = "more"  # reach a minimum order
    LESS = "less"  # so little that what is left is worth a shipment
    REGION = "region"
    URGENT = "urgent"  # say that the need cannot wait


Formula = Callable[..., Either]
Condition = Callable[[Need, Rules, PolicyValues, dt.datetime], Q]


@dataclass(frozen=True)
class Check:
    """One question that keeps an offer from a need.

    `sql` reads columns of an offer and what `explanation.outlook` works out for each: `free`, and `beyond_km`, by how
    much it is farther away than gifts go by now. A list needs none. Of the two sentences, one is about all suppliers
    that have the goods, the other about `%(number)s` of them; a check without sentences is not counted.
    """

    reason: Reason
    formula: Formula | None = None
    listed: tuple[str, Callable[[Need], Collection[int]]] | None = None
    sql: Condition | None = None
    of_all: Any = None
    of_some: Any = None
    way_out: Action | None = None
    reads: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        if (self.formula and self.listed) or not (self.formula or self.listed or self.sql):
            raise ValueError(f"{self.reason}: a check has either a formula or a list, or SQL alone")
        if self.of_some and not (self.sql or self.listed):
            raise ValueError(f"{self.reason}: what is counted has SQL or a list")
        object.__setattr__(self, "reads", facts.facts_read(self.formula) if self.formula else ())

    def refuses(self, given: Mapping[str, Either]) -> Either:
        """Where the formula says no: a truth for numbers, an array for arrays, from facts that were read before."""
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

    def condition(self, need: Need, rules: Rules, policy: PolicyValues, now: dt.datetime) -> Q:
        """Which offers it keeps from this need, in SQL."""
        if self.sql:
            return self.sql(need, rules, policy, now)
        attribute, values = self.lists(need)
        return Q(**{f"{attribute}__in": sorted(values)})


_NO_OFFER: Final = Q(pk__in=())


def _falls_short(need: Need, rules: Rules, _policy: PolicyValues, _now: dt.datetime) -> Q:
    if need.standard_id is None:
        return _NO_OFFER
    exceeding = [offered for offered, demanded in rules.satisfies if demanded == need.standard_id]
    return Q(standard=None) | ~Q(standard__in=[need.standard_id, *exceeding])


_checks: Final[list[Check]] = [
    Check(Reason.OWN, listed=("organisation_id", lambda need: (need.organisation_id,))),
    Check(
        Reason.SUBSTITUTE,
        formula=lambda accepted: accepted == 0,
        sql=lambda need, rules, *_: (
            ~Q(item__in=rules.offered_for(need.item_id, accepts_substitutes=need.accepts_substitutes))
        ),
        # These suppliers are none of those that have the goods.
        of_some=ngettext_lazy(
            "%(number)s supplier has a substitute, which this need does not accept: %(items)s.",
            "%(number)s suppliers have substitutes, which this need does not accept: %(items)s.",
            "count",
        ),
        way_out=Action.SUBSTITUTES,
    ),
    Check(
        Reason.STANDARD,
        formula=lambda meets: meets == 0,
        sql=_falls_short,
        of_all=ngettext_lazy(
            "Its goods do not reach the standard %(standard)s.",
            "None of them has it by the standard %(standard)s or a better one.",
            "count",
        ),
        of_some=ngettext_lazy(
            "%(number)s of them does not reach the standard %(standard)s.",
            "%(number)s of them do not reach the standard %(standard)s.",
            "count",
        ),
        way_out=Action.STANDARD,
    ),
    Check(
        Reason.REGION,
        formula=lambda ships_here: ships_here == 0,
        sql=lambda need, *_: ~Q(ships_to=[]) & ~Q(ships_to__overlap=sorted(region_codes(need.location))),
        of_all=ngettext_lazy("It does not ship to %(region)s.", "None of them ships to %(region)s.", "count"),
        of_some=ngettext_lazy(
            "%(number)s of them does not ship to %(region)s.", "%(number)s of them do not ship to %(region)s.", "count"
        ),
        way_out=Action.REGION,
    ),
    Check(
        Reason.MINIMUM,
        formula=lambda remaining, minimum_order: remaining < minimum_order,
        sql=lambda need, *_: Q(minimum_order__gt=need.remaining),
        of_all=ngettext_lazy(
            "Its minimum order is above the %(wanting)s that are still needed.",
            "All of them have minimum orders above the %(wanting)s that are still needed.",
            "count",
        ),
        of_some=ngettext_lazy(
            "%(number)s of them has a minimum order above the %(wanting)s that are still needed.",
            "%(number)s of them have minimum orders above the %(wanting)s that are still needed.",
            "count",
        ),
        way_out=Action.MORE,
    ),
    Check(
        Reason.STOCK,
        # Nothing at all is too little, whatever the minimum order. In the database it is 1 at least.
        formula=lambda available, minimum_order: (available < minimum_order) | (available < 1),
        sql=lambda *_: Q(free__lt=F("minimum_order")),
        of_all=ngettext_lazy(
            "All of its stock is reserved for others.", "All of their stock is reserved for others.", "count"
        ),
        of_some=ngettext_lazy(
            "%(number)s of them has all of its stock reserved for others.",
            "%(number)s of them have all of their stock reserved for others.",
            "count",
        ),
    ),
    Check(
        Reason.LITTLE,
        formula=lambda available, minimum_useful: available < minimum_useful,
        # Less than a minimum order is STOCK and not counted twice: to ask for less would not help.
        sql=lambda need, _rules, policy, _now: Q(
            free__gte=F("minimum_order"), free__lt=minimum_useful_quantity(need, policy)
        ),
        of_all=ngettext_lazy(
            "What it has left is too little to be worth a shipment.",
            "What each of them has left is too little to be worth a shipment.",
            "count",
        ),
        of_some=ngettext_lazy(
            "%(number)s of them has too little left to be worth a shipment.",
            "%(number)s of them have too little left to be worth a shipment.",
            "count",
        ),
        way_out=Action.LESS,
    ),
    Check(
        Reason.ASKED_BEFORE,
        listed=("id", lambda need: need.excluded.get(Reason.ASKED_BEFORE, ())),
        of_all=ngettext_lazy(
            "It was asked before and declined, did not answer or gave what it could.",
            "All of them were asked before and declined, did not answer or gave what they could.",
            "count",
        ),
        of_some=ngettext_lazy(
            "%(number)s of them was asked before and declined, did not answer or gave what it could.",
            "%(number)s of them were asked before and declined, did not answer or gave what they could.",
            "count",
        ),
    ),
    Check(
        Reason.CERTIFICATE,
        sql=lambda _need, _rules, _policy, now: Q(certificate_valid_until__lt=now.date()),
        of_all=ngettext_lazy("Its certificate has expired.", "Their certificates have expired.", "count"),
        of_some=ngettext_lazy(
            "The certificate of %(number)s of them has expired.",
            "The certificates of %(number)s of them have expired.",
            "count",
        ),
    ),
    Check(
        Reason.UNVERIFIED,
        sql=lambda *_: ~Q(organisation__state="verified"),
        of_all=ngettext_lazy("It is not verified.", "None of them is verified.", "count"),
        of_some=ngettext_lazy("%(number)s of them is not verified.", "%(number)s of them are not verified.", "count"),
    ),
    Check(
        Reason.STALE,
        sql=lambda *_: Q(state="stale"),
        of_all=ngettext_lazy(
            "It has not confirmed lately that the goods are still there.",
            "None of them has confirmed lately that the goods are still there.",
            "count",
        ),
        of_some=ngettext_lazy(
            "%(number)s of them has not confirmed lately that the goods are still there.",
            "%(number)s of them have not confirmed lately that the goods are still there.",
            "count",
        ),
    ),
    Check(
        Reason.PAUSED,
        sql=lambda *_: Q(state="paused"),
        of_all=ngettext_lazy("It has paused its offer.", "All of them have paused their offers.", "count"),
        of_some=ngettext_lazy(
            "%(number)s of them has paused its offer.", "%(number)s of them have paused their offers.", "count"
        ),
    ),
    Check(
        Reason.FAR,
        # Where the way is not known, it is not too far: nothing is greater than NaN, nor than NULL.
        formula=lambda urgency_rank, km, reach_km: (urgency_rank >= ROUTINE) & (km > reach_km),
        sql=lambda need, *_: Q(is_donation=True, beyond_km__gt=0) if need.urgency_rank >= ROUTINE else _NO_OFFER,
        of_all=ngettext_lazy(
            "Its donation is kept for a need nearby first, as this one is not urgent.",
            "Their donations are kept for needs nearby first, as this one is not urgent.",
            "count",
        ),
        of_some=ngettext_lazy(
            "%(number)s of them offers a donation, kept for a need nearby first, as this one is not urgent.",
            "%(number)s of them offer donations, kept for needs nearby first, as this one is not urgent.",
            "count",
        ),
        way_out=Action.URGENT,
    ),
]


def checks() -> tuple[Check, ...]:
    """The checks that are asked of a need and a source, in the order in which they are asked."""
    return tuple(check for check in _checks if check.formula or check.listed)


def counted() -> tuple[Check, ...]:
    """The checks that are counted for the requester, in the order in which they are told."""
    return tuple(check for check in _checks if check.of_some)


def check_of(reason: Reason) -> Check:
    return next(check for check in _checks if check.reason is reason)


def fit_of(need: Need, item_id: int, standard_id: int | None, rules: Rules) -> Fit | Reason:
    """How goods of this item and standard relate to what was asked for, or why they will not do."""
    if item_id != need.item_id:
        # Item first, then standard: a substitute that nobody accepts needs no look at its standard.
        if not need.accepts_substitutes or (item_id, need.item_id) not in rules.substitutes:
            return Reason.SUBSTITUTE
        if need.standard_id is not None and (
            standard_id is None or (standard_id, need.standard_id) not in rules.satisfies
        ):
            return Reason.STANDARD
        return Fit.SUBSTITUTE
    if need.standard_id is None:
        # A stated standard is worth more than none even to somebody who asked for none.
        return Fit.UNSTATED if standard_id is None else Fit.EQUAL
    if standard_id == need.standard_id:
        return Fit.EQUAL
    if standard_id is not None and (standard_id, need.standard_id) in rules.satisfies:
        return Fit.EXCEEDS
    return Reason.STANDARD


def of_fit(fit: Fit | Reason) -> dict[str, float]:
    """The facts of goods, from what `fit_of` says of them."""
    return {
        "fit": fit.value if isinstance(fit, Fit) else math.nan,
        "accepted": fit is not Reason.SUBSTITUTE,
        "meets": fit is not Reason.STANDARD,
    }


def asked_before(need: Need, offer_id: int) -> Need:
    """The need, for which this offer is not to be asked again."""
    offers = {offer_id, *need.excluded.get(Reason.ASKED_BEFORE, ())}
    return replace(need, excluded={**need.excluded, Reason.ASKED_BEFORE: offers})


def names(need: Need, source: Source) -> bool:
    """Whether a list of the need names the source, so that it must not be asked."""
    lists = (check.lists(need) for check in _checks if check.listed)
    return any(getattr(source, attribute) in values for attribute, values in lists)


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
    given: dict[str, float] = {
        **facts.of_need(facts.NEED, need, now, policy),
        **facts.of_source(facts.SOURCE, source, now, policy),
        **of_fit(fit_of(need, source.item_id, source.standard_id, rules)),
        "ships_here": ships_here(source.ships_to, region_codes(need.location)),
        "km": facts.known(km),
    }
    for check in checks():
        if check.reason not in ignoring and check.fails(need, source, given):
            return check.reason
    return None


@contextmanager
def added(check: Check) -> Iterator[Check]:
    """Ask this check last within the block, and not any more afterwards. For tests."""
    _checks.append(check)
    try:
        yield check
    finally:
        _checks.remove(check)
