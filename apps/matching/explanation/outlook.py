"""What there is for a need right now, what keeps the rest from serving it, and what would help.

An item may have fifty thousand offers, and the page of a need must open at once: the database counts, none is loaded,
and of each item those that were confirmed last, `MOST_OFFERS` of them. It counts by the SQL of the checks in
`scoring.eligibility`. A test compares it with their formulas on random data.
"""

import datetime as dt
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from django.db import connection
from django.db.models import Case, Count, F, FloatField, Func, IntegerField, Q, QuerySet, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import ASin, Cos, Least, Power, Radians, Sin, Sqrt

from apps.catalogue.models import Item, Region, Standard
from apps.catalogue.regions import EARTH_RADIUS_KM, distance_km
from apps.demands.models import Demand, DemandState
from apps.matching.exclusions import not_to_be_asked
from apps.matching.explanation.survey import OfferGroup, Reasons, Survey, Way, ways_out
from apps.matching.loading import load_rules, need_of
from apps.matching.models import Match, MatchState
from apps.matching.scoring.eligibility import Reason, counted
from apps.matching.scoring.facts import Need, Rules
from apps.matching.scoring.precedence import effective_tier
from apps.policy.models import Policy
from apps.policy.values import PolicyValues
from apps.supply.models import Offer, OfferState

_NEAREST: Final = 2
MOST_OFFERS: Final = 2_000
_COUNTED: Final = (OfferState.PUBLISHED, OfferState.STALE, OfferState.PAUSED)
# Each reason is a bit in the mask of an offer.
BIT: Final = {check.reason: 1 << index for index, check in enumerate(counted())}


@dataclass(frozen=True)
class Rivals:
    """Needs that hold, or were promised, what would serve this one, by their priority beside its own."""

    above: int
    equal: int
    below: int


@dataclass(frozen=True)
class Outlook:
    """What the catalogue of offers holds for a need, in numbers of suppliers: no names, as nobody was asked."""

    demand: Demand
    as_of: dt.datetime
    is_asked: bool  # whether suppliers have not answered yet; their offers are not among those counted
    is_partial: bool  # whether an item has more offers than are counted
    survey: Survey
    ways: tuple[Way, ...]
    rivals: Rivals = Rivals(0, 0, 0)
    items: Mapping[int, Item] = field(default_factory=dict)
    standards: Mapping[int, Standard] = field(default_factory=dict)
    places: Mapping[str, Region] = field(default_factory=dict)

    @property
    def is_counted(self) -> bool:
        return _may_ask(self.demand)


def _may_ask(demand: Demand) -> bool:
    """Whether suppliers may be asked for this need. Nothing is counted for others, because anybody can register."""
    return demand.state == DemandState.OPEN and demand.organisation.is_verified


def outlook(demand: Demand, *, now: dt.datetime, policy: PolicyValues | None = None) -> Outlook:
    """Count the suppliers that could serve a need (fetched with `shown()`), and what keeps back the others.

    `policy` is the current one unless it is given. Nothing is counted for a need for which nobody is asked.
    """
    if not _may_ask(demand):
        return Outlook(demand, now, is_asked=False, is_partial=False, survey=Survey(0, {}, ()), ways=())
    policy = policy or Policy.objects.current().values
    rules = load_rules()
    need = need_of(demand, policy, remaining=max(1, demand.quantity_remaining))
    latest = latest_of(rules.offered_for(demand.item_id, accepts_substitutes=True))
    need = replace(need, excluded=not_to_be_asked([need])[need.id])
    asked = list(Match.objects.held().filter(demand=demand).values_list("offer_id", flat=True))
    offers = offers_among(latest, demand, need, rules, policy, now).exclude(pk__in=asked)
    survey = _survey(offers, rules.offered_for(demand.item_id, accepts_substitutes=demand.accepts_substitutes))
    places = _nearest(survey.places, demand.region)
    ways = ways_out(
        survey,
        spoken_for=demand.quantity_covered,
        matter_share=policy.matter_share,
        places=tuple(place.code for place in places),
    )
    is_promised = survey.group(Reason.STOCK) is not None
    return Outlook(
        demand=demand,
        as_of=now,
        is_asked=bool(asked),
        is_partial=MOST_OFFERS in Counter(latest.values()).values(),
        survey=survey,
        ways=ways,
        rivals=_rivals(offers, demand, policy, now) if is_promised else Rivals(0, 0, 0),
        items=Item.objects.in_bulk({item for way in ways for item, _suppliers in way.items}),
        standards=Standard.objects.in_bulk({pk for way in ways for pk, _suppliers in way.standards if pk is not None}),
        places={place.code: place for place in places},
    )


def latest_of(items: Collection[int]) -> dict[int, int]:
    """The offers of each item that their suppliers confirmed last: the item of each, by the key of the offer."""
    of_each = [
        Offer.objects.filter(item=item, state__in=_COUNTED)
        .order_by("-confirmed_at")
        .values_list("pk", "item_id")[:MOST_OFFERS]
        for item in items
    ]
    return dict(of_each[0].union(*of_each[1:], all=True))


def offers_among(
    keys: Collection[int], demand: Demand, need: Need, rules: Rules, policy: PolicyValues, now: dt.datetime
) -> QuerySet[Any]:
    """Those of these offers that are not the requester's own, with a `mask` of the reasons against each."""
    offers = (
        Offer.objects.filter(pk__in=keys or [0])  # of an empty list Django makes no SQL
        .exclude(organisation=demand.organisation_id)
        .annotate(free=Offer.quantity_free.expression(), beyond_km=_beyond_reach(demand.region, policy, now))
    )
    mask: Combinable = Value(0, output_field=IntegerField())
    for check in counted():
        condition, bit = check.condition(need, rules, policy, now), Value(BIT[check.reason])
        # Each condition sets its own bit, so one number says all the reasons against an offer.
        mask = mask + Case(When(condition, then=bit), default=Value(0), output_field=IntegerField())
    return offers.annotate(mask=mask).order_by()


def _beyond_reach(region: Region, policy: PolicyValues, now: dt.datetime) -> Combinable:
    """By how many kilometres an offer is farther away than gifts go by now. NULL where they go anywhere: to a place
    without coordinates, or under a policy that says so.
    """
    km = _km_from(region)
    if km is None or policy.gift_reach_km is None:
        return Value(None, output_field=FloatField())
    return km - _reach_km(policy.gift_reach_km, policy.gift_reach_km_per_day, now)


def _km_from(region: Region) -> Combinable | None:
    """Kilometres from a region to the origin of an offer, by the haversine formula, as `catalogue.regions` has it."""
    if region.latitude is None or region.longitude is None:
        return None
    here = math.radians(region.latitude)
    there = Radians(F("origin_region__latitude"))
    east = Radians(F("origin_region__longitude") - region.longitude)
    half_chord = Power(Sin((there - here) / 2.0), 2) + Cos(there) * math.cos(here) * Power(Sin(east / 2.0), 2)
    return ASin(Sqrt(Least(half_chord, 1.0))) * (2 * EARTH_RADIUS_KM)


def _reach_km(km: float, km_per_day: float, now: dt.datetime) -> Combinable:
    """How far gifts go by now, in kilometres, as `facts.reach_km` computes it."""
    seconds = Func(
        Value(now) - F("published_at"),
        template="greatest(0, extract(epoch FROM %(expressions)s)::float8)",
        output_field=FloatField(),
    )
    return seconds * (km_per_day / 86_400) + km


# One scan of the offers, kept as `offer`, then four counts of it in one answer; the first column says which count a row
# belongs to. `bit_and` leaves the reasons that all offers of a supplier have in common: these keep the supplier back.
_COUNT: Final = """
    WITH offer (organisation, item, standard, minimum, free, ships_to, mask) AS MATERIALIZED ({offers}),
         supplier AS (SELECT bit_and(mask) AS mask FROM offer WHERE item = ANY(%s) GROUP BY organisation)
    SELECT 'supplier', mask, count(*), 0::numeric, 0::bigint, 0::bigint, NULL::bigint, NULL::bigint, NULL::text
      FROM supplier GROUP BY mask
    UNION ALL
    SELECT 'group', mask, count(DISTINCT organisation), sum(free), min(minimum), max(free), NULL, NULL, NULL
      FROM offer GROUP BY mask
    UNION ALL
    SELECT 'item', mask, count(DISTINCT organisation), sum(free), min(minimum), max(free), item, standard, NULL
      FROM offer WHERE mask = ANY(%s) GROUP BY mask, item, standard
    UNION ALL
    SELECT DISTINCT 'place', mask, 0, 0, 0, 0, 0, 0, unnest(ships_to) FROM offer WHERE mask = %s
"""


def _survey(offers: QuerySet[Any], welcome: Collection[int]) -> Survey:
    """`welcome` are the items that will do."""
    columns = ("organisation_id", "item_id", "standard_id", "minimum_order", "free", "ships_to", "mask")
    query, params = offers.values_list(*columns).query.sql_with_params()
    detailed = [BIT[Reason.SUBSTITUTE], BIT[Reason.STANDARD]]
    with connection.cursor() as cursor:
        cursor.execute(_COUNT.format(offers=query), (*params, list(welcome), detailed, BIT[Reason.REGION]))
        rows = cursor.fetchall()

    suppliers = {_reasons_in(mask): count for kind, mask, count, *_rest in rows if kind == "supplier"}
    groups = {
        kind: tuple(
            OfferGroup(_reasons_in(mask), count, int(units), minimum, most, item, standard)
            for of, mask, count, units, minimum, most, item, standard, _place in rows
            if of == kind
        )
        for kind in ("group", "item")
    }
    blocked = {one: sum(count for reasons, count in suppliers.items() if one in reasons) for one in BIT}
    survey = Survey(
        suppliers=sum(suppliers.values()),
        blocked={reason: count for reason, count in blocked.items() if count},
        groups=groups["group"],
        of_items=groups["item"],
        places=tuple(sorted(place for kind, *_rest, place in rows if kind == "place")),
    )
    # A supplier whose offers have no reason in common has one that fits, or each is kept back by something else.
    return replace(survey, mixed=suppliers.get(frozenset(), 0) - survey.candidates)


def _reasons_in(mask: int) -> Reasons:
    return frozenset(reason for reason, bit in BIT.items() if mask & bit)


def _nearest(codes: Sequence[str], region: Region) -> list[Region]:
    """The nearest of these places, at most `_NEAREST`."""
    # Without coordinates no place is nearer than another, so none is named.
    if not codes or region.latitude is None or region.longitude is None:
        return []
    here = (region.latitude, region.longitude)
    away = [
        (distance_km(here, (place.latitude, place.longitude)), place.code, place)
        for place in Region.objects.filter(code__in=codes)
        if place.latitude is not None and place.longitude is not None
    ]
    return [place for _km, _code, place in sorted(away)[:_NEAREST]]


def _rivals(offers: QuerySet[Any], demand: Demand, policy: PolicyValues, now: dt.datetime) -> Rivals:
    own = effective_tier(policy.tier(demand.organisation.kind), demand.opened_at or demand.created_at, now, policy)
    holding = Match.objects.filter(
        offer__in=offers.filter(mask=BIT[Reason.STOCK]).values("pk"),
        state__in=[MatchState.HELD, MatchState.ACCEPTED],
        # A need that was received in full is no rival any more.
        demand__state__in=[DemandState.OPEN, DemandState.MATCHED],
    )
    counted = holding.aggregate(
        above=Count("demand", filter=Q(tier__lt=own), distinct=True),
        equal=Count("demand", filter=Q(tier=own), distinct=True),
        below=Count("demand", filter=Q(tier__gt=own), distinct=True),
    )
    return Rivals(**counted)
