"""Each term of the score is written once, and everything that ranks stands on it."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.utils import translation
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.matching.allocation.exceptions import REFUSED
from apps.matching.allocation.market import Market
from apps.matching.scoring import facts, terms
from apps.matching.scoring.either import Either, rounded
from apps.matching.scoring.eligibility import fit_of
from apps.matching.scoring.facts import Fit, Need, Source
from apps.matching.scoring.ranking import rank, score
from apps.matching.scoring.terms import Term
from apps.policy.values import PolicyValues
from tests.matching.markets import NOW, POLICY, RULES, every_score, markets

OLD = PolicyValues().to_json()  # as it was stored before there was any other term
EVEN = 0.3


def _of_source(source_id: Either) -> Either:
    return source_id % 2 == 0


def _of_pair(source_id: Either, remaining: Either) -> Either:
    """The need has a say in it, which nobody hears."""
    return (source_id % 2 == 0) & (remaining > 0)


def _even(formula: Any) -> Term:
    return Term(
        name="even",
        default_weight=EVEN,
        label="Even",
        formula=formula,
        value=lambda pair: pair.source.id % 2,
        sentence=lambda _value, score: "Even." if score else "Odd.",
    )


@pytest.fixture(params=[_of_source, _of_pair], ids=["of the source", "of the pair"])
def toy(request: pytest.FixtureRequest) -> Iterator[Term]:
    """Prefers offers whose id is even."""
    with terms.added(_even(request.param)) as term:
        yield term


def weighing_it() -> PolicyValues:
    shares = {name: weight * (1 - EVEN) for name, weight in OLD["weights"].items()}
    return PolicyValues.from_json({**OLD, "weights": {**shares, "even": EVEN}})


@given(markets())
def test_formulas_say_the_same_of_numbers_and_of_arrays(case: tuple[list[Need], list[Source]]) -> None:
    [need, *_], sources = case
    names = tuple({name for term in terms.registered() for name in term.reads})
    columns = facts.of_sources(names, sources, NOW, POLICY)
    of_need = facts.of_need(names, need, NOW, POLICY)
    km = np.array([math.nan, *(17.5 * index for index in range(1, len(sources)))][: len(sources)])
    fit = np.array([source.id % 10 / 10 for source in sources])
    for term in terms.registered():
        of_many = np.broadcast_to(term(POLICY, {**columns, **of_need, "km": km, "fit": fit}), len(sources))
        of_each = [
            term(
                POLICY,
                {**facts.of_source(names, source, NOW, POLICY), **of_need, "km": float(km[row]), "fit": fit.item(row)},
            )
            for row, source in enumerate(sources)
        ]
        assert of_many.tolist() == of_each, term.name
        assert all(0 <= one <= 1 for one in of_each), term.name


@given(st.lists(st.floats(0, 2) | st.integers(0, 4_000_000).map(lambda halves: halves / 2e6), min_size=1))
def test_scores_are_rounded_as_python_rounds_numbers(numbers: list[float]) -> None:
    assert rounded(np.array(numbers)).tolist() == [round(number, 6) for number in numbers]


@given(markets())
def test_the_order_is_that_of_the_scores(case: tuple[list[Need], list[Source]]) -> None:
    [need, *_], sources = case
    ranked = list(rank(need, sources, RULES, policy=POLICY, now=NOW).candidates)
    # Stored as JSON, 1 and 1.0 are not the same to a client.
    assert all(isinstance(term.score, float) for one in ranked for term in one.terms)
    assert ranked == sorted(ranked, key=lambda candidate: (-candidate.score, candidate.source.id))


def test_a_term_that_reads_what_is_no_fact_is_refused() -> None:
    def wishes(luck: Either) -> Either:
        return luck

    with pytest.raises(ValueError, match="wishes reads luck: no such fact"):
        _even(wishes)


@given(case=markets())
@settings(max_examples=40)
@pytest.mark.parametrize("formula", [_of_source, _of_pair])
def test_a_policy_from_before_a_term_ranks_as_it_did(formula: Any, case: tuple[list[Need], list[Source]]) -> None:
    demand, supply = case[0], [replace(source, held=()) for source in case[1]]

    def found(policy: PolicyValues) -> tuple[list[list[tuple[int, float]]], list[Any]]:
        ranked = [rank(need, supply, RULES, policy=policy, now=NOW).candidates for need in demand]
        scores = every_score(Market(demand, supply, RULES, policy=policy, now=NOW)).tolist()
        return [[(one.source.id, one.score) for one in candidates] for candidates in ranked], scores

    before = found(PolicyValues.from_json(OLD))
    with terms.added(_even(formula)):
        assert found(PolicyValues.from_json(OLD)) == before


@given(case=markets())
@settings(max_examples=40)
@pytest.mark.parametrize("formula", [_of_source, _of_pair])
def test_one_need_and_the_market_score_a_new_term(formula: Any, case: tuple[list[Need], list[Source]]) -> None:
    demand, supply = case[0], [replace(source, held=()) for source in case[1]]
    old = PolicyValues.from_json(OLD)

    def scores(policy: PolicyValues) -> dict[tuple[int, int], float]:
        found = {}
        for need in demand:
            for source in supply:
                fit = fit_of(need, source.item_id, source.standard_id, RULES)
                if isinstance(fit, Fit):
                    found[need.id, source.id] = score(need, source, fit, RULES, policy=policy, now=NOW).score
        return found

    before = scores(old)
    with terms.added(_even(formula)):
        policy = weighing_it()
        expected = {pair: old * (1 - EVEN) + EVEN * (pair[1] % 2 == 0) for pair, old in before.items()}
        assert scores(policy) == pytest.approx(expected, abs=2e-6)
        market = Market(demand, [source for source in supply if source.free], RULES, policy=policy, now=NOW)
        for row, line in enumerate(every_score(market)):
            need = market.needs[row]
            ranked = rank(need, market.sources, RULES, policy=policy, now=NOW).candidates
            exact = {candidate.source.id: 1000 * candidate.score for candidate in ranked}
            for source, found in zip(market.sources, line, strict=True):
                assert abs(found - exact.get(source.id, REFUSED)) <= 0.51


def test_a_term_is_bounded_by_its_weight_unless_it_is_steady_or_in_sql(toy: Term) -> None:
    bound = terms.bounded_by_weight(weighing_it())
    assert bound == pytest.approx(0 if toy.is_steady else EVEN)
    assert (toy in terms.steady_terms()) == toy.is_of_source


def test_every_term_has_its_words_in_every_language() -> None:
    values: dict[str, list[Any]] = {
        "coverage": [(5, 1.0), (5, 0.5)],
        "distance": [(None, 0.5), (0, 1.0), (12, 0.9)],
        "lead_time": [(0, 1.0), (2, 0.0), (2, 0.5)],
        "standard": [(name, 1.0) for name in ("equal", "exceeds", "stated", "unstated", "substitute")],
        "freshness": [(0.1, 1.0), (3.5, 0.7)],
        "record": [(0, 0.8), (3, 0.7)],
        "price": [("donation", 1.0), (None, 0.5), (1.0, 0.5), (0.8, 0.7), (1.3, 0.2)],
    }
    assert {term.name for term in terms.registered()} == set(values)
    for term in terms.registered():
        texts: dict[str, set[str]] = {}
        for language, _name in django_settings.LANGUAGES:
            with translation.override(language):
                texts[language] = {str(term.label), *(term.sentence(*value) for value in values[term.name])}
        assert len(texts["en"]) == 1 + len(values[term.name])
        assert not texts["en"] & texts["zh-hans"], term.name
