"""What came of replaying a draft, as it is read: sums of both policies side by side, and who serves each need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.catalogue.models import Item, Region
from apps.demands.models import Demand
from apps.matching import previews
from apps.matching.models import Replay, ReplayedNeed
from apps.policy.values import PolicyValues
from apps.portal import places, policies
from apps.supply.models import Offer


@dataclass(frozen=True)
class Serving:
    """What a need is given of one offer."""

    supplier: str  # in words
    item: Item
    units: int
    hours: float  # after it was posted


@dataclass(frozen=True)
class Sum:
    """What became of some needs, then and under the draft: as (before, after)."""

    name: str
    needs: int
    helped: tuple[int, int]
    covered: tuple[int, int]
    filled: tuple[int, int]  # per cent of what was asked for, on average
    hours: tuple[float | None, float | None]  # until the first of it, on average

    @classmethod
    def of(cls, name: str, before: Mapping[str, float], after: Mapping[str, float]) -> "Sum":
        def both(read: Any) -> Any:
            return read(before), read(after)

        return cls(
            name=name,
            needs=int(before["needs"]),
            helped=both(lambda one: one["helped"]),
            covered=both(lambda one: one["covered"]),
            filled=both(lambda one: round(100 * one["filled"] / one["needs"])),
            hours=both(lambda one: round(one["hours"] / one["helped"], 1) if one["helped"] else None),
        )


def sums(replay: Replay, user: User) -> dict[str, list[Sum]]:
    """By kind of organisation, with its tier; and by region, as far as the user watches it."""
    if not replay.totals:
        return {}
    before, after = replay.totals["before"], replay.totals["after"]
    then, drafted = previews.values_of(replay.policy_version), PolicyValues.from_json(replay.settings)
    kinds = sorted(before["kinds"], key=lambda kind: (then.tier(kind), kind))
    names = places.names_of(before["regions"])
    paths = Region.objects.filter(pk__in=list(before["regions"])).values_list("pk", "path")
    watched = [code for code, path in paths if path.startswith(tuple(user.watched_regions))]
    return {
        "kinds": [
            Sum.of(policies.tiers_of(kind, then, drafted), before["kinds"][kind], after["kinds"][kind])
            for kind in kinds
        ],
        "regions": [
            Sum.of(places.in_words(names.get(code)), before["regions"][code], after["regions"][code])
            for code in sorted(watched)
        ],
    }


def lines(rows: Sequence[ReplayedNeed], user: User) -> list[tuple[Demand, list[list[Serving]]]]:
    """Each need with who serves it under the policy in force, and who under the draft: by name where the user may see
    the offer, otherwise by the province that it comes from. As many queries for many as for few.
    """
    ids = {part[0] for row in rows for part in (*row.before, *row.after)}
    offers = Offer.objects.select_related("organisation", "item__unit", "origin_region").in_bulk(list(ids))
    in_sight = set(Offer.objects.visible_to(user).filter(pk__in=ids).values_list("pk", flat=True))
    provinces = {offer.pk: _province(offer.origin_region) for offer in offers.values() if offer.pk not in in_sight}
    places_named = places.names_of(provinces.values())

    def served(offer: Offer, units: int, hours: float) -> Serving:
        name = offer.organisation.name
        if offer.pk in provinces:
            name = _("a supplier in %(region)s") % {"region": places.in_words(places_named.get(provinces[offer.pk]))}
        return Serving(name, offer.item, units, hours)

    return [
        (
            row.demand,
            [[served(offers[offer], units, hours) for offer, units, hours in side] for side in (row.before, row.after)],
        )
        for row in rows
    ]


def _province(region: Region) -> str:
    codes = [code for code in region.path.split("/") if code]
    return codes[:2][-1]
