"""The one read before a decision: rows become frozen dataclasses."""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from django.db import connection
from django.db.models import Case, Prefetch, QuerySet, When
from django.utils import timezone

from apps.accounts.models import Organisation, OrganisationState
from apps.catalogue.models import Item, Region, Satisfaction, Substitution
from apps.demands.models import URGENCY_RANK, Demand, DemandQuerySet, Urgency
from apps.matching.exclusions import location_of, not_to_be_asked
from apps.matching.models import Match
from apps.matching.scoring.eligibility import Reason
from apps.matching.scoring.facts import HeldFor, Location, Need, Rules, Source
from apps.matching.scoring.precedence import effective_tier
from apps.policy.values import LAST_TIER, PolicyValues
from apps.supply.models import Offer

Pair = tuple[int, int]  # a demand and an offer
ANYWHERE: frozenset[str] = frozenset()


def load_rules() -> Rules:
    """The relations between standards and between items: small reference tables."""
    return Rules(
        satisfies=frozenset(Satisfaction.objects.values_list("offered_id", "demanded_id")),
        substitutes=frozenset(Substitution.objects.values_list("offered_id", "demanded_id")),
    )


def load_needs(
    demands: Iterable[Demand], policy: PolicyValues, *, asked: Mapping[Pair, int] | None = None
) -> list[Need]:
    """The needs among `demands` (fetched with `shown()`) that want something, each with those not to be asked.

    Quantities in `asked`, by (demand, offer), count as if nobody had been asked: they are wanted again, and the same
    offer may serve them.
    """
    again: dict[int, dict[int, int]] = defaultdict(dict)
    for (demand_id, offer_id), quantity in (asked or {}).items():
        again[demand_id][offer_id] = quantity
    needs = [
        need_of(demand, policy, remaining=remaining)
        for demand in demands
        if (remaining := demand.quantity_remaining + sum(again.get(demand.pk, {}).values())) > 0
    ]
    excluded = not_to_be_asked(needs)
    for need_id in again.keys() & excluded.keys():
        lists = excluded[need_id]
        lists[Reason.ASKED_BEFORE] = lists[Reason.ASKED_BEFORE].without(again[need_id])
    # A copy costs as much as a new one, and most needs have nobody to leave out.
    return [replace(need, excluded=lists) if any((lists := excluded[need.id]).values()) else need for need in needs]


def need_of(demand: Demand, policy: PolicyValues, *, remaining: int) -> Need:
    """A demand (fetched with `shown()`) as the decision sees it. Who is not to be asked is not among it."""
    return Need(
        id=demand.pk,
        organisation_id=demand.organisation_id,
        item_id=demand.item_id,
        target=demand.target,
        remaining=remaining,
        tier=policy.tier(demand.organisation.kind),
        urgency_rank=demand.urgency_rank,
        days_of_supply=demand.days_of_supply,
        waiting_since=demand.opened_at or demand.created_at,
        needed_by=demand.needed_by,
        location=location_of(demand.region),
        standard_id=demand.standard_id,
        accepts_substitutes=demand.accepts_substitutes,
    )


def source_of(offer: Offer, *, free: int) -> Source:
    """An offer (fetched with its region) as a decision sees it, but for its supplier's record and the usual price."""
    return Source(
        id=offer.pk,
        organisation_id=offer.organisation_id,
        item_id=offer.item_id,
        free=free,
        minimum_order=offer.minimum_order,
        lead_time_days=offer.lead_time_days,
        location=location_of(offer.origin_region),
        ships_to=frozenset(offer.ships_to),
        standard_id=offer.standard_id,
        confirmed_at=offer.confirmed_at or offer.created_at,
        is_donation=offer.is_donation,
        offered_at=offer.published_at,
    )


def items_for(demands: Iterable[Demand], rules: Rules) -> dict[int, set[int]]:
    """For each demanded item, the items whose offers may serve it: itself, and its substitutes where one is
    accepted.
    """
    wanted: dict[int, set[int]] = defaultdict(set)
    for demand in demands:
        wanted[demand.item_id] |= rules.offered_for(demand.item_id, accepts_substitutes=demand.accepts_substitutes)
    return wanted


def apart(items: Mapping[int, set[int]]) -> list[dict[int, set[int]]]:
    """The items of `items_for` in groups. No offer may serve two items of a group, so they can be decided side by side.

    The second group is decided when the first is written, and sees what that left.
    """
    groups: list[tuple[dict[int, set[int]], set[int]]] = []
    for item, offered in items.items():
        for group, in_use in groups:
            if in_use.isdisjoint(offered):
                group[item] = offered
                in_use.update(offered)
                break
        else:
            groups.append(({item: offered}, set(offered)))
    return [group for group, _taken in groups]


# Written out, because Django takes longer to make these two statements than the database to answer them for a few
# offers. An item may have twenty thousand: as plain as psycopg reads them, which makes numbers four times as fast as
# times. A double holds microseconds until the year 2255. For the same reason what is free is subtracted here by hand;
# a test compares it with `Offer.quantity_free`, as it does the views.
_SOURCES = """
SELECT offer.id, offer.organisation_id, offer.item_id, {quantity}, offer.minimum_order,
    offer.lead_time_days, offer.ships_to, offer.standard_id, extract(epoch FROM offer.confirmed_at)::float8,
    offer.unit_price::float8, offer.is_donation, region.path, region.latitude, region.longitude,
    extract(epoch FROM offer.published_at)::float8, record.kept, record.broken, reference.price
FROM supply_offer offer
JOIN accounts_organisation organisation ON organisation.id = offer.organisation_id
JOIN catalogue_region region ON region.code = offer.origin_region_id
LEFT JOIN matching_supplierrecord record ON record.organisation_id = offer.organisation_id
LEFT JOIN matching_referenceprice reference
    ON reference.item_id = offer.item_id AND reference.currency = offer.currency
WHERE {wanted} {able}
ORDER BY offer.id
"""
# Who may be asked at all. These conditions concern the offer alone, so the database drops such rows for every need.
_PUBLISHED = "AND offer.state = 'published'"
_ABLE = """
    AND offer.state = 'published'
    AND organisation.state = 'verified'
    AND (offer.certificate_valid_until IS NULL OR offer.certificate_valid_until >= %(today)s)
    -- What has nothing free can still serve through a hold that yields.
    AND (offer.quantity > offer.quantity_reserved OR offer.id = ANY (%(also)s))
"""
# Unanswered holds, with what a higher tier needs to know of them: who holds, and how much that need still wants.
_HELD = """
SELECT match.offer_id, match.id, match.demand_id, match.tier, organisation.kind,
    coalesce(demand.opened_at, demand.created_at), match.quantity,
    coalesce((SELECT remaining FROM demands_open WHERE demands_open.id = demand.id), 0)
FROM matching_match match
JOIN supply_offer offer ON offer.id = match.offer_id
JOIN demands_demand demand ON demand.id = match.demand_id
JOIN accounts_organisation organisation ON organisation.id = demand.organisation_id
WHERE {wanted} AND match.state = 'held'
ORDER BY match.id
"""


def load_sources(
    item_ids: Iterable[int],
    now: dt.datetime,
    policy: PolicyValues,
    *,
    also: Iterable[int] = (),
    only: Collection[int] | None = None,
) -> list[Source]:
    """Published, certified offers of verified suppliers with something to give: free stock, or an unanswered hold.

    They are the offers of these items, or `only` these offers where that is given. Offers in `also` are included even
    if nothing is left of them. Two queries, whatever the number of offers.
    """
    if only is not None and not only:
        return []
    # One or the other: both together would have PostgreSQL look up all that the item has and throw it away.
    wanted = "offer.item_id = ANY (%(wanted)s)" if only is None else "offer.id = ANY (%(wanted)s)"
    given: dict[str, Any] = {"wanted": list(item_ids if only is None else only), "today": now.date()}
    with connection.cursor() as cursor:
        cursor.execute(_HELD.format(wanted=wanted), given)
        # Holds are read first: an offer with nothing free but a hold on it must be among the sources, too.
        held = _holds(cursor.fetchall(), policy, now)
        free = _SOURCES.format(quantity="offer.quantity - offer.quantity_reserved", wanted=wanted, able=_ABLE)
        cursor.execute(free, given | {"also": [*held, *also]})
        return _sources(cursor.fetchall(), held)


def load_published(offer_ids: Collection[int]) -> list[Source]:
    """These offers, as far as they are published, as if nothing of them were reserved: what the offer index copies.

    Whether a supplier is verified, a certificate holds or something is free changes without the offer: that is for
    `load_sources` to say.
    """
    with connection.cursor() as cursor:
        everything = _SOURCES.format(quantity="offer.quantity", wanted="offer.id = ANY (%(wanted)s)", able=_PUBLISHED)
        cursor.execute(everything, {"wanted": list(offer_ids)})
        return _sources(cursor.fetchall(), {})


def load_offers(offer_ids: Collection[int]) -> list[Source]:
    """These offers, whatever keeps them from being asked, with what is free of them."""
    free = _SOURCES.format(
        quantity="offer.quantity - offer.quantity_reserved", wanted="offer.id = ANY (%(wanted)s)", able=""
    )
    with connection.cursor() as cursor:
        cursor.execute(free, {"wanted": list(offer_ids)})
        return _sources(cursor.fetchall(), {})


def _sources(found: Iterable[tuple[Any, ...]], held: Mapping[int, Sequence[HeldFor]]) -> list[Source]:
    """Rows of `_SOURCES`, with the holds on each offer."""
    # Few places and many offers: each place is made once.
    places: dict[str, Location] = {}
    sources = []
    for (
        pk,
        organisation,
        item,
        free,
        minimum,
        lead,
        ships,
        standard,
        confirmed,
        price,
        gift,
        path,
        north,
        east,
        published,
        kept,
        broken,
        usual,
    ) in found:
        place = places.get(path)
        if place is None:
            place = places[path] = Location(path, north, east)
        sources.append(
            Source(
                id=pk,
                organisation_id=organisation,
                item_id=item,
                free=free,
                minimum_order=minimum,
                lead_time_days=lead,
                location=place,
                ships_to=frozenset(ships) if ships else ANYWHERE,
                standard_id=standard,
                confirmed_at=dt.datetime.fromtimestamp(confirmed, dt.UTC),
                unit_price=price,
                is_donation=gift,
                kept=kept or 0,
                broken=broken or 0,
                reference_price=usual,
                held=tuple(held.get(pk, ())),
                offered_at=dt.datetime.fromtimestamp(published, dt.UTC),
            )
        )
    return sources


def _holds(rows: Iterable[tuple[Any, ...]], policy: PolicyValues, now: dt.datetime) -> dict[int, list[HeldFor]]:
    """Unanswered holds by offer, each with the tier of its need.

    That is the tier when the supplier was asked, or a better one that waiting or a newer policy has given since.
    """
    held: dict[int, list[HeldFor]] = defaultdict(list)
    for offer_id, pk, demand_id, asked, kind, waiting_since, quantity, wanting in rows:
        # The better of the two, so that a need never loses to a policy what it was held under.
        tier = min(asked, effective_tier(policy.tier(kind), waiting_since, now, policy))
        held[offer_id].append(HeldFor(pk, demand_id, tier, quantity, wanting))
    return held


@dataclass(frozen=True)
class Contest:
    """All open needs of linked items and all that could serve them, as if nothing unanswered had been asked."""

    read_at: dt.datetime  # when reading began
    needs: list[Need]
    sources: list[Source]
    asked: dict[Pair, int]  # what was asked and is not answered, as far as it may be asked of others instead
    accepted: dict[int, int]  # what suppliers have accepted of each open need, also of those that want nothing more

    @cached_property
    def need(self) -> dict[int, Need]:
        """The needs by id."""
        return {need.id: need for need in self.needs}


def linked_items(demands: QuerySet[Demand], rules: Rules) -> list[set[int]]:
    """The items of these demands, with accepted substitutes, in groups that share no offer.

    Groups are in the order of their smallest members. Each can be decided without looking at the others.
    """
    groups: list[set[int]] = []
    # Connected components, one edge list at a time: a new one merges all groups that it touches.
    for item_id, flexible in demands.order_by().values_list("item_id", "accepts_substitutes").distinct():
        linked = set(rules.offered_for(item_id, accepts_substitutes=flexible))
        apart = [group for group in groups if not group & linked]
        groups = [*apart, linked.union(*(group for group in groups if group & linked))]
    return sorted(groups, key=min)


# What `need_of` and `quantity_remaining` read. Whole rows of a large item would fill the memory of a worker.
_OF_DEMANDS: Final = (
    *("organisation", "item", "standard_id", "quantity", "trial_quantity", "quantity_held", "quantity_matched"),
    *("urgency", "needed_by", "days_of_supply", "opened_at", "created_at", "accepts_substitutes", "region"),
)
_READ_AT_ONCE: Final = 5000  # needs whose organisations, items and regions are read together
# What one turn reads of a group, so that time and memory have a bound: about as much as was measured.
MOST_NEEDS: Final = 50_000
MOST_OFFERS: Final = 150_000


def load_contest(item_ids: Collection[int], now: dt.datetime, policy: PolicyValues, *, slice_: int = 0) -> Contest:
    """The open needs of these items and all that could serve them, for the micro-batch.

    An urgent need that a supplier has accepted keeps its other holds, because people are already dealing with them.
    Where needs or offers are too many, some of them are read: see `_slice_of` and `_largest_offers`.
    """
    read_at = timezone.now()
    rows = Demand.objects.open().filter(item__in=item_ids, organisation__state=OrganisationState.VERIFIED)
    rows = _slice_of(rows, slice_, policy)
    urgent = rows.filter(urgency__in=[Urgency.EMERGENCY, Urgency.URGENT])
    answered = set(Match.objects.accepted().filter(demand__in=urgent).values_list("demand_id", flat=True))
    only = _largest_offers(item_ids, rows)
    sources = {source.id: source for source in load_sources(item_ids, now, policy, only=only)}
    # Overdue holds are left to `expire_holds`: their suppliers have not answered and are not asked again.
    held = Match.objects.held().filter(demand__in=rows, respond_by__gt=now).order_by("pk")
    asked = {
        (demand_id, offer_id): quantity
        for demand_id, offer_id, quantity in held.values_list("demand_id", "offer_id", "quantity")
        if demand_id not in answered and offer_id in sources
    }
    back: dict[int, int] = defaultdict(int)
    for (_demand_id, offer_id), quantity in asked.items():
        back[offer_id] += quantity
    accepted: dict[int, int] = {}

    def open_demands() -> Iterator[Demand]:
        for demand in slim(rows):
            accepted[demand.pk] = demand.quantity_matched
            yield demand

    return Contest(
        read_at=read_at,
        needs=load_needs(open_demands(), policy, asked=asked),
        # As above: most offers hold nothing.
        sources=[
            replace(source, free=source.free + back.get(source.id, 0), held=()) if source.held else source
            for source in sources.values()
        ],
        asked=asked,
        accepted=accepted,
    )


def slim(rows: DemandQuerySet) -> Iterator[Demand]:
    """Many demands with what `load_needs` reads of them and no more. One after the other, and none is kept."""
    # Needs are many, and what they refer to is little: joined, each need would bring three objects of its own.
    read = rows.only(*_OF_DEMANDS).prefetch_related(
        Prefetch("organisation", Organisation.objects.only("kind")),
        Prefetch("item", Item.objects.only("trial_lot")),
        Prefetch("region", Region.objects.only("path", "latitude", "longitude")),
    )
    yield from read.order_by("pk").iterator(_READ_AT_ONCE)


def _slice_of(rows: DemandQuerySet, number: int, policy: PolicyValues) -> DemandQuerySet:
    """All needs, or so many: slice 0 has the first in precedence, slice 1 those behind them, after the last comes 0.

    A slice has what is free and what it holds itself. So nothing that an earlier slice was given is taken away.
    """
    slices = -(-rows.count() // MOST_NEEDS)
    if slices <= 1:
        return rows
    tiers = (When(organisation__kind=kind, then=tier) for kind, tier in policy.tiers.items())
    ranks = (When(urgency=urgency, then=rank) for urgency, rank in URGENCY_RANK.items())
    ordered = rows.order_by(Case(*tiers, default=LAST_TIER), Case(*ranks), "opened_at", "pk")
    first = number % slices * MOST_NEEDS
    return Demand.objects.filter(pk__in=ordered.values("pk")[first : first + MOST_NEEDS])


def _largest_offers(item_ids: Collection[int], rows: DemandQuerySet) -> set[int] | None:
    """Where offers are too many, those with the most free, and those that these needs hold; None for all.

    What is given out has less free, so others come up at the next turn.
    """
    offers = Offer.objects.published().filter(item__in=item_ids)
    if offers.count() <= MOST_OFFERS:
        return None
    largest = offers.annotate(free=Offer.quantity_free.expression()).order_by("-free", "pk")[:MOST_OFFERS]
    held = Match.objects.held().filter(demand__in=rows).values_list("offer_id", flat=True)
    return {*largest.values_list("pk", flat=True), *held}
