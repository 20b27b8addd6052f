"""What would have been: needs of the past served once more, by the same decisions, under another policy. Pure.

Time goes in steps: what was posted within one is decided at its end, by `allocation.decide`; where that leaves somebody
short, all who still want something are decided together with those who were just asked, by `contest.allocate`. Whoever
is asked then answers before the next step: who said no to a need says no to it again, who gave less gives as much
again, all others give what they are asked for. Nothing that was promised is taken back.
"""

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from typing import Any, Final

from apps.matching.allocation.sequential import Plan, decide
from apps.matching.scoring.facts import Need, Rules, Source
from apps.matching.scoring.precedence import can_wait
from apps.policy.values import PolicyValues

STEP: Final = dt.timedelta(hours=1)
DAY: Final = dt.timedelta(days=1)
# Pairs of need and source that one replay decides together, step after step, and how often each is improved on. Counted
# and not timed, so that the same past is the same again.
MOST_TOGETHER: Final = 25_000_000
IMPROVEMENTS: Final = 8
Pair = tuple[int, int]  # a need and a source


@dataclass(frozen=True, slots=True)
class Posted:
    """A need as it was posted: `need.remaining` is all of it, `need.waiting_since` is when it was opened. The policy
    says which tier its kind of organisation has.
    """

    need: Need
    kind: str
    region: str  # the code of the place of delivery


@dataclass(frozen=True, slots=True)
class Stock:
    """A source with what was free of it, and nothing held, when the replay begins or, if later, it was published."""

    source: Source
    since: dt.datetime


@dataclass(frozen=True)
class History:
    """What happened from `since` to `until`. `answers` is what was given, at most, where less was given than was asked
    for.
    """

    since: dt.datetime
    until: dt.datetime
    posted: tuple[Posted, ...]
    stock: tuple[Stock, ...]
    answers: Mapping[Pair, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """What a source gives a need, and how many hours after it was posted."""

    source_id: int
    quantity: int
    hours: float


Served = dict[int, tuple[Part, ...]]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What each need is given, by its id; needs that get nothing are there with nothing.

    `apart` is in how many steps needs that compete were served one after the other, because all pairs of them and what
    is there were more than is left of what one replay may decide together.
    """

    served: Served
    apart: int = 0


def replay(
    history: History,
    rules: Rules,
    *,
    policy: PolicyValues,
    step: dt.timedelta = STEP,
    most_together: int = MOST_TOGETHER,
) -> Replayed:
    """Serve the needs of the past, step by step."""
    ledger = _Ledger(history, policy, step)
    left, apart = most_together, 0
    while ledger.has_next():
        now, needs = ledger.advance()
        if not needs:
            continue
        plan = decide(needs, list(ledger.sources.values()), rules, policy=policy, now=now)
        asked = _asked(plan)
        if ledger.is_contested(asked):
            pairs = len(ledger.remaining) * len(ledger.sources)
            if pairs <= left:
                left -= pairs
                asked = _decide_together(ledger, asked, rules, policy, now)
            else:
                apart += 1
        for pair, quantity in sorted(asked.items()):
            ledger.take(*pair, quantity, now)
    return Replayed({need_id: tuple(sorted(parts)) for need_id, parts in ledger.given.items()}, apart)


def _asked(plan: Plan) -> dict[Pair, int]:
    return {(hold.need_id, hold.candidate.source.id): hold.quantity for hold in plan.holds}


def _decide_together(
    ledger: "_Ledger", asked: Mapping[Pair, int], rules: Rules, policy: PolicyValues, now: dt.datetime
) -> dict[Pair, int]:
    """Who is asked for how much once all that want something are looked at together."""
    # Only workers replay, and the solver is heavy: pages that merely ask for a replay do without it.
    from apps.matching.allocation.contested import Effort, allocate

    settled = {pair: quantity for pair, quantity in asked.items() if ledger.is_settled(pair[0])}
    needs, sources = ledger.after(settled)
    plan = allocate(
        needs,
        sources,
        rules,
        policy=policy,
        now=now,
        held={pair: quantity for pair, quantity in asked.items() if pair not in settled},
        effort=Effort(_after(IMPROVEMENTS)),
    ).plan
    return settled | _asked(plan)


def _after(times: int) -> Callable[[], bool]:
    """Whether it was asked so many times before."""
    asked = count()
    return lambda: next(asked) >= times


class _Ledger:
    """Stock, needs and time while they are replayed. Only steps in which something happens are taken: a need that
    nobody could serve is decided again when stock comes in, and each day where gifts go farther each day.
    """

    def __init__(self, history: History, policy: PolicyValues, step: dt.timedelta) -> None:
        self.history, self.step = history, step
        self.arriving: dict[int, list[Need]] = defaultdict(list)
        for one in history.posted:
            need = replace(one.need, tier=policy.tier(one.kind))
            self.arriving[max(1, self._step_of(need.waiting_since))].append(need)
        self.coming: dict[int, list[Source]] = defaultdict(list)
        for stock in history.stock:
            self.coming[max(0, self._step_of(stock.since))].append(stock.source)
        self.sources = {source.id: source for source in self.coming.pop(0, [])}
        self.remaining: dict[int, Need] = {}
        self.given: dict[int, list[Part]] = {one.need.id: [] for one in history.posted}
        # Steps at which needs that wait are decided again: what was refused is free, or gifts go farther.
        self.again: set[int] = set()
        if policy.gift_reach_km is not None and any(one.source.is_donation for one in history.stock):
            days = (history.until - history.since) // DAY
            self.again |= {self._step_of(history.since + DAY * (number + 1)) for number in range(days)}
        self.at = 0

    def _step_of(self, moment: dt.datetime) -> int:
        return math.ceil((moment - self.history.since) / self.step)

    def has_next(self) -> bool:
        return bool(self.arriving or ((self.again or self.coming) and self.remaining))

    def advance(self) -> tuple[dt.datetime, list[Need]]:
        """Go on to the next step in which something happens; the needs to decide then."""
        self.at = min([*self.arriving, *self.again, *self.coming])
        new = self.arriving.pop(self.at, [])
        stock = self.coming.pop(self.at, [])
        self.sources |= {source.id: source for source in stock}
        needs = [*self.remaining.values(), *new] if stock or self.at in self.again else new
        self.again.discard(self.at)
        self.remaining |= {need.id: need for need in new}
        return self.history.since + self.at * self.step, needs

    def is_contested(self, asked: Mapping[Pair, int]) -> bool:
        """Whether somebody is short while what others are asked for can still be asked for somebody else."""
        promised: dict[int, int] = defaultdict(int)
        for (need_id, _source_id), quantity in asked.items():
            promised[need_id] += quantity
        if all(self.is_settled(need_id) for need_id in promised):
            return False
        return any(need.remaining > promised[need.id] for need in self.remaining.values())

    def is_settled(self, need_id: int) -> bool:
        """An urgent need of which a supplier has answered keeps what is asked of others: it is being dealt with."""
        return bool(self.given[need_id]) and not can_wait(self.remaining[need_id])

    def after(self, asked: Mapping[Pair, int]) -> tuple[Collection[Need], Collection[Source]]:
        """What is wanted and what is there besides what is asked."""
        needs, sources = dict(self.remaining), dict(self.sources)
        for (need_id, source_id), quantity in asked.items():
            need, source = needs[need_id], sources[source_id]
            needs[need_id] = replace(need, remaining=need.remaining - quantity, excluded=need.excluded | {source_id})
            sources[source_id] = replace(source, free=source.free - quantity)
        return needs.values(), sources.values()

    def take(self, need_id: int, source_id: int, quantity: int, now: dt.datetime) -> None:
        """Ask the source, and write down what it gives."""
        given = min(quantity, self.history.answers.get((need_id, source_id), quantity))
        need, source = self.remaining[need_id], self.sources[source_id]
        if given < quantity:
            need = replace(need, excluded=need.excluded | {source_id})
            self.again.add(self.at + 1)
        if given:
            hours = round((now - need.waiting_since) / dt.timedelta(hours=1), 2)
            self.given[need_id].append(Part(source_id, given, hours))
            self.sources[source_id] = replace(source, free=source.free - given)
            if given == source.free:
                del self.sources[source_id]
        self.remaining[need_id] = replace(need, remaining=need.remaining - given)
        if self.remaining[need_id].remaining == 0:
            del self.remaining[need_id]


@dataclass
class Total:
    """What became of some needs: how many were given anything, how many all; the sum of the shares that they were given
    (pieces of one item and litres of another do not add up); and the sum, over those given anything, of the hours until
    the first of it.
    """

    needs: int = 0
    helped: int = 0
    covered: int = 0
    filled: float = 0
    hours: float = 0

    def __add__(self, other: "Total") -> "Total":
        return Total(**{name: round(value + getattr(other, name), 6) for name, value in asdict(self).items()})


def differences(before: Served, after: Served) -> list[int]:
    """The needs that are served otherwise: by others, with more or less, or at another time."""
    return sorted(need_id for need_id in before if before[need_id] != after[need_id])


def totals(posted: Iterable[Posted], served: Served) -> dict[str, dict[str, Total]]:
    """Sums by place of delivery and, within it, kind of organisation: whoever reads them may watch a part only."""
    sums: dict[str, dict[str, Total]] = defaultdict(lambda: defaultdict(Total))
    for one in posted:
        parts = served[one.need.id]
        given = sum(part.quantity for part in parts)
        sums[one.region][one.kind] += Total(
            needs=1,
            helped=int(bool(parts)),
            covered=int(given >= one.need.remaining),
            filled=given / one.need.remaining,
            hours=min((part.hours for part in parts), default=0),
        )
    return {region: dict(kinds) for region, kinds in sums.items()}


def add_up(
    kept: Mapping[str, Mapping[str, Mapping[str, Any]]], new: Mapping[str, Mapping[str, Total]]
) -> dict[str, dict[str, Any]]:
    """Sums that are kept as JSON, with some more of them."""
    sums = {region: dict(kinds) for region, kinds in kept.items()}
    for region, kinds in new.items():
        for kind, more in kinds.items():
            before = sums.setdefault(region, {}).get(kind, {})
            sums[region][kind] = asdict(Total(**before) + more)
    return sums
