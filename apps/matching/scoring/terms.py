"""The terms of the score, each of them once, as a row that everything that ranks stands on. Pure, but for words.

A term is a reason for preferring an offer: a number from 0 to 1, weighed by the policy. To add one, write its formula
with its row below. Its parameters are the names of `facts`; a new fact is a line there. Then:

- one need, its best offers and the reasons stored with a match use it (`ranking`);
- the contested market uses it, on arrays (`allocation.market`);
- the database search uses it. A term that reads only steady facts of the source is worked out here when an offer is
  indexed. Any other counts with its whole weight in the search's bounds, unless `sql` says that the search knows it:
  exact at once, and quick once it has its SQL;
- the policy has a weight for it, 0 in every version that was stored before; its page, its checks and the reasons on
  each match have its words.

The terms as formulas:

coverage   free ÷ remaining, at most 1
distance   1 ÷ (1 + km ÷ half_distance); ½ where a place has no coordinates
lead_time  1 if it arrives by needed_by, then falling to 0 over lateness_days; with no date 1 ÷ (1 + days ÷ 7)
standard   the value of the fit
freshness  1 when confirmed now, falling to 0 over offer_fresh_days
record     (kept + prior share × prior) ÷ (kept + broken + prior): additive smoothing
price      1 at half the reference price of its item or below, ½ at it, 0 from 1½ times; donations 1; ½ if not known
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.matching.scoring import facts
from apps.matching.scoring.either import Either, from_0_to_1, greatest, is_known, known_or, least, where
from apps.matching.scoring.facts import Fit, Need, Source
from apps.policy import terms as policy_terms
from apps.policy.values import PolicyValues

Value = float | int | str | dict[str, int | str] | None  # what a term shows, as it is stored


@dataclass(frozen=True, slots=True)
class Pair:
    """A need and a source that may serve it, with what relates them: what a term shows is made of this."""

    need: Need
    source: Source
    fit: Fit
    km: float | None  # None: not known
    age_days: float  # since the supplier last confirmed the offer


@dataclass(frozen=True)
class Term:
    """One reason for preferring an offer.

    `formula(<facts>)` takes numbers or arrays and gives 0 to 1; it may ask for the `policy`, too. `value` is what is
    shown of a pair, stored with the match; `sentence(value, score)` says it in the language that is active now, to both
    sides. `sql` names the function of the database search that knows the term; None: none does.
    """

    name: str
    default_weight: float
    label: object
    formula: Callable[..., Either]
    value: Callable[[Pair], Value]
    sentence: Callable[[Any, float], str]
    help: object = ""
    sql: str | None = None
    reads: tuple[str, ...] = field(init=False)
    asks_policy: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads", facts.facts_read(self.formula))
        object.__setattr__(self, "asks_policy", "policy" in inspect.signature(self.formula).parameters)

    @cached_property
    def is_of_source(self) -> bool:
        """Whether the source alone decides it."""
        return all(name in facts.SOURCE for name in self.reads)

    @cached_property
    def is_steady(self) -> bool:
        """Whether it stays the same until the offer is edited or statistics are counted: fit for the offer index."""
        return self.is_of_source and all(facts.SOURCE[name].steady for name in self.reads)

    def __call__(self, policy: PolicyValues, given: Mapping[str, Either]) -> Either:
        """The score, from facts that were read before: numbers, or arrays that are broadcast against each other."""
        arguments = {name: given[name] for name in self.reads}
        return self.formula(**arguments, policy=policy) if self.asks_policy else self.formula(**arguments)


_terms: Final[dict[str, Term]] = {}


def register(term: Term) -> Term:
    """Add a term to the score and a weight for it to the policy. Raises `ValueError` if the name is taken."""
    # The policy stands below matching on the ladder of apps, so it is told of the terms instead of reading them here.
    policy_terms.register(policy_terms.WeighedTerm(term.name, term.default_weight, term.label, term.help))
    _terms[term.name] = term
    return term


@contextmanager
def added(term: Term) -> Iterator[Term]:
    """Register a term within the block and remove it afterwards. For tests."""
    weighed = policy_terms.WeighedTerm(term.name, term.default_weight, term.label, term.help)
    with policy_terms.added(weighed):
        _terms[term.name] = term
        try:
            yield term
        finally:
            del _terms[term.name]


def registered() -> tuple[Term, ...]:
    """All terms, in the order in which scores are added up.

    Sums of floating-point numbers have the same digits only in the same order.
    """
    return tuple(_terms.values())


def named(name: str) -> Term | None:
    return _terms.get(name)


def source_terms() -> tuple[Term, ...]:
    """The terms that the source alone decides."""
    return tuple(term for term in registered() if term.is_of_source)


def pair_terms() -> tuple[Term, ...]:
    """The terms that depend on the need as well."""
    return tuple(term for term in registered() if not term.is_of_source)


# What the database search asks for. `search.offer_index` keeps the steady part of each offer.


def steady_terms() -> tuple[Term, ...]:
    return tuple(term for term in registered() if term.is_steady)


def steady_facts() -> tuple[str, ...]:
    """The facts that `steady` reads, each once: of `facts.of_sources`, or columns of these names."""
    return tuple(dict.fromkeys(name for term in steady_terms() for name in term.reads))


def steady(given: Mapping[str, Either], policy: PolicyValues) -> Either:
    """The weighted sum of the steady terms, not rounded: of one source, or of many by arrays."""
    total: Either = 0.0
    for term in steady_terms():
        total = total + term(policy, given) * policy.weights[term.name]
    return total


def bounded_by_weight(policy: PolicyValues) -> float:
    """How much more than the database search knows a score may be: the weights of the terms that it does not know."""
    return sum(policy.weights[term.name] for term in registered() if not term.is_steady and term.sql is None)


# The terms themselves. The order is that of the policy's page.


def _coverage(free: Either, remaining: Either) -> Either:
    return least(free, remaining) / greatest(remaining, 1)


def _say_coverage(value: Any, score: float) -> str:
    if score >= 1:
        return _("It has enough for all that is still needed.")
    # Never "0 %" for a little, nor "100 %" for almost all.
    share = min(99, max(1, round(score * 100)))
    return _("It has enough for %(share)s %% of what is still needed: %(quantity)s.") % {
        "share": share,
        "quantity": _number(value),
    }


COVERAGE: Final = register(
    Term(
        name="coverage",
        default_weight=0.25,
        label=gettext_lazy("How much of the need it covers"),
        formula=_coverage,
        value=lambda pair: min(pair.source.free, pair.need.remaining),
        sentence=_say_coverage,
        sql="matching_best",
    )
)


def _distance(policy: PolicyValues, km: Either) -> Either:
    # Hyperbolic: half of the score at half_distance_km, and never 0, so that of two far offers the nearer one wins.
    return known_or(1 / (1 + km / policy.half_distance_km), 0.5)


def _say_distance(value: Any, _score: float) -> str:
    if value is None:
        return _("The distance is not known.")
    if value < 1:
        return _("It comes from the same place.")
    return ngettext("It comes from %(km)s km away.", "It comes from %(km)s km away.", round(value)) % {
        "km": _number(value)
    }


DISTANCE: Final = register(
    Term(
        name="distance",
        default_weight=0.20,
        label=gettext_lazy("Distance"),
        formula=_distance,
        value=lambda pair: None if pair.km is None else round(pair.km),
        sentence=_say_distance,
        sql="matching_best",
    )
)


def _lead_time(policy: PolicyValues, lead_time_days: Either, days_left: Either) -> Either:
    # With no date a week halves the score. Only the order among offers matters then.
    late = (lead_time_days - days_left) / policy.lateness_days
    return where(is_known(days_left), from_0_to_1(1 - late), 1 / (1 + lead_time_days / 7))


def _say_lead_time(value: Any, score: float) -> str:
    if not value:
        return _("It can be sent at once.")
    if score <= 0:
        return ngettext(
            "It takes %(days)s day to come, which is too late.",
            "It takes %(days)s days to come, which is too late.",
            value,
        ) % {"days": value}
    return ngettext("It takes %(days)s day to come.", "It takes %(days)s days to come.", value) % {"days": value}


LEAD_TIME: Final = register(
    Term(
        name="lead_time",
        default_weight=0.20,
        label=gettext_lazy("Delivery time"),
        formula=_lead_time,
        value=lambda pair: pair.source.lead_time_days,
        sentence=_say_lead_time,
        sql="matching_best",
    )
)


def _standard(fit: Either) -> Either:
    return fit


def _say_standard(value: Any, _score: float) -> str:
    texts = {
        "equal": _("It states the standard that is needed."),
        "exceeds": _("Its standard meets or exceeds the one that is needed."),
        "stated": _("No standard was asked for; it states one."),
        "unstated": _("No standard was asked for, and none is stated."),
        "substitute": _("It is a substitute: another item, which the requester accepts."),
    }
    return texts.get(value, str(value))


STANDARD: Final = register(
    Term(
        name="standard",
        default_weight=0.10,
        label=gettext_lazy("Fit of the standard"),
        formula=_standard,
        value=lambda pair: (
            "stated" if pair.fit is Fit.EQUAL and pair.need.standard_id is None else pair.fit.name.lower()
        ),
        sentence=_say_standard,
        sql="matching_best",
    )
)


def _freshness(policy: PolicyValues, age_days: Either) -> Either:
    # Linear, because the offer index relies on freshness falling at one rate for all (`search.best.freshness_part`).
    return greatest(1 - age_days / policy.offer_fresh_days, 0)


def _say_freshness(value: Any, _score: float) -> str:
    days = int(value)
    if days < 1:
        return _("The supplier confirmed it within the last day.")
    return ngettext(
        "The supplier last confirmed it %(days)s day ago.", "The supplier last confirmed it %(days)s days ago.", days
    ) % {"days": days}


FRESHNESS: Final = register(
    Term(
        name="freshness",
        default_weight=0.10,
        label=gettext_lazy("How recently the offer was confirmed"),
        formula=_freshness,
        value=lambda pair: round(pair.age_days, 1),
        sentence=_say_freshness,
        sql="matching_best",
    )
)


def _record(policy: PolicyValues, kept: Either, broken: Either) -> Either:
    # Additive smoothing (a Beta prior): a newcomer starts at the prior share, and one broken promise does not ruin it.
    prior = policy.record_prior_matches
    return (kept + policy.record_prior_share * prior) / (kept + broken + prior)


def _say_record(value: Any, score: float) -> str:
    if not value:
        return _("The supplier is new here and has no record yet.")
    return ngettext(
        "The supplier has had %(count)s match before; its record is %(share)s of 100.",
        "The supplier has had %(count)s matches before; its record is %(share)s of 100.",
        value,
    ) % {"count": _number(value), "share": round(score * 100)}


RECORD: Final = register(
    Term(
        name="record",
        default_weight=0.10,
        label=gettext_lazy("The supplier’s record"),
        formula=_record,
        value=lambda pair: pair.source.kept + pair.source.broken,
        sentence=_say_record,
    )
)


def _price(unit_price: Either, reference_price: Either, is_donation: Either) -> Either:
    # Straight from 1 at half the usual price to 0 at 1½ times of it; farther out the difference does not matter.
    return where(is_donation, 1.0, known_or(from_0_to_1(1.5 - unit_price / reference_price), 0.5))


def _relative_price(pair: Pair) -> Value:
    if pair.source.is_donation:
        return "donation"
    if not pair.source.unit_price or not pair.source.reference_price:
        return None
    return round(pair.source.unit_price / pair.source.reference_price, 2)


def _say_price(value: Any, _score: float) -> str:
    if value == "donation":
        return _("It is a donation.")
    if value is None:
        return _("There is no price to compare.")
    percent = round((value - 1) * 100)
    if percent == 0:
        return _("Its price is the usual one.")
    if percent < 0:
        return _("Its price is %(percent)s %% below the usual one.") % {"percent": -percent}
    return _("Its price is %(percent)s %% above the usual one.") % {"percent": percent}


PRICE: Final = register(
    Term(
        name="price",
        default_weight=0.05,
        label=gettext_lazy("Price"),
        formula=_price,
        value=_relative_price,
        sentence=_say_price,
    )
)


def _number(value: float) -> str:
    return str(number_format(value, force_grouping=True))
