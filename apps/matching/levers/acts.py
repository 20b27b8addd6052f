"""The single acts that could open goods for needs that are short, each with the goods as they would be then. Pure."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

from apps.matching.scoring.causes import Cause
from apps.matching.scoring.eligibility import fit_of
from apps.matching.scoring.facts import Fit, Need, Rules, Source

# So many offers of an item are tried one by one with a lower minimum order: those that could give the most.
MOST_MINIMUMS: Final = 5
# A minimum order is to be lowered so far that nine of ten of the needs below it reach it. The last one may ask for one
# piece, for which nobody opens a box.
_LEFT_BELOW: Final = 0.1

Kind = tuple[int, int | None, bool]  # of need: item, standard, whether substitutes are accepted
Goods = tuple[int, int | None]  # item and standard


@dataclass(frozen=True, slots=True)
class Act:
    """An act: why goods are kept back, and what there would be without that. `needs` may be helped.

    `asked_id` and `offered_id` are standards. `minimum` is what the supplier of `offer_id` would be asked to lower to.
    """

    cause: Cause
    item_id: int
    sources: tuple[Source, ...]
    needs: tuple[Need, ...]
    offer_id: int | None = None
    asked_id: int | None = None
    offered_id: int | None = None
    minimum: int | None = None

    @property
    def key(self) -> tuple[str, int, int | None, int | None, int | None]:
        """What makes it the same act in the next count, whatever it would bring then."""
        return self.cause, self.item_id, self.offer_id, self.asked_id, self.offered_id

    def rules(self, rules: Rules) -> Rules:
        """The rules as they would be: the requesters of these needs accept one more standard."""
        if self.cause is not Cause.STANDARD or self.offered_id is None or self.asked_id is None:
            return rules
        return replace(rules, satisfies=rules.satisfies | {(self.offered_id, self.asked_id)})


def acts(
    needs: Iterable[Need], sources: Sequence[Source], idle: Mapping[Cause, Sequence[Source]], rules: Rules
) -> Iterator[Act]:
    """The acts for these needs, of one item or of linked ones, all of which are short.

    `sources` may be asked now. `idle` are those that may not, by the one reason for it.
    """
    kinds: dict[Kind, list[Need]] = defaultdict(list)
    for need in needs:
        kinds[need.item_id, need.standard_id, need.accepts_substitutes].append(need)
    stocked = [source for source in sources if source.free > 0]
    yield from _minimums(kinds, stocked, rules)
    yield from _standards(kinds, stocked, rules)
    for cause, offers in idle.items():
        for item_id, some in _by_item(offers).items():
            helped = _helped(kinds, {(source.item_id, source.standard_id) for source in some}, rules)
            if helped:
                yield Act(cause, item_id, tuple(some), helped)


def _minimums(kinds: Mapping[Kind, Sequence[Need]], sources: Sequence[Source], rules: Rules) -> Iterator[Act]:
    """A supplier lowers its minimum order."""
    wanted: dict[Goods, list[int]] = {}
    totals: dict[Goods, list[int]] = {}
    found: dict[int, list[tuple[int, int, Source]]] = defaultdict(list)
    for source in sources:
        goods = source.item_id, source.standard_id
        if goods not in wanted:
            wanted[goods] = sorted(need.remaining for need in _helped(kinds, {goods}, rules))
            totals[goods] = [0, *accumulate(wanted[goods])]
        below = bisect_left(wanted[goods], source.minimum_order)
        if below:
            # An upper bound: what all needs below the minimum want together, or what there is.
            found[source.item_id].append((min(source.free, totals[goods][below]), below, source))
    for item_id, offers in found.items():
        most = sorted(offers, key=lambda one: (-one[0], one[2].id))[:MOST_MINIMUMS]
        for _bound, below, source in most:
            minimum = wanted[source.item_id, source.standard_id][int(below * _LEFT_BELOW)]
            helped = _helped(kinds, {(source.item_id, source.standard_id)}, rules)
            some = tuple(need for need in helped if need.remaining < source.minimum_order)
            lowered = (replace(source, minimum_order=minimum),)
            yield Act(Cause.MINIMUM, item_id, lowered, some, offer_id=source.id, minimum=minimum)


def _standards(kinds: Mapping[Kind, Sequence[Need]], sources: Sequence[Source], rules: Rules) -> Iterator[Act]:
    """Suppliers state the standard of their goods, or requesters accept another than they asked for."""
    asked = {standard for _item, standard, _flexible in kinds if standard is not None}
    for item_id, offers in _by_item(sources).items():
        by_standard: dict[int | None, list[Source]] = defaultdict(list)
        for source in offers:
            by_standard[source.standard_id].append(source)
        for wanted in sorted(asked):
            for stated, some in by_standard.items():
                if stated == wanted:
                    continue
                if stated is None:
                    act = Act(
                        Cause.UNSTATED,
                        item_id,
                        tuple(replace(source, standard_id=wanted) for source in some),
                        needs=(),
                        asked_id=wanted,
                    )
                else:
                    act = Act(Cause.STANDARD, item_id, tuple(some), (), asked_id=wanted, offered_id=stated)
                # Only those that ask for this very standard and could not be served before.
                goods = {(item_id, act.sources[0].standard_id)}
                after = act.rules(rules)
                own = {kind: members for kind, members in kinds.items() if kind[1] == wanted}
                before = {kind for kind in own if _fits(kind, (item_id, stated), own[kind][0], rules)}
                helped = _helped({kind: own[kind] for kind in own if kind not in before}, goods, after)
                if helped:
                    yield replace(act, needs=helped)


def _by_item(sources: Iterable[Source]) -> dict[int, list[Source]]:
    found: dict[int, list[Source]] = defaultdict(list)
    for source in sources:
        found[source.item_id].append(source)
    return found


def _helped(kinds: Mapping[Kind, Sequence[Need]], goods: Collection[Goods], rules: Rules) -> tuple[Need, ...]:
    """The needs of those kinds that some of these goods fit."""
    return tuple(
        need
        for kind, members in kinds.items()
        if any(_fits(kind, one, members[0], rules) for one in goods)
        for need in members
    )


def _fits(_kind: Kind, goods: Goods, example: Need, rules: Rules) -> bool:
    return isinstance(fit_of(example, *goods, rules), Fit)
