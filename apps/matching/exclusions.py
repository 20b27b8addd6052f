"""Who is not to be asked for a need: offers that were asked before, and those that a decline rule is about."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import F, Q, Subquery

from apps.catalogue.models import Region
from apps.matching.models import GENERAL_REASONS, DeclineReason, Match, MatchQuerySet, MatchState
from apps.matching.scoring.decline_rules import DeclineRule, DeclineRules, Topic
from apps.matching.scoring.eligibility import Reason
from apps.matching.scoring.facts import Location, Need
from apps.matching.scoring.offer_sets import OfferBits, OfferSet
from apps.supply.models import Offer, OfferState

# The offer was last confirmed before the answer was given. A supplier that edits or confirms an offer makes it new, and
# may be asked again.
_UNTOUCHED: Final = Q(offer__confirmed_at__lte=F("updated_at"))
# All offers of the same goods by the same supplier, as far as they have not been touched since the answer.
_OTHERS: Final = "offer__organisation__offers"
_OTHERS_UNTOUCHED: Final = Q(**{f"{_OTHERS}__item": F("offer__item"), f"{_OTHERS}__confirmed_at__lte": F("updated_at")})


def location_of(region: Region) -> Location:
    return Location(region.path, region.latitude, region.longitude)


# Needs that one query names. A list of all needs of a large item would be parsed longer than it is answered.
_AT_ONCE: Final = 2000


def not_to_be_asked(needs: Sequence[Need], *, since: dt.datetime | None = None) -> dict[int, dict[str, OfferSet]]:
    """Who must not be asked, by the id of the need: offers, by the reason of the check that looks them up.

    With `since`, only what changed from then on.
    """
    matches = Match.objects.all() if since is None else Match.objects.filter(updated_at__gte=since)
    asked: dict[int, set[int]] = defaultdict(set)
    for start in range(0, len(needs), _AT_ONCE):
        some = matches.filter(demand__in=[need.id for need in needs[start : start + _AT_ONCE]])
        for need_id, offer_id in _asked_before(some):
            asked[need_id].add(offer_id)
    shared = OfferBits()
    rules: dict[int, dict[DeclineRule, int]] = defaultdict(lambda: defaultdict(int))
    for rule, offers in _decline_rules(matches, {need.item_id for need in needs}):
        rules[rule.item_id][rule] |= shared.of(offers)
    of_items = {item_id: DeclineRules(of_item) for item_id, of_item in rules.items()}
    # Needs of one kind are few, however many needs there are: each kind meets the rules once.
    kinds: dict[tuple[int, int | None, Location], list[int]] = defaultdict(list)
    for need in needs:
        kinds[need.item_id, need.standard_id, need.location].append(need.id)
    found: dict[int, dict[str, OfferSet]] = {}
    for (item_id, standard_id, location), members in kinds.items():
        known = of_items.get(item_id)
        barred = known.offers_for(standard_id=standard_id, location=location) if known else 0
        for need_id in members:
            found[need_id] = {Reason.ASKED_BEFORE: OfferSet(asked.get(need_id, ()), barred, shared)}
    return found


def _asked_before(matches: MatchQuerySet) -> Iterable[tuple[int, int]]:
    """Pairs of demand and offer that must not be asked (again).

    An offer is left out while it holds for the demand. It is left out until its supplier touches it if the answer was
    no, silence, or less than was asked for, or if goods were rejected or never came. After silence, or a no about the
    price, that goes for all offers of the same goods by that supplier. Holds that we took back do not count, because
    the need has changed since.
    """
    # Only an answered match that was cancelled is the supplier's doing. An unanswered one was taken back by us.
    called_off = Q(state=MatchState.CANCELLED, responded_at__isnull=False)
    said_no = Q(state__in=[MatchState.DECLINED, MatchState.EXPIRED]) | called_off
    gave_less = Q(state=MatchState.ACCEPTED) & (Q(quantity__lt=F("quantity_asked")) | Q(quantity_lost__gt=0))
    asked = matches.filter(Q(state=MatchState.HELD) | (said_no | gave_less) & _UNTOUCHED)
    yield from asked.values_list("demand_id", "offer_id")

    # Silence and a price are about the supplier, so its other offers of these goods would meet the same answer.
    about_supplier = Q(state=MatchState.EXPIRED) | Q(state=MatchState.DECLINED, decline_reason=DeclineReason.PRICE)
    yield from matches.filter(about_supplier, _OTHERS_UNTOUCHED).values_list("demand_id", _OTHERS)


def _decline_rules(matches: MatchQuerySet, item_ids: Iterable[int]) -> Iterable[tuple[DeclineRule, list[int]]]:
    """What suppliers' noes to needs of these items say, each with the keys of the offers that were not touched since.

    "Too far" goes for all offers from the same place, "not the right standard" for all offers of that standard.
    """
    # The rules join a no to the supplier's other offers in one query, because each no may exclude several offers.
    from_there = Q(decline_reason=DeclineReason.DISTANCE, **{f"{_OTHERS}__origin_region": F("offer__origin_region")})
    of_that_standard = Q(decline_reason=DeclineReason.STANDARD, demand__standard__isnull=False) & (
        Q(**{f"{_OTHERS}__standard": F("offer__standard")})
        | Q(**{f"{_OTHERS}__standard": None, "offer__standard": None})
    )
    # An offer that was touched since is not meant, so no answer counts that is older than all published offers.
    longest_untouched = Offer.objects.published().order_by("confirmed_at").values("confirmed_at")[:1]
    noes = matches.filter(
        from_there | of_that_standard,
        _OTHERS_UNTOUCHED,
        state=MatchState.DECLINED,
        decline_reason__in=GENERAL_REASONS,
        updated_at__gte=Subquery(longest_untouched),
        demand__item__in=list(item_ids),
        **{f"{_OTHERS}__state": OfferState.PUBLISHED},
    )
    # A rule once: large suppliers repeat it, and have many offers of the same goods.
    facts = ("decline_reason", "demand__item", "demand__standard", "demand__region", "offer__origin_region")
    found = noes.values_list(*facts).annotate(offers=ArrayAgg(f"{_OTHERS}__id"))
    # Regions are read apart, because a place of many noes would be joined to each of them.
    codes = {code for *_other, place, origin, _offers in found for code in (place, origin)}
    places = {region.code: location_of(region) for region in Region.objects.filter(code__in=codes)}
    for reason, item, standard, place, origin, offers in found:
        rule = DeclineRule(
            topic=Topic(reason),
            item_id=item,
            standard_id=standard,
            location=places[place],
            origin=places[origin],
        )
        yield rule, offers
