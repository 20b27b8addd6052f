"""What keeps the offers of some goods from serving a need, supplier by supplier, and what would help. Pure.

An offer may have several hindrances at once. A way out counts only offers that nothing else keeps back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntFlag, StrEnum
from typing import Final

from apps.accounts.disclosure import LEAST_ORGANISATIONS


class Hindrance(IntFlag):
    """Why an offer cannot serve a need. The order is that in which they are told."""

    SUBSTITUTE = 1  # another item, which the requester does not accept
    STANDARD = 2
    REGION = 4
    MINIMUM = 8
    STOCK = 16  # all promised to others, or less left than the minimum order
    LITTLE = 32  # less left than is worth a shipment for this need
    ASKED_BEFORE = 64
    CERTIFICATE = 128  # has run out
    UNVERIFIED = 256
    STALE = 512  # not confirmed for long, or said to be gone
    PAUSED = 1024
    FAR = 2048  # a gift, which waits for a need nearby before it goes so far to one that can wait


@dataclass(frozen=True, slots=True)
class Group:
    """Offers with the same hindrances; of one item and standard where `item_id` is given. Quantities in base units."""

    hindrances: Hindrance
    suppliers: int  # distinct organisations
    units: int  # free in all
    least_minimum: int
    most_free: int
    item_id: int | None = None
    standard_id: int | None = None


@dataclass(frozen=True)
class Survey:
    """All offers of a need's goods, counted."""

    suppliers: int  # that have the goods, or a substitute that is welcome
    blocked: Mapping[Hindrance, int]  # of these, those with no offer that is free of this hindrance
    groups: tuple[Group, ...]
    of_items: tuple[Group, ...] = ()  # by item and standard, where that is the one hindrance
    places: tuple[str, ...] = ()  # codes that are shipped to by offers that are only not shipped to the need
    mixed: int = 0  # suppliers with several offers, each kept back by something else

    def group(self, hindrances: Hindrance) -> Group | None:
        """The offers with exactly these hindrances."""
        return next((group for group in self.groups if group.hindrances == hindrances), None)

    @property
    def candidates(self) -> int:
        """Suppliers with an offer that nothing keeps back."""
        group = self.group(Hindrance(0))
        return group.suppliers if group else 0


class Action(StrEnum):
    """What the requester could change."""

    SUBSTITUTES = "substitutes"
    STANDARD = "standard"
    MORE = "more"  # reach a minimum order
    LESS = "less"  # so little that what is left is worth a shipment
    REGION = "region"
    URGENT = "urgent"  # say that the need cannot wait


@dataclass(frozen=True)
class Way:
    """A change of the need, and how many suppliers with how much it opens: None of fewer than `LEAST_ORGANISATIONS`."""

    action: Action
    suppliers: int
    units: int | None
    quantity: int | None = None  # that would have to be asked for in all
    items: tuple[tuple[int, int], ...] = ()  # (item, suppliers), the most suppliers first
    standards: tuple[tuple[int | None, int], ...] = ()  # (standard or none stated, suppliers), the most first
    places: tuple[str, ...] = ()  # codes of the nearest places that are shipped to


_SINGLE: Final = {
    Action.SUBSTITUTES: Hindrance.SUBSTITUTE,
    Action.STANDARD: Hindrance.STANDARD,
    Action.MORE: Hindrance.MINIMUM,
    Action.LESS: Hindrance.LITTLE,
    Action.REGION: Hindrance.REGION,
    Action.URGENT: Hindrance.FAR,
}


def ways_out(survey: Survey, *, spoken_for: int, matter_share: float, places: tuple[str, ...] = ()) -> tuple[Way, ...]:
    """What would help, the most suppliers first, then the most goods. `spoken_for` is what suppliers hold for the need
    or have promised to it; `places` are near ones that those ship to who do not ship to the need.
    """
    found = []
    for action, hindrance in _SINGLE.items():
        group = survey.group(hindrance)
        if group is None:
            continue
        quantity, are_few = None, group.suppliers < LEAST_ORGANISATIONS
        if action is Action.MORE:
            quantity = spoken_for + group.least_minimum
        if action is Action.LESS:
            at_most = int(group.most_free / matter_share)
            quantity = spoken_for + (_to_one_digit(at_most) if are_few else at_most)
        way = Way(
            action,
            group.suppliers,
            None if are_few else group.units,
            quantity=quantity,
            items=_by(survey.of_items, hindrance, "item_id") if action is Action.SUBSTITUTES else (),
            standards=_by(survey.of_items, hindrance, "standard_id") if action is Action.STANDARD else (),
            places=places if action is Action.REGION else (),
        )
        found.append(way)
    return tuple(sorted(found, key=lambda way: (-way.suppliers, -(way.units or 0), way.action)))


def _to_one_digit(number: int) -> int:
    """Rounded down: 8,765 to 8,000."""
    step = 10 ** (len(str(number)) - 1)
    return int(number // step * step)


def _by(groups: Iterable[Group], hindrance: Hindrance, name: str) -> tuple[tuple[int, int], ...]:
    """Suppliers by item or standard among the offers with this hindrance alone. A supplier that has one item by two
    standards counts twice.
    """
    found: dict[int, int] = {}
    for group in groups:
        if group.hindrances == hindrance:
            key = getattr(group, name)
            found[key] = found.get(key, 0) + group.suppliers
    return tuple(sorted(found.items(), key=lambda pair: (-pair[1], pair[0] or 0)))
