"""Who was asked for a need, as its pages show it: who counts now first, what is over folded together by offer."""

import datetime as dt
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Final

from django.db.models import Count, Max

from apps.demands.models import Demand, DemandState
from apps.matching.models import PENDING, WAS_ASKED, Match, MatchQuerySet, MatchState

_NOW: Final = (MatchState.ACCEPTED, *PENDING)
_OVER_SHOWN: Final = 30


@dataclass(frozen=True)
class Over:
    """What one offer was asked that is over: the last of it, and how often it ended how, the most frequent first."""

    last: Match
    ended: list[tuple[str, int]]

    @property
    def times(self) -> int:
        return sum(count for _how, count in self.ended)


@dataclass(frozen=True)
class Asked:
    """Who was asked. Of needs that were matched again and again a lot is over, so of that one line for each offer, the
    last first, and of no more than a page is made for.
    """

    now: list[Match]  # by rank
    taken_back: set[int]  # of these, the keys of what the next sweep takes back
    over: list[Over]
    ended: list[tuple[str, int]]  # how often what is over ended how
    offers_not_shown: int

    @property
    def times_over(self) -> int:
        return sum(count for _how, count in self.ended)

    @property
    def held(self) -> list[Match]:
        """Who has not answered yet, and still can."""
        return [match for match in self.now if match.state == MatchState.HELD and match.pk not in self.taken_back]

    @property
    def accepted(self) -> list[Match]:
        return [match for match in self.now if match.state == MatchState.ACCEPTED]


def asked_for(demand: Demand, rows: MatchQuerySet, *, now: dt.datetime) -> Asked:
    """Of the matches that the reader may see. As many queries for many as for few.

    The next sweep may take back, between two queries, what the first found waiting: what is about to be is asked first,
    and what stands among those who count now does not also stand among what is over.
    """
    rows = rows.filter(demand=demand)
    # Without a hold nothing can be taken back: that spares most needs this query.
    invalid = set(rows.invalid(now.date()).values_list("pk", flat=True)) if demand.quantity_held else set()
    shown = rows.shown().select_related("demand__organisation__region", "offer__organisation__region")
    states = _NOW if demand.state == DemandState.OPEN else (MatchState.ACCEPTED, MatchState.HELD)  # nothing is next
    # In the order in which matching asked them, so that the page tells the same story as the reasons.
    current = list(shown.filter(state__in=states).order_by("rank", "pk"))
    keys = {match.pk for match in current}

    ended: dict[int, Counter[str]] = defaultdict(Counter)
    last: dict[int, int] = defaultdict(int)
    # Grouped in the database: a need of many rounds has thousands of ended requests.
    past = rows.filter(WAS_ASKED).exclude(state__in=_NOW).exclude(pk__in=keys).order_by()
    for offer, state, count, newest in past.values_list("offer", "state").annotate(Count("pk"), Max("pk")):
        ended[offer][str(MatchState(state).label)] += count
        last[offer] = max(last[offer], newest)
    # Keys grow with time, so the greatest are the latest.
    newest_first = sorted(last.values(), reverse=True)[:_OVER_SHOWN]
    return Asked(
        now=current,
        taken_back=invalid & keys,
        over=[
            Over(match, ended[match.offer_id].most_common())
            for match in shown.filter(pk__in=newest_first).order_by("-pk")
        ],
        ended=sum(ended.values(), Counter[str]()).most_common(),
        offers_not_shown=len(last) - len(newest_first),
    )
