"""Sets of offers for thousands of needs, most of them alike. Pure."""

from collections.abc import Collection, Iterable, Iterator
from itertools import compress
from typing import Final

_TRUTHS: Final = bytes.maketrans(b"01", b"\0\1")


class OfferBits:
    """A place for each of some offers, so that a number can stand for a set of them."""

    def __init__(self) -> None:
        self.keys: list[int] = []
        self._place: dict[int, int] = {}

    def of(self, keys: Iterable[int]) -> int:
        """The bits of these offers. Those that have no place get one."""
        places = self._place
        bits = 0
        for key in keys:
            if key not in places:
                places[key] = len(self.keys)
                self.keys.append(key)
            bits |= 1 << places[key]
        return bits

    def has(self, bits: int, key: int) -> bool:
        place = self._place.get(key)
        return place is not None and bool(bits >> place & 1)

    def offers(self, bits: int) -> Iterator[int]:
        """The offers whose bits are set, in the order of their places."""
        return compress(self.keys, f"{bits:b}"[::-1].encode().translate(_TRUTHS) if bits else b"")


class OfferSet(Collection[int]):
    """A few offers of one need, and many that it shares with needs like it.

    In an old market each need of a popular item has thousands of offers that must not be asked. As sets of their own
    they would fill the memory of a worker.
    """

    __slots__ = ("bits", "few", "shared")

    def __init__(self, few: Iterable[int], bits: int, shared: OfferBits) -> None:
        self.few = frozenset(key for key in few if not shared.has(bits, key))
        self.bits = bits  # the many
        self.shared = shared

    def __contains__(self, key: object) -> bool:
        return key in self.few or (isinstance(key, int) and self.shared.has(self.bits, key))

    def __iter__(self) -> Iterator[int]:
        yield from self.few
        yield from self.shared.offers(self.bits)

    def __len__(self) -> int:
        return len(self.few) + self.bits.bit_count()

    def without(self, keys: Iterable[int]) -> "OfferSet":
        gone = set(keys)
        bits = self.bits
        for key in gone:
            if self.shared.has(bits, key):
                bits ^= self.shared.of([key])
        return OfferSet(self.few - gone, bits, self.shared)
