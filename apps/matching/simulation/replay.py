"""Replay: the needs of some past days are decided again, by the same functions, under another policy. Pure.

Time advances in steps of an hour. Needs posted within a step are decided at its end by `sequential.decide`. Where that
leaves a need short, all open needs are decided together by `contested.allocate`, as the micro-batch does. Suppliers
answer before the next step, as they did in the past: one who declined a need declines it again, one who gave less gives
as much again, all others accept. Accepted quantities are never taken back.
"""

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from typing import Any, Final

from apps.matching.allocation.sequential import Plan, decide
from apps.matching.scoring.eligibility import asked_before
from apps.matching.scoring.facts import Need, Rules, Source
from apps.matching.scoring.precedence import can_wait
from apps.policy.values import PolicyValues

STEP: Final = dt.timedelta(hours=1)
DAY: Final = dt.timedelta(days=1)
# The effort of one replay: pairs of need and source that it may decide together, over all its steps, and rounds of
# improvement per step. Effort is counted and not timed, so that the same past gives the same result.
MOST_TOGETHER: Final = 25_000_000
IMPROVEMENTS: Final = 8
Pair = tuple[int, int]  # need id, source id


@dataclass(frozen=True, slots=True)
class PostedNeed:
    """A need as it was posted: `need.remaining` is the whole quantity, `need.waiting_since` is when it was opened.

    The tier follows from `kind` by the policy under which it is replayed; `need.tier` is not used.
    """

    need: Need
    kind: str  # of organisation
    region: str  # code of the place of delivery


@dataclass(frozen=True, slots=True)
class Stock:
    """A source with its free quantity, and nothing held, when the replay begins or, if later, when it was published."""

    source: Source
    since: dt.datetime


@dataclass(frozen=True)
class History:
    """The trace of what happened from `since` to `until`.

    `answers` are the units that a supplier gave a need where it gave less than it was asked for; 0 is a no.
    """

    since: dt.datetime
    until: dt.datetime
    posted: tuple[PostedNeed, ...]
    stock: tuple[Stock, ...]
    answers: Mapping[Pair, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Allotment:
    """Units that a source gives a need, and how many hours after the need was posted."""

    source_id: int
    quantity: int
    hours: float


Served = dict[int, tuple[Allotment, ...]]  # by need id


@dataclass(frozen=True, slots=True)
class Replayed:
    """What each need was given. Needs that got nothing are present with an empty tuple.

    `apart` counts the contested steps that were decided sequentially, because deciding together would have exceeded the
    effort of the replay.
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
    """Serve the needs of the past, step by step, under this policy.

    `most_together` bounds the pairs that are decided together, added up over all steps.
    """
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
            # The effort is a budget for the whole replay. Where it is spent, the sequential plan stands and is counted.
            if pairs <= left:
                left -= pairs
                asked = _decide_together(ledger, asked, rules, policy, now)
            else:
                apart += 1
        # In one order, so that the same past gives the same result.
        for pair, quantity in sorted(asked.items()):
            ledger.take(*pair, quantity, now)
    return Replayed({need_id: tuple(sorted(parts)) for need_id, parts in ledger.given.items()}, apart)


def _asked(plan: Plan) -> dict[Pair, int]:
    return {(hold.need_id, hold.candidate.source.id): hold.quantity for hold in plan.holds}


def _decide_together(
    ledger: "_Ledger", asked: Mapping[Pair, int], rules: Rules, policy: PolicyValues, now: dt.datetime
) -> dict[Pair, int]:
    """The holds after a micro-batch: the sequential holds (`asked`), improved on for all open needs together."""
    # The solver is slow to import. Only workers replay; pages that request a replay must not pay for it.
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
    """A function that says whether it was called so many times before."""
    asked = count()
    return lambda: next(asked) >= times


class _Ledger:
    """Stock, needs and time of a replay.

    Steps in which nothing happens are skipped. A need that stayed short is decided again when stock comes in, and daily
    where the reach of donations grows with the days.
    """

    def __init__(self, history: History, policy: PolicyValues, step: dt.timedelta) -> None:
        self.history, self.step = history, step
        self.arriving: dict[int, list[Need]] = defaultdict(list)
        for one in history.posted:
            need = replace(one.need, tier=policy.tier(one.kind))
            # Needs are decided at the end of the step in which they were posted, so no decision is made at step 0.
            self.arriving[max(1, self._step_of(need.waiting_since))].append(need)
        self.coming: dict[int, list[Source]] = defaultdict(list)
        for stock in history.stock:
            self.coming[max(0, self._step_of(stock.since))].append(stock.source)
        self.sources = {source.id: source for source in self.coming.pop(0, [])}
        self.remaining: dict[int, Need] = {}
        self.given: dict[int, list[Allotment]] = {one.need.id: [] for one in history.posted}
        # Steps in which open needs are decided again: a supplier has declined, or donations reach farther.
        self.again: set[int] = set()
        if policy.gift_reach_km is not None and any(one.source.is_donation for one in history.stock):
            days = (history.until - history.since) // DAY
            self.again |= {self._step_of(history.since + DAY * (number + 1)) for number in range(days)}
        self.at = 0

    def _step_of(self, moment: dt.datetime) -> int:
        return math.ceil((moment - self.history.since) / self.step)

    def has_next(self) -> bool:
        """Whether there are steps left in which something can be decided."""
        return bool(self.arriving or ((self.again or self.coming) and self.remaining))

    def advance(self) -> tuple[dt.datetime, list[Need]]:
        """Go on to the next step in which something happens. Returns its time, and the needs to decide."""
        # Skips empty steps: time advances from event to event.
        self.at = min([*self.arriving, *self.again, *self.coming])
        new = self.arriving.pop(self.at, [])
        stock = self.coming.pop(self.at, [])
        self.sources |= {source.id: source for source in stock}
        needs = [*self.remaining.values(), *new] if stock or self.at in self.again else new
        self.again.discard(self.at)
        self.remaining |= {need.id: need for need in new}
        return self.history.since + self.at * self.step, needs

    def is_contested(self, asked: Mapping[Pair, int]) -> bool:
        """Whether a need is short while holds of this step could still be moved to it."""
        promised: dict[int, int] = defaultdict(int)
        for (need_id, _source_id), quantity in asked.items():
            promised[need_id] += quantity
        if all(self.is_settled(need_id) for need_id in promised):
            return False
        return any(need.remaining > promised[need.id] for need in self.remaining.values())

    def is_settled(self, need_id: int) -> bool:
        """Whether the holds of a need are final: it is urgent, and a supplier has accepted part of it."""
        return bool(self.given[need_id]) and not can_wait(self.remaining[need_id])

    def after(self, asked: Mapping[Pair, int]) -> tuple[Collection[Need], Collection[Source]]:
        """The open needs and the stock that are left beside these holds."""
        needs, sources = dict(self.remaining), dict(self.sources)
        for (need_id, source_id), quantity in asked.items():
            need, source = needs[need_id], sources[source_id]
            needs[need_id] = asked_before(replace(need, remaining=need.remaining - quantity), source_id)
            sources[source_id] = replace(source, free=source.free - quantity)
        return needs.values(), sources.values()

    def take(self, need_id: int, source_id: int, quantity: int, now: dt.datetime) -> None:
        """Ask the source, and record what it gives: as in the past, or else all of it."""
        given = min(quantity, self.history.answers.get((need_id, source_id), quantity))
        need, source = self.remaining[need_id], self.sources[source_id]
        if given < quantity:
            need = asked_before(need, source_id)
            # Who got less than it was promised asks again in the next step.
            self.again.add(self.at + 1)
        if given:
            hours = round((now - need.waiting_since) / dt.timedelta(hours=1), 2)
            self.given[need_id].append(Allotment(source_id, given, hours))
            self.sources[source_id] = replace(source, free=source.free - given)
            if given == source.free:
                del self.sources[source_id]
        self.remaining[need_id] = replace(need, remaining=need.remaining - given)
        if self.remaining[need_id].remaining == 0:
            del self.remaining[need_id]


@dataclass
class Total:
    """Sums over some needs. Quantities are added as shares, because pieces and litres do not add up."""

    needs: int = 0
    helped: int = 0  # got anything
    covered: int = 0  # got all
    filled: float = 0  # sum of the shares that they got
    hours: float = 0  # until the first allotment, summed over those that were helped

    def __add__(self, other: "Total") -> "Total":
        return Total(**{name: round(value + getattr(other, name), 6) for name, value in asdict(self).items()})


def differences(before: Served, after: Served) -> list[int]:
    """The ids of needs that are served differently: by other sources, with other quantities, or at another time."""
    return sorted(need_id for need_id in before if before[need_id] != after[need_id])


def totals(posted: Iterable[PostedNeed], served: Served) -> dict[str, dict[str, Total]]:
    """Sums by region of delivery, then kind of organisation: a reader may be allowed to see only some regions."""
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
    """Add new sums to sums that were stored as JSON. Both are by region, then by kind of organisation."""
    sums = {region: dict(kinds) for region, kinds in kept.items()}
    for region, kinds in new.items():
        for kind, more in kinds.items():
            before = sums.setdefault(region, {}).get(kind, {})
            sums[region][kind] = asdict(Total(**before) + more)
    return sums
