"""What came of replaying a draft, as it is read: sums of both policies side by side, and who serves each need."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.catalogue.models import Item, Region
from apps.demands.models import Demand
from apps.exports.region_sums import outermost
from apps.matching.explanation.outlook_wording import listed
from apps.matching.models import Replay, ReplayedNeed
from apps.matching.simulation import previews
from apps.matching.simulation.replay import Total
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
    def of(cls, name: str, both: "Both") -> "Sum":
        def read(of: Callable[[Total], Any]) -> Any:
            return of(both[0]), of(both[1])

        return cls(
            name=name,
            needs=both[0].needs,
            helped=read(lambda one: one.helped),
            covered=read(lambda one: one.covered),
            filled=read(lambda one: round(100 * one.filled / one.needs)),
            hours=read(lambda one: round(one.hours / one.helped, 1) if one.helped else None),
        )


Both = tuple[Total, Total]


@dataclass(frozen=True)
class Sums:
    """Of the needs in the regions that the reader watches, and nowhere else."""

    where: str
    needs: int
    kinds: list[Sum]  # of organisation, with their tiers
    regions: list[Sum]


def sums(replay: Replay, user: User) -> Sums | None:
    """What came of it so far. None for one of before sums were kept by place: none is left `previews.KEEP` later."""
    by_kind: dict[str, Both] = {}
    by_region: dict[str, Both] = {}
    before, after = (replay.totals.get(side, {}) for side in ("before", "after"))
    if "kinds" in before:
        return None
    watched = outermost(user.watched_regions)
    for code, path in Region.objects.filter(pk__in=list(before)).values_list("pk", "path"):
        root = next((root for root in watched if path.startswith(root)), None)
        # A replay covers the whole country. Its readers see the sums of what they watch.
        if root is None:
            continue
        region = _codes(path)[: max(2, len(_codes(root)))][-1]  # the province, or what is watched of it
        for kind in before[code]:
            both = Total(**before[code][kind]), Total(**after[code][kind])
            by_kind[kind] = _add(by_kind.get(kind), both)
            by_region[region] = _add(by_region.get(region), both)

    then, drafted = previews.values_of(replay.policy_version), PolicyValues.from_json(replay.settings)
    names = places.names_of([*by_region, *(_codes(root)[-1] for root in watched)])
    return Sums(
        where=listed(places.in_words(names.get(_codes(root)[-1])) for root in watched),
        needs=sum(both[0].needs for both in by_kind.values()),
        kinds=[
            Sum.of(policies.tiers_of(kind, then, drafted), by_kind[kind])
            for kind in sorted(by_kind, key=lambda kind: (then.tier(kind), kind))
        ],
        regions=[Sum.of(places.in_words(names.get(code)), by_region[code]) for code in sorted(by_region)],
    )


def _add(one: Both | None, other: Both) -> Both:
    return other if one is None else (one[0] + other[0], one[1] + other[1])


def _codes(path: str) -> list[str]:
    return [code for code in path.split("/") if code]


def lines(rows: Sequence[ReplayedNeed], user: User) -> list[tuple[Demand, list[list[Serving]]]]:
    """Each need with who serves it under the policy in force, and who under the draft: by name where the user may see
    the offer, otherwise by the province that it comes from. As many queries for many as for few.
    """
    ids = {part[0] for row in rows for part in (*row.before, *row.after)}
    offers = Offer.objects.select_related("organisation", "item__unit", "origin_region").in_bulk(list(ids))
    visibility = set(Offer.objects.visible_to(user).filter(pk__in=ids).values_list("pk", flat=True))
    provinces = {offer.pk: _province(offer.origin_region) for offer in offers.values() if offer.pk not in visibility}
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
    return _codes(region.path)[:2][-1]
