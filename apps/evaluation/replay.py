"""The rounds of the published framework: a strategy sees the open requests and decides what is shipped. Pure."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from apps.evaluation.dataset import DAY, Dataset, Requests
from apps.evaluation.metrics import Shipments
from apps.matching.allocation.contested import allocate
from apps.matching.allocation.groups import Floats, Ints
from apps.matching.scoring.facts import Location, Need, Rules, Source
from apps.matching.scoring.precedence import ROUTINE
from apps.policy.values import PolicyValues

KM_PER_MILE: Final = 1.609344
_MINUTE: Final = 60_000_000
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class OpenRequests:
    """Units of one item that parties still offer, or still want: one entry for each party, by its number."""

    party: Ints
    since: Ints  # time of the party's oldest open request, in microseconds since 1970
    quantity: Ints


@dataclass(frozen=True)
class Round:
    """One item at the end of a round: everything that is open then."""

    number: int
    now: int  # microseconds since 1970
    item: int
    offered: OpenRequests
    wanted: OpenRequests


Decisions = Iterable[tuple[int, int, int]]  # donor, recipient, units
Strategy = Callable[[Round], Decisions]


class InfeasibleError(ValueError):
    """A strategy shipped more than was offered, or more than was wanted."""


def ends(dataset: Dataset, every: float) -> Iterator[tuple[int, int]]:
    """Begin and end of each round, `every` so many days long, in microseconds since 1970; both are exclusive.

    The last round ends after the last request.
    """
    moments = np.concatenate([dataset.offers.at, dataset.requests.at])
    last, begin = int(moments.max()) + _MINUTE, int(moments.min()) - _MINUTE
    while (end := begin + round(every * DAY)) <= last:
        yield begin, end
        begin = end
    # The last round ends just after the last request, however short it is.
    yield begin, last + 2 * _MINUTE


class _OpenBook:
    """The requests of one side, and how many units of each are still open."""

    def __init__(self, requests: Requests) -> None:
        self.requests, self.left = requests, requests.quantity.copy()
        self._seen = np.zeros(len(requests), dtype=bool)

    def comes_in(self, after: int, before: int) -> None:
        """Admit the requests of a round. One exactly between two rounds is lost, as in the published framework."""
        self._seen |= (self.requests.at > after) & (self.requests.at < before)

    def of(self, item: int) -> tuple[OpenRequests, Ints]:
        rows = np.flatnonzero(self._seen & (self.left > 0) & (self.requests.item == item))
        # One entry for each party, as the published framework adds up the open requests of a party.
        party, first, whose = np.unique(self.requests.party[rows], return_index=True, return_inverse=True)
        quantity = np.bincount(whose.reshape(-1), self.left[rows], minlength=len(party)).astype(np.int64)
        return OpenRequests(party, self.requests.at[rows[first]], quantity), rows  # rows are in the order of time

    def take(self, rows: Ints, party: int, units: int) -> None:
        """Take units of a party from its oldest requests first. Raises `InfeasibleError` if there are fewer."""
        for row in rows[self.requests.party[rows] == party].tolist():
            part = min(units, int(self.left[row]))
            self.left[row] -= part
            units -= part
        # A strategy that ships what is not there would look better than it is, so the replay stops.
        if units:
            raise InfeasibleError(f"{units} units more than there are, of party {party}")


def replay(
    dataset: Dataset, strategy: Strategy, *, every: float = 7, report: Callable[[float], None] = lambda _share: None
) -> Shipments:
    """Run a strategy over all rounds, `every` so many days, and return what it shipped.

    `report` is called with the share that is done, from 0 to 1. Raises `InfeasibleError` for an impossible decision.
    """
    offers, requests = _OpenBook(dataset.offers), _OpenBook(dataset.requests)
    sent: list[tuple[int, int, int, int, int]] = []
    rounds = list(ends(dataset, every))
    for number, (after, now) in enumerate(rounds):
        offers.comes_in(after, now)
        requests.comes_in(after, now)
        # Item by item, because no strategy here trades one item for another.
        for item in range(len(dataset.items)):
            offered, supply = offers.of(item)
            wanted, demand = requests.of(item)
            if not len(supply) or not len(demand):
                continue
            for donor, recipient, units in strategy(Round(number, now, item, offered, wanted)):
                if units <= 0:
                    raise InfeasibleError(f"{units} units")
                offers.take(supply, donor, units)
                requests.take(demand, recipient, units)
                sent.append((now, donor, recipient, item, units))
        report((number + 1) / len(rounds))
    return Shipments.of(sent)


class DatasetDistances:
    """The distances of a data set, as the matching asks for them: a location has a path like "donor/7"."""

    def __init__(self, dataset: Dataset) -> None:
        self._km = KM_PER_MILE * dataset.miles
        self.donors = [Location(f"donor/{party}") for party in range(len(dataset.donors))]
        self.recipients = [Location(f"recipient/{party}") for party in range(len(dataset.recipients))]
        self._number = {
            location.path: party for side in (self.donors, self.recipients) for party, location in enumerate(side)
        }

    def km(self, a: Location, b: Location) -> float | None:
        """Kilometres from a recipient's location `a` to a donor's location `b`."""
        return float(self._km[self._number[b.path], self._number[a.path]])

    def table(self, here: Iterable[Location], there: Iterable[Location]) -> Floats:
        donors, recipients = ([self._number[location.path] for location in side] for side in (there, here))
        return self._km[np.ix_(donors, recipients)].T


class CurrentMatching:
    """The allocation of the present code as a strategy.

    Facts that the data lack are the same for all. Every recipient is a hospital whose need is routine and has no date.
    Every offer is a gift that can be sent at once and was confirmed today.
    """

    def __init__(self, dataset: Dataset, policy: PolicyValues, *, urgency_rank: int = ROUTINE) -> None:
        self.policy, self._urgency = policy, urgency_rank
        self._measured = DatasetDistances(dataset)
        self._rules = Rules(distances=self._measured)
        self._first_recipient = len(dataset.donors) + 1  # organisations: donors, then recipients
        self._needs: dict[tuple[int, int], Need] = {}

    def __call__(self, one: Round) -> Decisions:
        now = _EPOCH + dt.timedelta(microseconds=one.now)
        plan = allocate(
            [self._need(one.item, *facts) for facts in _rows(one.wanted)],
            [self._source(one.item, now, *facts) for facts in _rows(one.offered)],
            self._rules,
            policy=self.policy,
            now=now,
        ).plan
        # Ids are numbers of parties plus 1, so that none is 0.
        return [(hold.candidate.source.id - 1, hold.need_id - 1, hold.quantity) for hold in plan.holds]

    def _need(self, item: int, party: int, since: int, quantity: int) -> Need:
        """The need of a party; most are kept from the round before. Shipped units still count as requested."""
        # Kept between rounds: `target` remembers all that was asked for, and most needs do not change.
        known = self._needs.get((item, party))
        if known is None or known.remaining != quantity:
            known = self._needs[item, party] = Need(
                id=party + 1,
                organisation_id=self._first_recipient + party,
                item_id=item,
                target=quantity if known is None else known.target + max(0, quantity - known.remaining),
                remaining=quantity,
                tier=1,
                urgency_rank=self._urgency,
                days_of_supply=None,
                waiting_since=_EPOCH + dt.timedelta(microseconds=since),
                needed_by=None,
                location=self._measured.recipients[party],
            )
        return known

    def _source(self, item: int, now: dt.datetime, party: int, since: int, quantity: int) -> Source:
        return Source(
            id=party + 1,
            organisation_id=party + 1,
            item_id=item,
            free=quantity,
            minimum_order=1,
            lead_time_days=0,
            location=self._measured.donors[party],
            ships_to=frozenset(),
            standard_id=None,
            confirmed_at=now,
            is_donation=True,
            offered_at=_EPOCH + dt.timedelta(microseconds=since),
        )


def _rows(side: OpenRequests) -> "zip[tuple[int, int, int]]":
    columns: tuple[Any, ...] = (side.party.tolist(), side.since.tolist(), side.quantity.tolist())
    return zip(*columns, strict=True)
