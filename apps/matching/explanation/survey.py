"""What keeps the offers of some goods from serving a need, supplier by supplier, and what would help. Pure.

An offer may fail several checks at once. A way out counts only offers that fail no other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from apps.core.disclosure import LEAST_ORGANISATIONS
from apps.matching.scoring.eligibility import Action, Reason, counted

Reasons = frozenset[Reason]  # why an offer cannot serve a need: all of them at once


@dataclass(frozen=True, slots=True)
class OfferGroup:
    """Offers with the same reasons against them; of one item and standard where `item_id` is given.

    Quantities are in base units.
    """

    reasons: Reasons
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
    blocked: Mapping[Reason, int]  # of these, those with no offer that this does not keep back
    groups: tuple[OfferGroup, ...]
    of_items: tuple[OfferGroup, ...] = ()  # by item and standard, where that is the one reason
    places: tuple[str, ...] = ()  # codes that are shipped to by offers that are only not shipped to the need
    mixed: int = 0  # suppliers with several offers, each kept back by something else

    def group(self, *reasons: Reason) -> OfferGroup | None:
        """The offers with exactly these reasons against them."""
        return next((group for group in self.groups if group.reasons == set(reasons)), None)

    @property
    def candidates(self) -> int:
        """Suppliers with an offer that nothing keeps back."""
        group = self.group()
        return group.suppliers if group else 0


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


def ways_out(survey: Survey, *, spoken_for: int, matter_share: float, places: tuple[str, ...] = ()) -> tuple[Way, ...]:
    """The changes of a need that would help, the most suppliers first, then the most goods.

    `spoken_for` are base units that suppliers hold for the need or have promised to it. `places` are near ones to which
    suppliers ship that do not ship to the need.
    """
    found = []
    for check in counted():
        action, reason, group = check.way_out, check.reason, survey.group(check.reason)
        if action is None or group is None:
            continue
        # Of fewer than three organisations a figure would give away the stock of one (`accounts.disclosure`).
        quantity, are_few = None, group.suppliers < LEAST_ORGANISATIONS
        if action is Action.MORE:
            quantity = spoken_for + group.least_minimum
        if action is Action.LESS:
            # What is useful is a share of what is asked for: their stock is enough for at most this much.
            at_most = int(group.most_free / matter_share)
            quantity = spoken_for + (_to_one_digit(at_most) if are_few else at_most)
        way = Way(
            action,
            group.suppliers,
            None if are_few else group.units,
            quantity=quantity,
            items=_by(survey.of_items, reason, "item_id") if action is Action.SUBSTITUTES else (),
            standards=_by(survey.of_items, reason, "standard_id") if action is Action.STANDARD else (),
            places=places if action is Action.REGION else (),
        )
        found.append(way)
    return tuple(sorted(found, key=lambda way: (-way.suppliers, -(way.units or 0), way.action)))


def _to_one_digit(number: int) -> int:
    """Rounded down: 8,765 to 8,000."""
    step = 10 ** (len(str(number)) - 1)
    return int(number // step * step)


def _by(groups: Iterable[OfferGroup], reason: Reason, name: str) -> tuple[tuple[int, int], ...]:
    """Suppliers by item or standard among the offers that this reason alone keeps back.

    A supplier that has one item by two standards counts twice.
    """
    found: dict[int, int] = {}
    for group in groups:
        if group.reasons == {reason}:
            key = getattr(group, name)
            found[key] = found.get(key, 0) + group.suppliers
    return tuple(sorted(found.items(), key=lambda pair: (-pair[1], pair[0] or 0)))
