"""How well duplicates are found: labelled organisations go through the real search, and all of it is taken back."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

from django.db import transaction
from django.db.models import Q

from apps.accounts.models import Organisation
from apps.catalogue.models import Region
from apps.duplicates.evidence import WEIGHTS, ComparedFacts, compare
from apps.duplicates.models import DuplicateProposal
from apps.duplicates.names import PlaceIndex
from apps.duplicates.search import facts_of, load_places
from apps.duplicates.services import look_for_duplicates
from apps.evaluation.listings import LabelledBoard, Listing, disturbed, read_listings

SEED: Final = 2020
Pair = frozenset[int]


@dataclass(frozen=True)
class Found:
    """What was proposed of one part of the listings, in pairs."""

    right: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.wrong)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.right + self.missed)


@dataclass(frozen=True)
class Measurement:
    training: Found
    held_out: Found
    # The labelled pairs of the board itself: those of one body that were proposed, all of them, and what was wrong.
    board: Found
    missed_on_board: Sequence[str]
    bits: dict[str, dict[str, float]]  # log2(m / u) on the training half, by fact and finding


def measure(folder: Path, *, seed: int = SEED, fit: bool = False) -> Measurement:
    """Measure on the board in `folder` and its disturbed copies. No row is left behind. `fit` gives the bits, too."""
    regions = list(Region.objects.order_by("path").values_list("code", "name", "path"))
    board = read_listings(folder, regions, seed=seed)
    listings = disturbed(board, {code: name for code, name, _path in regions}, seed=seed)
    with _entered(listings) as organisations:
        while look_for_duplicates():
            pass
        number = {organisation.pk: at for at, organisation in enumerate(organisations)}
        proposed = {
            frozenset((number[one], number[other]))
            for one, other in DuplicateProposal.objects.filter(Q(first__in=number) & Q(second__in=number)).values_list(
                "first", "second"
            )
        }
        places = load_places()
        facts = [facts_of(organisation, places) for organisation in organisations]
    held = {at for at, listing in enumerate(listings) if is_held_out(places.city_of(listing.region))}
    same, unclear = _labels(board, listings)
    everything = frozenset(range(len(listings)))
    on_board = frozenset(range(len(board.listings)))
    return Measurement(
        training=_found(proposed - unclear, same, everything - held),
        # A pair with one side in a held-out city is held out.
        held_out=_found(_touching(proposed - unclear, held), _touching(same, held), everything),
        board=_found(proposed - unclear, same, on_board),
        missed_on_board=[
            " = ".join(sorted(listings[at].name for at in pair)) for pair in same - proposed if pair <= on_board
        ],
        bits=_fitted(facts, places, same, unclear, everything - held) if fit else {},
    )


def is_held_out(city: str) -> bool:
    """By the city, so that a body, its copies and its siblings are on one side: every second number of a prefecture."""
    return city[:4].isdigit() and int(city[:4]) % 2 == 1


@contextmanager
def _entered(listings: Sequence[Listing]) -> Iterator[list[Organisation]]:
    """The listings as organisations, for as long as this lasts."""
    with transaction.atomic():
        # Rows and no service: the audit trail is not measured.
        yield Organisation.objects.bulk_create(
            Organisation(
                name=listing.name,
                kind=listing.kind,
                region_id=listing.region,
                address=listing.address[:300],
                contact_phone=listing.phone,
                identifier=listing.code,
            )
            for listing in listings
        )
        transaction.set_rollback(True)


def _labels(board: LabelledBoard, listings: Sequence[Listing]) -> tuple[set[Pair], set[Pair]]:
    """Pairs of one body; and pairs that count neither way, a hospital and its department."""
    by_body = defaultdict(list)
    for at, listing in enumerate(listings):
        by_body[listing.body].append(at)
    same = {frozenset(pair) for members in by_body.values() for pair in combinations(members, 2)}
    unclear = {
        frozenset((one, other))
        for bodies in board.parts()
        for one in by_body[min(bodies)]
        for other in by_body[max(bodies)]
    }
    return same, unclear


def _touching(pairs: set[Pair], held: set[int]) -> set[Pair]:
    return {pair for pair in pairs if pair & held}


def _found(proposed: set[Pair], same: set[Pair], among: frozenset[int] | set[int]) -> Found:
    proposed, same = ({pair for pair in pairs if pair <= among} for pairs in (proposed, same))
    return Found(len(proposed & same), len(proposed - same), len(same - proposed))


def _fitted(
    facts: Sequence[ComparedFacts], places: PlaceIndex, same: set[Pair], unclear: set[Pair], among: frozenset[int]
) -> dict[str, dict[str, float]]:
    """log2(m / u) of each finding. `u` is counted in all pairs of two bodies in one city."""
    cities = defaultdict(list)
    for at in sorted(among):
        cities[places.city_of(facts[at].region)].append(at)
    apart = {frozenset(pair) for members in cities.values() for pair in combinations(members, 2)} - same - unclear
    counted: dict[bool, dict[str, Counter[str]]] = {True: defaultdict(Counter), False: defaultdict(Counter)}
    for is_same, pairs in ((True, {pair for pair in same if pair <= among}), (False, apart)):
        for pair in pairs:
            for fact, finding in compare(facts[min(pair)], facts[max(pair)], places).findings.items():
                counted[is_same][fact][finding] += 1
    return {
        fact: {
            # Half a pair more, so that what was never seen is not infinite (Jeffreys' prior).
            finding: math.log2(
                ((counted[True][fact][finding] + 0.5) / (counted[True][fact].total() + 1))
                / ((counted[False][fact][finding] + 0.5) / (counted[False][fact].total() + 1))
            )
            for finding in findings
        }
        for fact, findings in WEIGHTS.items()
    }
