"""The one read before a decision: rows become frozen dataclasses."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence

from django.db.models import Case, Count, F, IntegerField, Q, When

from apps.accounts.models import OrganisationState
from apps.accounts.permissions import LAST_TIER, TIERS
from apps.catalogue.models import Region, Satisfaction, Substitution
from apps.demands.models import URGENCY_RANK, Demand
from apps.matching.models import Match, MatchState
from apps.matching.ranking import HeldFor, Need, Place, Rules, Source
from apps.supply.models import Offer

RECORD_WINDOW = dt.timedelta(days=180)


def place_of(region: Region) -> Place:
    return Place(region.path, region.latitude, region.longitude)


def load_rules() -> Rules:
    """The relations between standards and between items: small reference tables."""
    return Rules(
        satisfies=frozenset(Satisfaction.objects.values_list("offered_id", "demanded_id")),
        substitutes=frozenset(Substitution.objects.values_list("offered_id", "demanded_id")),
    )


def load_needs(demands: Sequence[Demand]) -> list[Need]:
    """The open ones of `demands` (fetched with `shown()`), with the offers that are out of the question for each."""
    excluded = _asked_before([demand.pk for demand in demands])
    return [
        Need(
            id=demand.pk,
            organisation_id=demand.organisation_id,
            item_id=demand.item_id,
            target=demand.target,
            wanting=demand.quantity_wanting,
            tier=demand.organisation.tier,
            urgency_rank=URGENCY_RANK[demand.urgency],  # type: ignore[index]  # a TextChoices member is its value
            days_of_supply=demand.days_of_supply,
            waiting_since=demand.opened_at or demand.created_at,
            needed_by=demand.needed_by,
            place=place_of(demand.region),
            standard_id=demand.standard_id,
            accepts_substitutes=demand.accepts_substitutes,
            excluded=frozenset(excluded[demand.pk]),
        )
        for demand in demands
        if demand.quantity_wanting > 0
    ]


def _asked_before(demand_ids: list[int]) -> dict[int, set[int]]:
    """Offers that hold for a demand, or that said no, nothing or less than asked and have not been touched since.

    What we took back ourselves does not count: the need has changed, and they may be asked anew.
    """
    called_off = Q(state=MatchState.CANCELLED, responded_at__isnull=False)
    said_no = Q(state__in=[MatchState.DECLINED, MatchState.EXPIRED]) | called_off
    said_less = Q(state=MatchState.ACCEPTED, quantity__lt=F("quantity_asked"))
    untouched = Q(offer__confirmed_at__lte=F("updated_at"))
    matches = Match.objects.filter(
        Q(state=MatchState.HELD) | ((said_no | said_less) & untouched), demand__in=demand_ids
    )
    excluded: dict[int, set[int]] = defaultdict(set)
    for demand_id, offer_id in matches.values_list("demand_id", "offer_id"):
        excluded[demand_id].add(offer_id)
    return excluded


def items_for(demands: Iterable[Demand], rules: Rules) -> dict[int, set[int]]:
    """For each demanded item, the items whose offers may serve it: itself, and its substitutes where one is
    accepted.
    """
    wanted: dict[int, set[int]] = defaultdict(set)
    for demand in demands:
        wanted[demand.item_id].add(demand.item_id)
        if demand.accepts_substitutes:
            wanted[demand.item_id] |= {offered for offered, demanded in rules.substitutes if demanded == demand.item_id}
    return wanted


def load_sources(item_ids: Iterable[int], now: dt.datetime) -> list[Source]:
    """Published, certified offers of verified suppliers with something to give, free or held and not yet accepted."""
    held = _holds_on(item_ids)
    # What has nothing free can still serve through a hold that yields.
    has_something = Q(quantity__gt=F("quantity_reserved")) | Q(pk__in=list(held))
    rows = list(
        Offer.objects.published()
        .filter(
            has_something,
            Q(certificate_valid_until=None) | Q(certificate_valid_until__gte=now.date()),
            item__in=list(item_ids),
            organisation__state=OrganisationState.VERIFIED,
        )
        .values_list(
            "pk",
            "organisation_id",
            "item_id",
            F("quantity") - F("quantity_reserved"),
            "minimum_order",
            "lead_time_days",
            "origin_region_id",
            "ships_to",
            "standard_id",
            "confirmed_at",
            "unit_price",
            "is_donation",
        )
        .order_by("pk")
    )
    places = {
        code: Place(path, latitude, longitude)
        for code, path, latitude, longitude in Region.objects.filter(code__in={row[6] for row in rows}).values_list(
            "code", "path", "latitude", "longitude"
        )
    }
    record = _record_of({row[1] for row in rows}, now)
    return [
        Source(
            id=pk,
            organisation_id=organisation,
            item_id=item,
            free=free,
            minimum_order=minimum,
            lead_time_days=lead,
            place=places[origin],
            ships_to=frozenset(ships_to),
            standard_id=standard,
            confirmed_at=confirmed,
            unit_price=None if price is None else float(price),
            is_donation=donation,
            kept=record.get(organisation, (0, 0))[0],
            broken=record.get(organisation, (0, 0))[1],
            held=tuple(held.get(pk, ())),
        )
        for pk, organisation, item, free, minimum, lead, origin, ships_to, standard, confirmed, price, donation in rows
    ]


def _holds_on(item_ids: Iterable[int]) -> dict[int, list[HeldFor]]:
    """Unanswered holds on the offers of the items, with the tier their need has by now never better than recorded."""
    tier = Case(
        *(When(demand__organisation__kind=kind, then=number) for kind, number in TIERS.items()),
        default=LAST_TIER,
        output_field=IntegerField(),
    )
    rows = (
        Match.objects.held()
        .filter(offer__item__in=list(item_ids))
        .annotate(own_tier=tier)
        .values_list("offer_id", "pk", "demand_id", "tier", "own_tier", "quantity")
        .order_by("pk")
    )
    held: dict[int, list[HeldFor]] = defaultdict(list)
    for offer_id, pk, demand_id, aged, own, quantity in rows:
        held[offer_id].append(HeldFor(match_id=pk, need_id=demand_id, tier=min(aged, own), quantity=quantity))
    return held


def _record_of(organisation_ids: Iterable[int], now: dt.datetime) -> dict[int, tuple[int, int]]:
    """Per supplier over half a year: promises kept (accepted) and broken (let expire, or accepted and then called
    off).
    """
    rows = (
        Match.objects.filter(offer__organisation__in=list(organisation_ids), created_at__gte=now - RECORD_WINDOW)
        .values("offer__organisation_id")
        .annotate(
            kept=Count("pk", filter=Q(state=MatchState.ACCEPTED)),
            broken=Count(
                "pk",
                filter=Q(state=MatchState.EXPIRED)
                | Q(state=MatchState.CANCELLED, responded_at__isnull=False)
                | Q(state=MatchState.DECLINED, decline_reason="gone"),
            ),
        )
        .values_list("offer__organisation_id", "kept", "broken")
    )
    return {organisation: (kept, broken) for organisation, kept, broken in rows}
