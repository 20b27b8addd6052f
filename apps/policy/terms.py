"""The terms of the score that a policy weighs: a registry, filled at start-up by whoever computes the terms. Pure.

The policy knows no term by heart. Its table of weights, the checks of that table, its words and its page are made of
what is registered here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class WeighedTerm:
    """One reason for preferring an offer.

    `default_weight` is its share beside the other terms. Terms of the product choose theirs so that all add up to 1
    (`test_default_weights_add_up_to_one`): whoever adds a term takes its share from the others, so that the page of the
    policy shows round numbers. `label` and `help` are texts or lazy translations.
    """

    name: str
    default_weight: float
    label: object
    help: object = ""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"{self.name!r} cannot be the name of a term")
        if not 0 <= self.default_weight <= 1:
            raise ValueError(f"{self.name}: a default weight is from 0 to 1")


_terms: Final[dict[str, WeighedTerm]] = {}


def register(term: WeighedTerm) -> None:
    """Have the policy weigh this term. The same one twice is fine; another one of the same name is a `ValueError`."""
    if _terms.setdefault(term.name, term) != term:
        raise ValueError(f"there is another term called {term.name}")


@contextmanager
def added(term: WeighedTerm) -> Iterator[WeighedTerm]:
    """For tests: the term is registered within the block and gone after it."""
    if term.name in _terms:
        raise ValueError(f"there is another term called {term.name}")
    register(term)
    try:
        yield term
    finally:
        del _terms[term.name]


def registered() -> tuple[WeighedTerm, ...]:
    """In the order of their registration, which is the order on the page."""
    return tuple(_terms.values())


def names() -> tuple[str, ...]:
    return tuple(_terms)


def label_of(name: str) -> object | None:
    """What a term is called; None for what is no term."""
    term = _terms.get(name)
    return term.label if term else None


def default_weights() -> dict[str, float]:
    """The weights of a policy that says nothing, by name; they add up to 1.

    Default weights that do not (a toy term in a test, or a term of somebody's own) are divided by their sum, so that no
    set of terms makes an invalid policy. Stored versions are not touched by a new term: there it weighs 0.
    """
    total = sum(term.default_weight for term in _terms.values())
    # What adds up already is left alone to the last digit: 0.2 must not become 0.19999999999999998.
    divisor = 1 if abs(total - 1) < 1e-9 or total == 0 else total
    return {term.name: term.default_weight / divisor for term in _terms.values()}
