"""Who is not to be asked for a need: offers that were asked before, and those that a decline rule is about."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from django.db.models import F, Q

from apps.catalogue.models import Region
from apps.demands.models import Demand
from apps.matching.models import GENERAL_REASONS, DeclineReason, Match, MatchState
from apps.matching.scoring.decline_rules import DeclineRule, Topic
from apps.matching.scoring.eligibility import Reason
from apps.matching.scoring.facts import Location
from apps.supply.models import OfferState

# The offer was last confirmed before the answer was given. A supplier that edits or confirms an offer makes it new, and
# may be asked again.
_UNTOUCHED: Final = Q(offer__confirmed_at__lte=F("updated_at"))
# All offers of the same goods by the same supplier, as far as they have not been touched since the answer.
_OTHERS: Final = "offer__organisation__offers"
_OTHERS_UNTOUCHED: Final = Q(**{f"{_OTHERS}__item": F("offer__item"), f"{_OTHERS}__confirmed_at__lte": F("updated_at")})


def location_of(region: Region) -> Location:
    return Location(region.path, region.latitude, region.longitude)


def not_to_be_asked(demands: Sequence[Demand]) -> dict[int, dict[str, set[int]]]:
    """Who must not be asked, by the key of the demand (fetched with `shown()`): keys, by the reason of the check that
    looks them up.
    """
    asked: dict[int, set[int]] = defaultdict(set)
    for demand_id, offer_id in _asked_before([demand.pk for demand in demands]):
        asked[demand_id].add(offer_id)
    for rule in _decline_rules({demand.item_id for demand in demands}):
        for demand in demands:
            if rule.is_about(
                item_id=demand.item_id, standard_id=demand.standard_id, location=location_of(demand.region)
            ):
                asked[demand.pk].add(rule.offer_id)
    return {demand.pk: {Reason.ASKED_BEFORE: asked[demand.pk]} for demand in demands}


def _asked_before(demand_ids: list[int]) -> Iterable[tuple[int, int]]:
    """Pairs of demand and offer that must not be asked (again).

    An offer is left out while it holds for the demand. It is left out until its supplier touches it if the answer was
    no, silence, or less than was asked for, or if goods were rejected or never came. After silence, or a no about the
    price, that goes for all offers of the same goods by that supplier. Holds that we took back do not count, because
    the need has changed since.
    """
    matches = Match.objects.filter(demand__in=demand_ids)
    # Only an answered match that was cancelled is the supplier's doing. An unanswered one was taken back by us.
    called_off = Q(state=MatchState.CANCELLED, responded_at__isnull=False)
    said_no = Q(state__in=[MatchState.DECLINED, MatchState.EXPIRED]) | called_off
    gave_less = Q(state=MatchState.ACCEPTED) & (Q(quantity__lt=F("quantity_asked")) | Q(quantity_lost__gt=0))
    asked = matches.filter(Q(state=MatchState.HELD) | (said_no | gave_less) & _UNTOUCHED)
    yield from asked.values_list("demand_id", "offer_id")

    # Silence and a price are about the supplier, so its other offers of these goods would meet the same answer.
    about_supplier = Q(state=MatchState.EXPIRED) | Q(state=MatchState.DECLINED, decline_reason=DeclineReason.PRICE)
    yield from matches.filter(about_supplier, _OTHERS_UNTOUCHED).values_list("demand_id", _OTHERS)


def _decline_rules(item_ids: Iterable[int]) -> Iterable[DeclineRule]:
    """What suppliers' noes to needs of these items say about their offers that have not been touched since.

    "Too far" goes for all offers from the same place, "not the right standard" for all offers of that standard.
    """
    # The rules join a no to the supplier's other offers in one query, because each no may exclude several offers.
    from_there = Q(decline_reason=DeclineReason.DISTANCE, **{f"{_OTHERS}__origin_region": F("offer__origin_region")})
    of_that_standard = Q(decline_reason=DeclineReason.STANDARD, demand__standard__isnull=False) & (
        Q(**{f"{_OTHERS}__standard": F("offer__standard")})
        | Q(**{f"{_OTHERS}__standard": None, "offer__standard": None})
    )
    noes = Match.objects.filter(
        from_there | of_that_standard,
        _OTHERS_UNTOUCHED,
        state=MatchState.DECLINED,
        decline_reason__in=GENERAL_REASONS,
        demand__item__in=list(item_ids),
        **{f"{_OTHERS}__state": OfferState.PUBLISHED},
    )
    # Only what a rule reads: whole rows of five tables would cost three times as much to ask for.
    facts = ("decline_reason", "demand__item", "demand__standard", *_place("demand__region"))
    found = noes.values_list(f"{_OTHERS}__id", *facts, *_place("offer__origin_region"))
    for offer, reason, item, standard, path, latitude, longitude, *origin in found:
        yield DeclineRule(
            offer_id=offer,
            topic=Topic(reason),
            item_id=item,
            standard_id=standard,
            location=Location(path, latitude, longitude),
            origin=Location(*origin),
        )


def _place(region: str) -> Iterable[str]:
    """The columns of a `Location`, by the path to its region."""
    return (f"{region}__path", f"{region}__latitude", f"{region}__longitude")
