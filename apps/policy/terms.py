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
        # The name becomes a key of JSON and a part of `weights.NAME`, which is divided at its dot.
        if not self.name.isidentifier():
            raise ValueError(f"{self.name!r} cannot be the name of a term")
        if not 0 <= self.default_weight <= 1:
            raise ValueError(f"{self.name}: a default weight is from 0 to 1")


_terms: Final[dict[str, WeighedTerm]] = {}


def register(term: WeighedTerm) -> None:
    """Have the policy weigh this term. The same term may come twice; `ValueError` if another term has its name."""
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
    """The label of a term, or None if there is no term of this name."""
    term = _terms.get(name)
    return term.label if term else None


def default_weights() -> dict[str, float]:
    """The weights of a policy without settings, by name. They add up to 1.

    If the registered defaults do not add up to 1 (because of a toy term in a test, say), they are divided by their sum,
    so that no set of terms makes an invalid policy. Stored versions do not change: there a new term weighs 0.
    """
    total = sum(term.default_weight for term in _terms.values())
    # A division could change the last digit, and the page would show 0.19999999999999998 instead of 0.2.
    divisor = 1 if abs(total - 1) < 1e-9 or total == 0 else total
    return {term.name: term.default_weight / divisor for term in _terms.values()}
