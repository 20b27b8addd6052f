"""Changes what is asked to what an allocation wants, a few needs at a time: many short transactions and no long one."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Final

from django.db import transaction

from apps.demands.models import Demand, DemandState
from apps.matching.allocation.sequential import Plan
from apps.matching.exclusions import location_of, not_to_be_asked
from apps.matching.holds.plans import Done, carry_out, requested_since
from apps.matching.holds.release import lock, take_back
from apps.matching.loading import Contest, Pair
from apps.matching.models import Match, MatchState
from apps.matching.scoring.eligibility import names
from apps.matching.scoring.facts import Need
from apps.policy.models import Policy

# Holds that are changed in the first transaction. Answers and sweeps wait for its locks.
BATCH: Final = 10
_MOST: Final = 40  # with more, a hold takes no less time
_LONG: Final = 0.5  # seconds
# An answer counts from the clock of its transaction, which may have begun before we read and ended after it.
LONGEST_TRANSACTION: Final = dt.timedelta(minutes=5)


class BatchSize:
    """How many holds the next transaction changes: half as many after a long one, twice as many after a short one."""

    def __init__(self) -> None:
        self.holds = BATCH

    def adapt(self, seconds: float) -> None:
        """Learn how long the last transaction took."""
        if seconds > _LONG:
            self.holds = max(1, self.holds // 2)
        elif seconds < _LONG / 2:
            self.holds = min(_MOST, self.holds * 2)


@dataclass
class HoldChange:
    """Holds that end, and holds that are made instead, in one transaction."""

    gone: list[Pair] = field(default_factory=list)
    new: list[Pair] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.gone) + len(self.new)

    @property
    def needs(self) -> set[int]:
        """Ids of the needs that get something new."""
        return {need_id for need_id, _source_id in self.new}


def changes(planned: Mapping[Pair, int], contest: Contest, size: BatchSize | None = None) -> Iterator[HoldChange]:
    """What differs between a plan and what is asked now, in the order of the plan: quantities by (need, source).

    `size` may change from one of them to the next.

    What a need gets comes with what must end first: its own holds, and others on the same sources as far as these have
    too little left. So time may run out after any of these changes, and nobody lost goods that nobody else was given.
    """
    size = size or BatchSize()
    change = HoldChange()
    for step in _steps(planned, contest, size):
        if change and len(change) + len(step) > size.holds:
            yield change
            change = HoldChange()
        change.gone += step.gone
        change.new += step.new
    if change:
        yield change


def differing(planned: Mapping[Pair, int], contest: Contest) -> list[Pair]:
    """What a plan asks for that is not asked now."""
    return [pair for pair, quantity in planned.items() if quantity != contest.asked.get(pair)]


def _steps(planned: Mapping[Pair, int], contest: Contest, size: BatchSize) -> Iterator[HoldChange]:
    """The changes need by need. What is too much for a transaction ends in several, before the need gets anything."""
    new = differing(planned, contest)
    # Taking holds back without asking somebody else would help nobody.
    if not new:
        return
    holds = _Outdated(planned, contest)
    for need_id, pairs in groupby(new, key=lambda pair: pair[0]):
        wanted = list(pairs)
        ends = holds.end_own(need_id)
        for pair in wanted:
            ends += holds.make_room(pair[1], planned[pair])
        most = size.holds
        *before, last = [ends[start : start + most] for start in range(0, len(ends), most)] or [[]]
        yield from map(HoldChange, before)
        yield HoldChange(last, wanted)
    # Holds that the plan ends although nobody needs their goods now.
    for need_id in list(holds.own):
        yield HoldChange(holds.end_own(need_id))


class _Outdated:
    """The holds that a plan ends, each once, and what their sources have left meanwhile."""

    def __init__(self, planned: Mapping[Pair, int], contest: Contest) -> None:
        self._asked = contest.asked
        self._left = Counter({source.id: source.free for source in contest.sources})
        for (_need_id, source_id), quantity in contest.asked.items():
            self._left[source_id] -= quantity
        self.own: dict[int, list[Pair]] = defaultdict(list)
        self._of_source: dict[int, list[Pair]] = defaultdict(list)
        # The needs that the plan serves last, or not at all, stand at the end and give way first.
        turn = {need_id: number for number, (need_id, _source_id) in enumerate(planned)}
        for pair in sorted(contest.asked, key=lambda pair: (turn.get(pair[0], len(turn)), pair)):
            if contest.asked[pair] != planned.get(pair):
                self.own[pair[0]].append(pair)
                self._of_source[pair[1]].append(pair)
        self._ended: set[Pair] = set()

    def end_own(self, need_id: int) -> list[Pair]:
        """What a need holds and does not keep."""
        return [pair for pair in self.own[need_id] if self._end(pair)]

    def make_room(self, source_id: int, quantity: int) -> list[Pair]:
        """The holds of others that end so that a source has so much left, which is then taken."""
        ends = []
        others = self._of_source[source_id]
        while self._left[source_id] < quantity and others:
            pair = others.pop()
            if self._end(pair):
                ends.append(pair)
        self._left[source_id] -= quantity
        return ends

    def _end(self, pair: Pair) -> bool:
        if pair in self._ended:
            return False
        self._ended.add(pair)
        self._left[pair[1]] += self._asked[pair]
        return True


@transaction.atomic
def write_change(change: HoldChange, plan: Plan, contest: Contest, policy: Policy, now: dt.datetime) -> Done:
    """Carry out one change; `plan` has at least the holds of its needs. What went meanwhile is left as it is.

    A supplier that is asked for another quantity gets one message, which names the quantity that it replaces.
    """
    touched = {*change.gone, *change.new}
    locked = lock({need_id for need_id, _source_id in touched}, {source_id for _need_id, source_id in touched})
    # A need that was amended while the plan was made is left as it is: its own matching follows.
    steady = {pk for pk, demand in locked.items() if _asks_the_same(demand, contest)}
    held = Match.objects.held().filter(demand__in=steady.intersection(need_id for need_id, _source_id in change.gone))
    ending = set(change.gone)
    given_way = [
        match
        for match in held.shown().order_by("pk")
        if (pair := (match.demand_id, match.offer_id)) in ending and match.quantity == contest.asked[pair]
    ]
    take_back(given_way, MatchState.SUPERSEDED, now)
    requested = requested_since(
        {pk: demand.match_requested_at for pk, demand in locked.items()}, given_way, locked, now
    )
    needs = _with_answers_since((contest.need[pk] for pk in sorted(steady & change.needs)), contest)
    new = set(change.new)
    part = Plan(
        holds=[
            hold
            for hold in plan.holds
            if (pair := (hold.need_id, hold.candidate.source.id)) in new
            and pair[0] in needs
            and not names(needs[pair[0]], hold.candidate.source)
        ],
        backups=plan.backups,
    )
    return Done(yielded=len(given_way)) + carry_out(part, locked, requested, policy, now)


def _with_answers_since(needs: Iterable[Need], contest: Contest) -> dict[int, Need]:
    """The needs by id, with the suppliers that said no while the plan was made. These must not be asked again.

    What gave way a moment ago may.
    """
    known = {need.id: need for need in needs}
    lists = not_to_be_asked(list(known.values()), since=contest.read_at - LONGEST_TRANSACTION)
    return {pk: replace(need, excluded=lists[pk]) for pk, need in known.items()}


def _asks_the_same(demand: Demand, contest: Contest) -> bool:
    """Whether a need is as it was read: what its requester can change, and what suppliers have accepted.

    Holds may differ, as the plan is about them.
    """
    need = contest.need.get(demand.pk)
    return (
        need is not None
        and demand.state == DemandState.OPEN
        and demand.quantity_matched == contest.accepted[demand.pk]
        and (demand.target, demand.standard_id, demand.accepts_substitutes, demand.needed_by)
        == (need.target, need.standard_id, need.accepts_substitutes, need.needed_by)
        and location_of(demand.region) == need.location
    )
