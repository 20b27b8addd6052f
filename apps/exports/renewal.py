"""Which public numbers are renewed, so that no subtraction tells what fewer than three organisations changed. Pure.

Hiding cells of few organisations does not help against somebody who pulls twice and subtracts (statistical offices call
it differencing): if one organisation changed something in between, the difference is what it changed. So a number is
renewed as a whole or not at all, and only when it differs from each number told before by three organisations or more.

Numbers are told of *parts*: each region that is shown is one, and all other regions together are another. The total is
the sum of what was told of the parts, so that a total less its cells is the last part, and nothing more.

Why no other combination tells more: take two publications and any regions whose sum both of them tell. Look at the part
of these that was renewed last, and differs. Three organisations changed in that part and nowhere else. So nothing that
they changed elsewhere cancels it out in the sum.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from apps.core.disclosure import LEAST_ORGANISATIONS

REMEMBERED: Final = 7 * 24
"""Hours for which a new number is compared with what was told."""

# What each organisation contributes, by region and organisation. Who contributes nothing is left out.
Contributions = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class ToldNumbers:
    """What was told of one quantity of one item, and what it stood on.

    `shown` are the regions that are shown by themselves. `history` has, by region and organisation, each contribution
    that was told, as (hour from which it was told, quantity), oldest first. It lasts until the next one.
    """

    shown: frozenset[str]
    history: Mapping[str, Mapping[str, list[tuple[int, int]]]]

    def contributions(self, region: str) -> dict[str, int]:
        """What the number of this region, or its part of the others' number, stands on."""
        last = {organisation: told[-1][1] for organisation, told in self.history.get(region, {}).items()}
        return {organisation: quantity for organisation, quantity in last.items() if quantity}

    def number(self, region: str) -> int | None:
        """The number that is told of a region; of the region "", which is everywhere, the total."""
        if not region:
            return sum(sum(self.contributions(one).values()) for one in self.history)
        return sum(self.contributions(region).values()) if region in self.shown else None


def too_few(organisations: Mapping[str, Collection[str]]) -> set[str]:
    """The keys of the cells of one row that are hidden, given the organisations behind each cell.

    Cells of one or two organisations are hidden. Subtracting the shown cells from the total would give away a single
    hidden one. So the next smallest cells are hidden too, until the hidden ones together stand for enough
    (complementary cell suppression).
    """
    filled = sorted((len(those), key) for key, those in organisations.items() if those)
    hidden = [key for count, key in filled if count < LEAST_ORGANISATIONS]
    for _count, key in filled[len(hidden) :]:
        # Enough: several cells are hidden, and a stranger who subtracts learns only their sum.
        together = {organisation for one in hidden for organisation in organisations[one]}
        if not hidden or (len(hidden) > 1 and len(together) >= LEAST_ORGANISATIONS):
            break
        hidden.append(key)
    return set(hidden)


def renewed(told: ToldNumbers | None, now: Contributions, hour: int) -> ToldNumbers | None:
    """What is told from this hour on, given what was told before. None while fewer than three organisations contribute.

    `hour` counts hours from any moment.
    """
    wanted = {region for region, those in now.items() if those} - too_few(now)
    if told is None or not any(told.history.values()):
        if len({organisation for those in now.values() for organisation in those}) < LEAST_ORGANISATIONS:
            return None
        return _tell(ToldNumbers(frozenset(wanted), {}), now, set(now), hour)

    compared = _Comparison(told, now, hour)
    cells = {region for region in told.shown if compared.may_tell({region}, {region})}
    coming = {region for region in wanted - told.shown if compared.may_tell({region}, {region})}
    regions = {*now, *told.history}
    # What is shown changes only together with the number of all others, because a region leaves them or joins them. A
    # region that is to be shown waits: if each change were told with the others, there would never be three at once.
    for shown, waiting in (
        ((told.shown & wanted) | coming, wanted - told.shown - coming),
        (told.shown, wanted - told.shown),
    ):
        others = regions - shown
        if compared.may_tell(others, others - waiting):
            break
    else:
        shown, others, waiting = told.shown, set(), set()
    fresh = (cells & shown) | (coming & shown) | (others - waiting)
    return _tell(ToldNumbers(frozenset(shown), told.history), now, fresh, hour)


def _tell(told: ToldNumbers, now: Contributions, fresh: Collection[str], hour: int) -> ToldNumbers:
    """The history with what is told afresh of these regions, and without what is not compared any more."""
    history: dict[str, dict[str, list[tuple[int, int]]]] = {}
    for region in {*told.history, *fresh}:
        before, after = told.history.get(region, {}), now.get(region, {})
        history[region] = {}
        for organisation in {*before, *after} if region in fresh else before:
            entries = list(before.get(organisation, ()))
            if region in fresh and (entries[-1][1] if entries else 0) != after.get(organisation, 0):
                entries.append((hour, after.get(organisation, 0)))
            while len(entries) > 1 and entries[1][0] <= hour - REMEMBERED:
                del entries[0]
            if entries[-1][1] or entries[-1][0] > hour - REMEMBERED:
                history[region][organisation] = entries
    return ToldNumbers(told.shown, history)


class _Comparison:
    """What would be told now, compared with what was told at each hour that is remembered."""

    def __init__(self, told: ToldNumbers, now: Contributions, hour: int) -> None:
        self._told, self._now = told, now
        self._hours = sorted(
            {
                max(since, hour - REMEMBERED)
                for by_organisation in told.history.values()
                for entries in by_organisation.values()
                for since, _quantity in entries
            }
        )
        # Organisations of which something else was told, or would be told now. All others make no difference.
        self._varied = {
            region: {one for one in {*told.history.get(region, {}), *now.get(region, {})} if self._varies(region, one)}
            for region in {*told.history, *now}
        }
        self._regions: dict[str, set[str]] = {}
        for region, organisations in self._varied.items():
            for organisation in organisations:
                self._regions.setdefault(organisation, set()).add(region)

    def may_tell(self, part: Collection[str], fresh: Collection[str]) -> bool:
        """Whether the sum of these regions may be told, with what is contributed now in those that are `fresh`."""
        behind = {
            organisation
            for region in part
            for organisation in (self._now.get(region, {}) if region in fresh else self._told.contributions(region))
        }
        if 0 < len(behind) < LEAST_ORGANISATIONS:
            return False
        return all(self._differs_enough(part, fresh, hour) for hour in reversed(self._hours))

    def _differs_enough(self, part: Collection[str], fresh: Collection[str], hour: int) -> bool:
        """Whether what would be told of a part is what was told at that hour, or differs by enough organisations."""
        is_same, changed = True, 0
        for region in part:
            for organisation in self._varied.get(region, ()):
                new = (
                    self._contributed(region, organisation) if region in fresh else self._told_of(region, organisation)
                )
                if new == self._told_of(region, organisation, hour):
                    continue
                is_same = False
                changed += self._stays_elsewhere(region, organisation, hour)
                if changed >= LEAST_ORGANISATIONS:
                    return True
        return is_same

    def _stays_elsewhere(self, region: str, organisation: str, hour: int) -> bool:
        """Whether, but for this region, the organisation contributes now what was told of it then and last."""
        return all(
            self._told_of(other, organisation, hour)
            == self._told_of(other, organisation)
            == self._contributed(other, organisation)
            for other in self._regions[organisation]
            if other != region
        )

    def _varies(self, region: str, organisation: str) -> bool:
        entries = self._told.history.get(region, {}).get(organisation, ())
        told = {quantity for _since, quantity in entries}
        # Of who has no entry at first, nothing was told then.
        return (
            len({*told, self._told_of(region, organisation, self._hours[0]), self._contributed(region, organisation)})
            > 1
        )

    def _contributed(self, region: str, organisation: str) -> int:
        return self._now.get(region, {}).get(organisation, 0)

    def _told_of(self, region: str, organisation: str, hour: int | None = None) -> int:
        """What was told last of an organisation's contribution, or at an hour."""
        for since, quantity in reversed(self._told.history.get(region, {}).get(organisation, ())):
            if hour is None or since <= hour:
                return quantity
        return 0
