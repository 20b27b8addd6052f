"""Sets of offers that needs share behave as sets."""

from collections.abc import Set as AbstractSet

from hypothesis import given
from hypothesis import strategies as st

from apps.matching.scoring.offer_sets import OfferBits, OfferSet

keys = st.sets(st.integers(1, 40))


@given(keys, keys, keys, keys)
def test_it_has_what_was_put_in(
    known: AbstractSet[int], few: AbstractSet[int], many: AbstractSet[int], gone: AbstractSet[int]
) -> None:
    shared = OfferBits()
    shared.of(known)
    offers = OfferSet(few, shared.of(many), shared)
    left = offers.without(gone)

    for found, expected in ((offers, few | many), (left, (few | many) - gone)):
        assert sorted(found) == sorted(expected)
        assert len(found) == len(expected)
        assert [key for key in range(42) if key in found] == sorted(expected)
    assert sorted(shared.offers(offers.bits)) == sorted(many), "the others still have it"
