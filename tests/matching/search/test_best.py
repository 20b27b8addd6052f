"""The best offers come from the database without looking at all of them, and are those that scoring all would give."""

import datetime as dt
import random
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import OrganisationState
from apps.catalogue.models import Item, Region, Standard, Substitution
from apps.matching import services as matching
from apps.matching.allocation.sequential import Plan, decide
from apps.matching.loading import load_rules, load_sources
from apps.matching.models import IndexCell, IndexedOffer, Match, ReferencePrice, SupplierRecord
from apps.matching.scoring.eligibility import Reason, checks
from apps.matching.scoring.facts import Location, Need, Source, minimum_useful_quantity
from apps.matching.scoring.ranking import BeyondRanking, Ranked, rank
from apps.matching.search import best, offer_index
from apps.matching.search.best import areas, arguments, load_shortlists
from apps.policy.models import Policy
from apps.policy.values import PolicyValues
from apps.supply.models import Offer, OfferChange, OfferState
from tests.factories import (
    DemandFactory,
    ItemFactory,
    MatchFactory,
    OfferFactory,
    SupplierFactory,
    region,
    standard_of,
)

pytestmark = pytest.mark.django_db

PLACES = ("110102", "420100", "420106", "429004", "440300", "650000", "420000", "IT-25")
NOW = timezone.now()


SPARE = (0, 12)


@pytest.fixture(autouse=True, params=SPARE, ids=["none to spare", "some to spare"])
def spare(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With none to spare, whatever does not serve the need has more asked for."""
    monkeypatch.setattr(best, "SPARE", request.param)


class World:
    """A market at random: two items of which one may stand in for the other, offers of all kinds, and holds."""

    def __init__(self, seed: int, offers: int = 160) -> None:
        self.chance = random.Random(seed)
        self.items = [ItemFactory.create(key=f"item.{number}") for number in range(2)]
        Substitution.objects.create(offered=self.items[1], demanded=self.items[0])
        self.places = [region(code) for code in PLACES]
        nowhere = Region.objects.create(
            code="XX", name="无处", name_en="Nowhere", level="country", path="XX/", latitude=None, longitude=None
        )
        self.places.append(nowhere)
        strong, weak = standard_of(self.items[0], "A"), standard_of(self.items[0], "B")
        strong.satisfies.create(demanded=weak)
        self.standards: list[Standard | None] = [None, strong, weak]
        self.suppliers = [SupplierFactory.create(region=self.chance.choice(self.places)) for _ in range(14)]
        self.refused = [
            SupplierFactory.create(unverified=True),
            SupplierFactory.create(state=OrganisationState.REJECTED, state_reason="closed"),
        ]
        for supplier in self.suppliers[::2]:
            SupplierRecord.objects.create(
                organisation=supplier,
                kept=self.chance.randint(0, 20),
                broken=self.chance.randint(0, 9),
                counted_at=NOW,
            )
        for item in self.items:
            ReferencePrice.objects.create(item=item, price=self.chance.uniform(1, 9), taken_at=NOW)
        Offer.objects.bulk_create(self.offer() for _ in range(offers))
        for offer in self.chance.sample([offer for offer in Offer.objects.published() if offer.quantity_free > 1], 12):
            quantity = offer.quantity_free // 2
            demand = DemandFactory.create(item=offer.item, quantity=quantity)
            MatchFactory.create(offer=offer, quantity=quantity, demand=demand)
            if self.chance.random() < 0.5:  # nothing is free, but something may be taken over
                Offer.objects.filter(pk=offer.pk).update(quantity_reserved=F("quantity"))

    def offer(self, **facts: object) -> Offer:
        chance = self.chance
        quantity = max(1, round(chance.lognormvariate(6, 2)))
        confirmed = NOW - dt.timedelta(days=chance.uniform(0, 20))
        given: dict[str, object] = {
            "organisation": chance.choice([*self.suppliers, *self.refused]),
            "item": chance.choice(self.items),
            "standard": chance.choice(self.standards),
            "quantity": quantity,
            "quantity_reserved": chance.choice([0, 0, quantity // 2, quantity]),
            "minimum_order": chance.choice([1, 1, 50, 400]),
            "lead_time_days": chance.choice([0, 1, 2, 3, 5, 8, 20, 45]),
            "unit_price": chance.choice([None, Decimal(chance.randint(1, 900)) / 100]),
            "is_donation": chance.random() < 0.2,
            "origin_region": chance.choice(self.places),
            "ships_to": chance.choice([[], [], ["420000"], ["CN"], ["110000", "IT"], ["650000", "420100"]]),
            "certificate_valid_until": chance.choice(
                [None, None, *(NOW.date() + dt.timedelta(days=days) for days in (-1, 0, 2, 3, 9))]
            ),
            "state": chance.choice([OfferState.PUBLISHED] * 8 + [OfferState.PAUSED]),
            "published_at": confirmed,
            "confirmed_at": confirmed,
        }
        return Offer(**given | facts)

    def need(self, number: int, *, item: Item | None = None) -> Need:
        chance = self.chance
        place = chance.choice(self.places)
        wanting = max(1, round(chance.lognormvariate(5, 1.5)))
        named = {"id": range(1, 160), "organisation_id": [supplier.pk for supplier in self.suppliers]}
        return Need(
            id=number,
            organisation_id=chance.choice([0, chance.choice(self.suppliers).pk]),
            item_id=(item or chance.choice(self.items)).pk,
            target=wanting + chance.choice([0, 500]),
            remaining=wanting,
            tier=chance.randint(1, 4),
            urgency_rank=chance.randint(0, 2),
            days_of_supply=None,
            waiting_since=NOW - dt.timedelta(hours=chance.randint(0, 60)),
            needed_by=chance.choice([None, NOW + dt.timedelta(days=chance.uniform(-3, 40))]),
            location=Location(place.path, place.latitude, place.longitude),
            standard_id=standard.pk if (standard := chance.choice(self.standards)) else None,
            accepts_substitutes=chance.random() < 0.5,
            excluded={check.reason: chance.sample(named[check.listed[0]], 3) for check in checks() if check.listed},
        )

    def change(self) -> None:
        """What suppliers do between two runs of the indexer."""
        for offer in self.chance.sample(list(Offer.objects.order_by("pk")), 20):
            verb = self.chance.randrange(5)
            if verb == 0:
                Offer.objects.filter(pk=offer.pk).update(state=OfferState.PAUSED)
            elif verb == 1:
                Offer.objects.filter(pk=offer.pk).update(state=OfferState.PUBLISHED, confirmed_at=NOW)
            elif verb == 2:
                Offer.objects.filter(pk=offer.pk).update(quantity=offer.quantity + 5000, lead_time_days=0)
            elif verb == 3:
                Offer.objects.filter(pk=offer.pk).update(quantity_reserved=F("quantity"))
            else:
                OfferFactory.create(item=offer.item, organisation=offer.organisation, quantity=3000)


def all_of(need: Need, now: dt.datetime) -> list[Source]:
    items = load_rules().offered_for(need.item_id, accepts_substitutes=True)
    return load_sources(items, now, Policy.objects.current().values)


def ranked_by_all(need: Need, policy: Policy, now: dt.datetime) -> Ranked:
    return rank(need, all_of(need, now), load_rules(), policy=policy.values, now=now)


def listed(
    need: Need, policy: Policy, now: dt.datetime, best: int, by_all: Ranked | None = None
) -> tuple[list[int], list[int], bool]:
    """By all sources, and by a shortlist; and whether the shortlist says it is whole."""
    by_all = ranked_by_all(need, policy, now) if by_all is None else by_all
    few = load_shortlists([need], load_rules(), policy, now, best=best)[need.id].candidates
    return (
        [source.id for source in by_all.candidates.sources()],
        [source.id for source in few.known_sources()],
        few.whole,
    )


def cases_among(need: Need, policy: Policy, now: dt.datetime, ranked: Ranked) -> set[str]:
    """What a list could get wrong that was there for this need."""
    sources = list(ranked.candidates.sources())
    ending = set(Offer.objects.filter(certificate_valid_until=now.date()).values_list("pk", flat=True))
    matters = minimum_useful_quantity(need, policy.values)
    refused = Offer.objects.published().filter(item=need.item_id).exclude(organisation__state="verified")
    return {
        name
        for name, there in {
            "gift too far": Reason.FAR in ranked.refused,
            "gift": any(source.is_donation for source in sources),
            "certificate ends today": any(source.id in ending for source in sources),
            "only by taking over": any(source.free < max(matters, source.minimum_order) for source in sources),
            "supplier refused": refused.exists(),
        }.items()
        if there
    }


POLICIES: tuple[dict[str, object], ...] = (
    {},
    {"offer_fresh_days": 6, "matter_share": 0.2},
    {
        "weights": {
            "coverage": 0.1, "distance": 0.05, "lead_time": 0.05, "standard": 0.0, "freshness": 0.5, "record": 0.2,
            "price": 0.1,
        },
        "half_distance_km": 30,
    },
    {
        "weights": {
            "coverage": 0.4, "distance": 0.4, "lead_time": 0.1, "standard": 0.1, "freshness": 0.0, "record": 0.0,
            "price": 0.0,
        },
        "half_distance_km": 0.05,  # where a metre counts
    },
)  # fmt: skip


def short_of(seeds: int, among: int) -> pytest.MarkDecorator:
    """All of `among` seeds with both numbers to spare; in the short form fewer seeds, each with one of them."""
    cases = [
        pytest.param(seed, spare, marks=[] if seed < seeds and spare == SPARE[seed % 2] else pytest.mark.long)
        for seed in range(among)
        for spare in SPARE
    ]
    return pytest.mark.parametrize(("seed", "spare"), cases, indirect=["spare"])


# The first four differ in their policy.
@short_of(4, among=6)
def test_the_list_is_the_one_that_scoring_every_offer_gives(seed: int) -> None:
    world = World(seed)
    policy = Policy.objects.current()
    if POLICIES[seed % len(POLICIES)]:
        policy = Policy.objects.create(version=2, settings=POLICIES[seed % len(POLICIES)])
    wholes = set()
    cases: set[str] = set()
    for turn in range(5):
        # Never indexed; indexed; changed since; indexed anew; some days later, when some keys are no good any more.
        now = NOW + dt.timedelta(days=3 if turn == 4 else 0)
        if turn == 1:
            offer_index.index_offers(now=NOW)
        elif turn == 2:
            world.change()
        elif turn == 3:
            offer_index.refresh_supplier_statistics(now=NOW)
        for number in range(12):
            need = world.need(number)
            best = world.chance.choice([1, 3, 8, 20])
            by_all = ranked_by_all(need, policy, now)
            expected, found, whole = listed(need, policy, now, best, by_all)
            assert found == (expected if whole else expected[: len(found)]), (turn, number, need)
            assert whole or len(found) >= best
            wholes.add(whole)
            cases |= cases_among(need, policy, now, by_all)
    assert wholes == {True, False}
    assert cases == {"gift too far", "gift", "certificate ends today", "only by taking over", "supplier refused"}


@short_of(2, among=4)
def test_the_plan_is_the_one_that_all_offers_lead_to(seed: int) -> None:
    world = World(seed + 100)
    rules, policy = load_rules(), Policy.objects.current()
    if seed % 2:
        offer_index.refresh_supplier_statistics(now=NOW)
    decided = 0
    for turn in range(12):
        needs = [world.need(number, item=world.items[0]) for number in range(world.chance.choice([1, 1, 2, 5]))]
        everything = load_sources([item.pk for item in world.items], NOW, policy.values)
        expected = decide(needs, everything, rules, policy=policy.values, now=NOW)
        shortlists = load_shortlists(needs, rules, policy, NOW, best=world.chance.choice([4, 8, 20]))
        few = {source.id: source for one in shortlists.values() for source in one.candidates.known_sources()}
        try:
            found = decide(needs, list(few.values()), rules, policy=policy.values, now=NOW, shortlists=shortlists)
        except BeyondRanking:
            continue
        decided += 1
        assert _facts(found) == _facts(expected), turn
    assert decided >= 3


def _facts(plan: Plan) -> tuple[object, ...]:
    return plan.holds, plan.backups, plan.yielding


@pytest.mark.parametrize("number", [30, 95])
def test_what_few_do_not_decide_is_decided_by_more_and_then_by_all(number: int) -> None:
    """Small offers for one large need: more than a shortlist has, and more than a longer one."""
    first = OfferFactory.create(quantity=100)
    publish(first, number - 1, quantity=100)
    demand = DemandFactory.create(quantity=100 * number - 100, queued=True)

    with CaptureQueriesContext(connection) as queries:
        matching.sweep()

    assert sum(match.quantity for match in Match.objects.held().filter(demand=demand)) == demand.quantity
    # With none to spare the longer list is asked for once more, and is then as long as all.
    all_are_read = any("offer.item_id = ANY" in query["sql"] for query in queries)
    assert all_are_read == (best.SPARE > 0 and number > best.LONGER + best.SPARE)


def publish(like: Offer, number: int, *, quantity: int) -> None:
    """So many more offers of the same goods by the same supplier, each an hour older."""
    Offer.objects.bulk_create(
        Offer(
            organisation=like.organisation, item=like.item, origin_region=like.origin_region, quantity=quantity,
            state=OfferState.PUBLISHED, published_at=NOW, confirmed_at=NOW - dt.timedelta(hours=hours),
        )
        for hours in range(number)
    )  # fmt: skip
    offer_index.index_offers()


def test_a_need_that_a_few_offers_serve_does_not_read_the_others() -> None:
    first = OfferFactory.create(quantity=5000)
    publish(first, 200, quantity=5000)
    DemandFactory.create(quantity=1000, queued=True)

    with CaptureQueriesContext(connection) as queries:
        matching.match_due()

    assert Match.objects.held().count() == 1
    loads = [query["sql"] for query in queries if "extract(epoch FROM" in query["sql"]]
    assert loads
    assert all(load.count(",") < 120 for load in loads)  # they name the few


def test_bounds_of_another_policy_are_not_used_and_made_anew() -> None:
    world = World(7)
    offer_index.index_offers(now=NOW)
    new = Policy.objects.create(version=2, settings=POLICIES[2])
    needs = [world.need(number) for number in range(8)]
    for need in needs:
        expected, found, whole = listed(need, new, NOW, 5)
        assert found == (expected if whole else expected[: len(found)])

    offer_index.index_offers(now=NOW)

    assert set(IndexCell.objects.values_list("policy_version", flat=True)) == {new.version}
    for need in needs:
        expected, found, whole = listed(need, new, NOW, 5)
        assert found == (expected if whole else expected[: len(found)])


def test_offers_whose_keys_are_past_their_time_are_found_all_the_same() -> None:
    """The indexer has been dead for weeks: an offer that was stale before and those nearby that were fresh are stale
    alike by now, but by their keys they are not.
    """
    item = ItemFactory.create()
    here = region("420100")
    weeks = dt.timedelta(weeks=1)
    near = OfferFactory.create(
        item=item, organisation=SupplierFactory.create(region=here), published_at=NOW - 4 * weeks
    )
    for place in ("420106", "429004"):
        far = SupplierFactory.create(region=region(place))
        OfferFactory.create_batch(40, item=item, organisation=far, published_at=NOW)
    offer_index.index_offers(now=NOW)
    later = NOW + 3 * weeks
    need = Need(
        id=1, organisation_id=0, item_id=item.pk, target=100, remaining=100, tier=1, urgency_rank=0,
        days_of_supply=None, waiting_since=later, needed_by=None,
        location=Location(here.path, here.latitude, here.longitude),
    )  # fmt: skip

    expected, found, _whole = listed(need, Policy.objects.current(), later, 3)

    assert expected[0] == near.pk
    assert found[:3] == expected[:3]


def test_every_way_of_writing_an_offer_is_noted_and_indexed() -> None:
    def noted() -> set[int]:
        """The offers that were noted and are indexed now."""
        found = set(OfferChange.objects.values_list("pk", flat=True))
        offer_index.index_offers()
        assert not OfferChange.objects.exists()
        return found

    offer = OfferFactory.create(quantity=10)
    [made] = Offer.objects.bulk_create([Offer(
        organisation=offer.organisation, item=offer.item, origin_region=offer.origin_region, quantity=5,
        state=OfferState.PUBLISHED, published_at=NOW, confirmed_at=NOW,
    )])  # fmt: skip
    assert noted() == {offer.pk, made.pk}

    Offer.objects.filter(pk=offer.pk).update(quantity=77, ships_to=["420000"])
    assert noted() == {offer.pk}
    indexed = IndexedOffer.objects.get(pk=offer.pk)
    assert (indexed.quantity, indexed.areas) == (77, areas(["420000"]))

    Offer.objects.filter(pk=offer.pk).update(quantity_reserved=7, match_requested_at=NOW)
    assert noted() == set()  # what changes with every hold is not copied

    Region.objects.filter(pk=made.origin_region_id).update(latitude=10, longitude=20)
    assert noted() == {offer.pk, made.pk}
    assert IndexedOffer.objects.get(pk=offer.pk).x != indexed.x

    other = ItemFactory.create(key="gown")
    Offer.objects.filter(pk=made.pk).update(item=other)
    assert noted() == {made.pk}
    assert set(IndexCell.objects.values_list("item", flat=True)) == {offer.item_id, other.pk}

    Offer.objects.filter(pk=offer.pk).update(state=OfferState.PAUSED)
    assert noted() == {offer.pk}
    made.delete()
    assert not IndexedOffer.objects.exists()


def test_what_was_written_past_the_triggers_is_mended_once_an_hour() -> None:
    first, second, third = (OfferFactory.create(quantity=10) for _ in range(3))
    offer_index.index_offers()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE supply_offer SET quantity = 99 WHERE id = %s", [first.pk])
        cursor.execute("UPDATE supply_offer SET state = 'paused' WHERE id = %s", [second.pk])
        cursor.execute("DELETE FROM matching_indexedoffer WHERE offer_id = %s", [third.pk])
        cursor.execute("SET LOCAL session_replication_role = origin")

    assert offer_index.refresh_supplier_statistics() == 3

    assert dict(IndexedOffer.objects.values_list("pk", "quantity")) == {first.pk: 99, third.pk: 10}
    assert offer_index.refresh_supplier_statistics() == 0


def test_the_record_of_a_supplier_is_counted_over_half_a_year() -> None:
    offer = OfferFactory.create(quantity=10_000)
    for state, reason in [
        ("accepted", ""), ("accepted", ""), ("expired", ""), ("declined", "gone"), ("declined", "price"),
    ]:  # fmt: skip
        MatchFactory.create(
            offer=offer, state=state, decline_reason=reason, responded_at=NOW, demand=DemandFactory.create()
        )
    old = MatchFactory.create(offer=offer, state="accepted", responded_at=NOW, demand=DemandFactory.create())
    Match.objects.filter(pk=old.pk).update(created_at=NOW - dt.timedelta(days=181))

    offer_index.refresh_supplier_statistics()

    [source] = load_sources([offer.item_id], timezone.now(), PolicyValues())
    assert (source.kept, source.broken) == (2, 2)
    Match.objects.update(created_at=NOW - dt.timedelta(days=181))
    offer_index.refresh_supplier_statistics()
    [source] = load_sources([offer.item_id], timezone.now(), PolicyValues())
    assert (source.kept, source.broken) == (0, 0)


def test_the_reference_price_is_the_median_and_stays_for_a_day() -> None:
    offer = OfferFactory.create(unit_price=Decimal(4))
    OfferFactory.create(unit_price=Decimal(6))
    offer_index.refresh_supplier_statistics(now=NOW)
    assert {source.reference_price for source in load_sources([offer.item_id], NOW, PolicyValues())} == {5}

    Offer.objects.update(unit_price=Decimal(10))
    offer_index.refresh_supplier_statistics(now=NOW + dt.timedelta(hours=23))
    assert {source.reference_price for source in load_sources([offer.item_id], NOW, PolicyValues())} == {5}
    offer_index.refresh_supplier_statistics(now=NOW + dt.timedelta(hours=25))
    assert {source.reference_price for source in load_sources([offer.item_id], NOW, PolicyValues())} == {10}


def test_prices_in_different_currencies_are_not_compared() -> None:
    usual = OfferFactory.create_batch(3, unit_price=Decimal(10))
    dollars = OfferFactory.create(unit_price=Decimal(5), currency="USD")

    def reference() -> dict[int, float | None]:
        sources = load_sources([dollars.item_id], timezone.now(), PolicyValues())
        return {source.id: source.reference_price for source in sources}

    offer_index.refresh_supplier_statistics(now=NOW)
    assert reference() == {offer.pk: 10 for offer in usual} | {dollars.pk: None}

    Offer.objects.filter(pk=dollars.pk).update(currency="CNY")
    assert reference()[dollars.pk] == 10
    Offer.objects.update(currency="USD")
    offer_index.refresh_supplier_statistics(now=NOW)
    assert set(reference().values()) == {None}, "it stays for a day"
    offer_index.refresh_supplier_statistics(now=NOW + dt.timedelta(hours=25))
    assert set(reference().values()) == {10}, "the median of 10, 10, 10 and 5"


def test_the_function_is_given_what_it_reads_by_name() -> None:
    world = World(3)
    with connection.cursor() as cursor:
        cursor.execute("SELECT attname FROM pg_attribute WHERE attrelid = 'matching_search'::regclass AND attnum > 0")
        read = {name for (name,) in cursor.fetchall()}
    need = world.need(1)

    assert arguments(need, need.item_id, load_rules(), Policy.objects.current(), NOW, wanted=9).keys() == read
