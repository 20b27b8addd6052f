"""The offers that may serve one need, best first: what `eligibility` lets through, by the sum of its `terms`. Pure.

`now` is an argument. numpy is imported when something is ranked: web processes rank nothing and do without it.
"""

import datetime as dt
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, overload

from apps.matching.scoring import facts, terms
from apps.matching.scoring.distance import km_between, km_between_points, point
from apps.matching.scoring.either import rounded
from apps.matching.scoring.eligibility import Check, Reason, checks, fit_of, of_fit
from apps.matching.scoring.facts import Fit, Need, Rules, Source, region_codes, ships_here
from apps.matching.scoring.terms import Pair, Term, Value
from apps.policy.values import PolicyValues

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from apps.matching.scoring.facts import Floats, Ints


@dataclass(frozen=True, slots=True)
class TermScore:
    """One reason of a match: what was measured, its score between 0 and 1, and how much it weighs."""

    name: str
    value: Value
    score: float
    weight: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source that passed every check for a need, with its score and the reasons for it."""

    source: Source
    score: float
    terms: tuple[TermScore, ...]
    is_substitute: bool


class BeyondRanking(Exception):
    """A decision needs candidates beyond the end of a shortlist. The caller decides again from all offers."""


@dataclass
class Ranked:
    """The candidates of a need, best first, and how many of the sources that were looked at each check refused."""

    candidates: "Candidates"
    refused: dict[Reason, int] = field(default_factory=dict)


def score(need: Need, source: Source, fit: Fit, rules: Rules, *, policy: PolicyValues, now: dt.datetime) -> Candidate:
    """The weighted sum of the terms, each between 0 and 1 and rounded, so that it is the same on every machine."""
    km = km_between(need.location, source.location, rules.distances)
    names = _facts_of_terms()
    given = facts.of_need(names, need, now, policy) | facts.of_source(names, source, now, policy)
    given |= {"fit": fit.value, "km": facts.known(km)}
    pair = Pair(need, source, fit, km, age_days=given["age_days"])
    scored = tuple(
        TermScore(term.name, term.value(pair), rounded(term(policy, given)), policy.weights[term.name])
        for term in terms.registered()
    )
    total = 0.0
    for one in scored:  # from left to right, as `rank` adds them; sum() is cleverer in some versions of Python
        total += one.score * one.weight
    return Candidate(source, rounded(total), scored, fit is Fit.SUBSTITUTE)


def _facts_of_terms() -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for term in terms.registered() for name in term.reads))


class SourceTable:
    """The sources of one decision as columns. What does not depend on the need is computed once for all needs."""

    def __init__(self, sources: Iterable[Source], *, policy: PolicyValues, now: dt.datetime) -> None:
        import numpy as np

        self.policy = policy
        self.now = now
        self.sources = list(sources)
        names = dict.fromkeys((*_facts_of_terms(), *(name for check in checks() for name in check.reads)))
        self.facts = facts.of_sources(names, self.sources, now, policy)
        self.id = np.fromiter((source.id for source in self.sources), dtype=np.int64, count=len(self.sources))
        # Sources of the same goods, area or location get the same answer to a question about these.
        self.kinds, self.kind = self._classes((source.item_id, source.standard_id) for source in self.sources)
        self.areas, self.area = self._classes(source.ships_to for source in self.sources)
        self.locations, self.location = self._classes(source.location.path for source in self.sources)
        x, y, z = np.array([point(one.location) for one in self.locations]).reshape(-1, 3).T
        self.points = x, y, z
        self.weighted = _weighted(terms.source_terms(), policy, self.facts, len(self.sources))
        self._rows: dict[str, dict[int, list[int]]] = {}

    def _classes(self, keys: Iterable[Any]) -> tuple[list[Source], "Ints"]:
        """One source of each class, and the class of each source."""
        firsts, class_ = facts.classify(keys)
        return [self.sources[first] for first in firsts.tolist()], class_

    def rows(self, attribute: str, values: Collection[int]) -> list[int]:
        """The rows of the sources whose attribute has one of these values."""
        # An index by attribute, made at the first question and kept for all needs of the decision.
        if attribute not in self._rows:
            found: dict[int, list[int]] = {}
            for row, source in enumerate(self.sources):
                found.setdefault(getattr(source, attribute), []).append(row)
            self._rows[attribute] = found
        known = self._rows[attribute]
        # The shorter of both is gone through.
        named = (value for value in known if value in values) if len(known) < len(values) else values
        return [row for value in named if value in known for row in known[value]]

    def km(self, need: Need, rules: Rules) -> "Floats":
        """Kilometres from the need to each source, shape (n_sources,); NaN where that is not known."""
        import numpy as np

        if rules.distances is None:
            # Once for each location, and there are fewer of those than sources.
            by_location = km_between_points(point(need.location), self.points)
        else:
            measured = (rules.distances.km(need.location, one.location) for one in self.locations)
            by_location = np.array([math.nan if km is None else km for km in measured])
        return np.asarray(by_location[self.location], dtype=np.float64)


class Candidates(Sequence[Candidate]):
    """The candidates of a need, best first. Reasons are computed when a candidate is looked at: few of thousands are.

    If it is not `whole`, there may be more candidates, all of which come after these.
    """

    def __init__(
        self, need: Need, table: SourceTable, rules: Rules, order: "Ints", scores: "Floats", *, whole: bool = True
    ) -> None:
        self.scores = scores  # of each, in the same order
        self.whole = whole
        self._need = need
        self._table = table
        self._rules = rules
        self._order = order  # rows of the table

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, index: int) -> Candidate: ...

    @overload
    def __getitem__(self, index: slice) -> list[Candidate]: ...

    def __getitem__(self, index: int | slice) -> Candidate | list[Candidate]:
        if isinstance(index, slice):
            return [self._candidate(self._table.sources[row]) for row in self._order[index].tolist()]
        return self._candidate(self._table.sources[self._order[index]])

    def first(self, count: int, *, whole: bool) -> "Candidates":
        """The best so many of them."""
        order, scores = self._order[:count], self.scores[:count]
        return Candidates(self._need, self._table, self._rules, order, scores, whole=whole)

    def with_quantity(self, index: int, quantity: int) -> Candidate:
        """The candidate with the reasons of a source that gives so much: more than is free, where others yield."""
        return self._candidate(replace(self._table.sources[self._order[index]], free=quantity))

    def _candidate(self, source: Source) -> Candidate:
        fit = fit_of(self._need, source.item_id, source.standard_id, self._rules)
        assert isinstance(fit, Fit), "what does not fit is no candidate"
        return score(self._need, source, fit, self._rules, policy=self._table.policy, now=self._table.now)

    def known_sources(self) -> Iterator[Source]:
        """The sources of the candidates, best first, without reasons."""
        for start in range(0, len(self._order), _AT_ONCE):
            yield from map(self._table.sources.__getitem__, self._order[start : start + _AT_ONCE].tolist())

    def sources(self) -> Iterator[Source]:
        """The same, for a decision. Raises `BeyondRanking` when it goes on past the end of a list that is not whole."""
        yield from self.known_sources()
        if not self.whole:
            raise BeyondRanking


_AT_ONCE: Final = 256  # rows that are turned into sources together: mostly a few are looked at of thousands


def rank(
    need: Need,
    sources: Iterable[Source] | SourceTable,
    rules: Rules,
    *,
    policy: PolicyValues,
    now: dt.datetime,
) -> Ranked:
    """The sources that can serve a need, best first. Ties go to the older offer (smaller id).

    The checks come first, in their order. Then arrays make the same sum as `score`, without its reasons, as an item may
    have twenty thousand offers.
    """
    import numpy as np

    table = sources if isinstance(sources, SourceTable) else SourceTable(sources, policy=policy, now=now)
    given = _facts_of_pairs(need, table, rules)
    refused: dict[Reason, int] = {}
    eligible = np.ones(len(table.sources), dtype=bool)
    for check in checks():
        # Each source counts for the first check that it fails, as in `why_not`.
        failing = _failing(check, need, table, given) & eligible
        if number := int(np.count_nonzero(failing)):
            refused[check.reason] = number
            eligible &= ~failing

    weighted = table.weighted | _weighted(terms.pair_terms(), policy, given, len(table.sources))
    total = np.zeros(len(table.sources))
    for term in terms.registered():  # in this order, as `score` adds them
        total += weighted[term.name]
    rows = np.flatnonzero(eligible)
    # `lexsort` sorts by its last key first: the score, then the id. Rounded, so that ties are ties on every machine.
    scores = rounded(total[rows])
    order = np.lexsort((table.id[rows], -scores))
    return Ranked(Candidates(need, table, rules, rows[order], scores[order]), refused)


def _weighted(
    chosen: Sequence[Term], policy: PolicyValues, given: Mapping[str, Any], length: int
) -> dict[str, "Floats"]:
    """By name, what each of these terms adds to the score of each source, shape (length,).

    All are rounded together, which is quicker where sources are few.
    """
    import numpy as np

    scores = np.empty((len(chosen), length))
    for row, term in enumerate(chosen):
        scores[row] = term(policy, given)
    weighted = rounded(scores) * np.array([[policy.weights[term.name]] for term in chosen]).reshape(-1, 1)
    return {term.name: weighted[row] for row, term in enumerate(chosen)}


def _facts_of_pairs(need: Need, table: SourceTable, rules: Rules) -> dict[str, Any]:
    """Every fact of the need and each source: numbers for the need, columns for the sources."""
    import numpy as np

    fits = [of_fit(fit_of(need, one.item_id, one.standard_id, rules)) for one in table.kinds]
    of_goods = {name: np.array([fit[name] for fit in fits], dtype=np.float64) for name in ("fit", "accepted", "meets")}
    codes = region_codes(need.location)
    reached = np.array([ships_here(one.ships_to, codes) for one in table.areas], dtype=bool)
    of_need = facts.of_need(facts.NEED, need, table.now, table.policy)
    return {
        **table.facts,
        **of_need,
        **{name: column[table.kind] for name, column in of_goods.items()},
        "ships_here": reached[table.area],
        "km": table.km(need, rules),
    }


def _failing(check: Check, need: Need, table: SourceTable, given: dict[str, Any]) -> "npt.NDArray[np.bool_]":
    """Which sources this check refuses."""
    import numpy as np

    if not check.listed:
        return np.asarray(check.refuses(given), dtype=bool)
    failing = np.zeros(len(table.sources), dtype=bool)
    failing[table.rows(*check.lists(need))] = True
    return failing
