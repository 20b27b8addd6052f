"""Why nobody could be asked for a need, in words and in numbers, and what would help."""

import datetime as dt
import random
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from apps.accounts.models import Organisation, User
from apps.catalogue.models import Item, Satisfaction, Substitution
from apps.demands.models import Demand
from apps.matching import services as matching
from apps.matching.explanation import outlook_wording
from apps.matching.explanation.outlook import Outlook
from apps.matching.explanation.outlook import outlook as look
from apps.matching.explanation.survey import OfferGroup, Survey, ways_out
from apps.matching.loading import load_needs, load_rules, load_sources
from apps.matching.scoring.eligibility import Action, Reason
from apps.matching.scoring.ranking import rank
from apps.notifications import rendering
from apps.notifications.models import Message
from apps.policy.models import Policy
from tests.factories import (
    DemandFactory,
    ItemFactory,
    MatchFactory,
    OfferFactory,
    OrganisationFactory,
    SupplierFactory,
    region,
    standard_of,
)

pytestmark = pytest.mark.django_db

XINJIANG = "650000"


def outlook(demand: Demand) -> Outlook:
    return look(Demand.objects.shown().get(pk=demand.pk), now=timezone.now())


def why(demand: Demand) -> list[str]:
    return outlook_wording.why(outlook(demand))


def helps(demand: Demand) -> list[str]:
    seen = outlook(demand)
    return [outlook_wording.help_of(seen, way) for way in seen.ways]


def opens(suppliers: str, units: str) -> str:
    return f"That would make {suppliers} suppliers available, with {units} pc."


@pytest.fixture
def mask(db: None) -> Item:
    return ItemFactory.create()


@pytest.fixture
def kn95(mask: Item) -> Item:
    better = ItemFactory.create(key="respirator.kn95", name_zh="KN95口罩", name_en="KN95 respirator")
    Substitution.objects.create(offered=better, demanded=mask)
    return better


def far_need(**facts: Any) -> Demand:
    hospital = OrganisationFactory.create(region=region(XINJIANG))
    return DemandFactory.create(organisation=hospital, **facts)


# --- In words ---------------------------------------------------------------------------------------------------------


def test_it_says_who_has_it_what_keeps_them_back_and_what_would_do_as_well(mask: Item, kn95: Item) -> None:
    region("440000")
    for _i in range(3):
        OfferFactory.create(item=mask, ships_to=["440000"])
    for _i in range(2):
        OfferFactory.create(item=kn95, quantity=700)
    demand = far_need(item=mask)

    assert why(demand) == [
        "3 suppliers have Surgical mask.",
        "None of them ships to Xinjiang.",
        "2 suppliers have substitutes, which this need does not accept: KN95 respirator.",
    ]
    assert helps(demand) == [
        "Have it delivered to Guangdong, or let a coordinator arrange the transport. " + opens("3", "15,000"),
        "Accept substitutes, if they will do: KN95 respirator. That would make 2 suppliers available.",
    ]


def test_it_speaks_the_language_of_the_reader(mask: Item) -> None:
    demand = far_need(item=mask)

    with translation.override("zh-hans"):
        assert mask.name_zh in why(demand)[0]


def test_of_many_offers_those_that_were_confirmed_last_are_counted(mask: Item, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.matching.explanation.outlook.MOST_OFFERS", 2)
    for days, minimum in ((9, 1), (3, 5_000), (1, 5_000)):
        confirmed_at = timezone.now() - dt.timedelta(days=days)
        OfferFactory.create(item=mask, quantity=50_000, minimum_order=minimum, confirmed_at=confirmed_at)

    seen = outlook(DemandFactory.create(item=mask, quantity=100))

    assert (seen.is_partial, seen.survey.suppliers, seen.survey.candidates) == (True, 2, 0)
    said = "There are more offers: only the 2,000 that were confirmed last are counted here."
    assert outlook_wording.why(seen)[:2] == ["2 suppliers have Surgical mask.", said]


def test_where_nobody_has_it_that_is_all_it_says(mask: Item) -> None:
    OfferFactory.create(item=mask, draft=True)
    OfferFactory.create(item=ItemFactory.create(key="gown"))
    demand = far_need(item=mask)

    assert why(demand) == [
        "Nobody offers Surgical mask at the moment. As soon as somebody does, they are asked within seconds."
    ]
    assert helps(demand) == []


def test_one_offer_that_would_do_is_enough_for_its_supplier(mask: Item) -> None:
    maker = SupplierFactory.create()
    OfferFactory.create(organisation=maker, item=mask, minimum_order=9000, quantity=9000)
    OfferFactory.create(organisation=maker, item=mask)
    OfferFactory.create(item=mask, state="paused")

    assert why(DemandFactory.create(item=mask)) == [
        "2 suppliers have Surgical mask.",
        "1 of them fits and is asked at the next round.",
        "1 of them has paused its offer.",
    ]


@pytest.mark.parametrize(
    ("offer", "sentence"),
    [
        ({"minimum_order": 2000}, "Its minimum order is above the 1,000 that are still needed."),
        ({"certificate_valid_until": dt.date(2020, 1, 1)}, "Its certificate has expired."),
        ({"organisation__unverified": True}, "It is not verified."),
        ({"state": "stale"}, "It has not confirmed lately that the goods are still there."),
        ({"state": "paused"}, "It has paused its offer."),
        ({"quantity": 5}, "What it has left is too little to be worth a shipment."),
        ({"quantity": 500, "quantity_reserved": 500}, "All of its stock is reserved for others."),
        ({"standard": None}, "Its goods do not reach the standard YY 0469-2011."),
    ],
    ids=["minimum", "certificate", "unverified", "stale", "paused", "little", "stock", "standard"],
)
def test_each_hindrance_has_a_sentence(mask: Item, offer: dict[str, Any], sentence: str) -> None:
    standard = standard_of(mask)
    OfferFactory.create(**{"item": mask, "standard": standard, **offer})

    assert why(DemandFactory.create(item=mask, standard=standard)) == ["1 supplier has Surgical mask.", sentence]


def test_a_supplier_whose_offers_fail_for_different_reasons_is_counted(mask: Item) -> None:
    maker = SupplierFactory.create()
    for facts in ({"minimum_order": 2000}, {"state": "paused"}):
        OfferFactory.create(organisation=maker, item=mask, **facts)
    demand = DemandFactory.create(item=mask)

    assert why(demand) == [
        "1 supplier has Surgical mask.",
        "It has several offers, and each of them is ruled out for another reason.",
    ]

    OfferFactory.create(item=mask)
    assert why(demand) == [
        "2 suppliers have Surgical mask.",
        "1 of them fits and is asked at the next round.",
        "1 of them has several offers, and each of those is ruled out for another reason.",
    ]


def test_it_says_who_said_no_and_who_goes_first(mask: Item) -> None:
    demand = DemandFactory.create(item=mask)
    matching.decline(MatchFactory.create(demand=demand), by=None, reason="other")
    taken = OfferFactory.create(item=mask, quantity=400)
    MatchFactory.create(demand=DemandFactory.create(item=mask, quantity=400), offer=taken)
    demand.refresh_from_db()
    Demand.objects.filter(pk=demand.pk).update(organisation=OrganisationFactory.create(kind="enterprise"))

    assert why(demand) == [
        "2 suppliers have Surgical mask.",
        "1 of them has all of its stock reserved for others.",
        "1 of them was asked before and declined, did not answer or gave what it could.",
        "1 need of higher priority was served first.",
    ]


def test_who_is_being_asked_is_not_among_those_that_are_kept_back(mask: Item) -> None:
    OfferFactory.create(item=mask, quantity=400)
    demand = DemandFactory.create(item=mask, queued=True)
    matching.sweep()
    assert why(demand) == [
        "Nobody else offers Surgical mask at the moment. As soon as somebody does, they are asked within seconds."
    ]

    OfferFactory.create(item=mask, minimum_order=4000)

    assert why(demand) == [
        "1 other supplier has Surgical mask.",
        "Its minimum order is above the 600 that are still needed.",
    ]


# --- What would help --------------------------------------------------------------------------------------------------


def test_other_standards_are_named_by_how_many_have_them(mask: Item) -> None:
    asked_for, plain, old = (standard_of(mask, code) for code in ("YY 0469-2011", "YY/T 0969-2013", "GB 1"))
    for standard in (plain, plain, old):
        OfferFactory.create(item=mask, standard=standard, quantity=1000)
    demand = DemandFactory.create(item=mask, standard=asked_for)

    assert helps(demand) == [
        (
            "Ask for another standard, if it will do: YY/T 0969-2013, GB 1. "
            "That would make 3 suppliers available, with 3,000 pc."
        )
    ]
    seen = outlook(demand)
    assert outlook_wording.change_of(seen, seen.ways[0]) == {"standard": "YY/T 0969-2013"}


def test_a_quantity_is_named_that_reaches_the_least_minimum_order(mask: Item) -> None:
    for minimum in (3000, 2000):
        OfferFactory.create(item=mask, minimum_order=minimum)
    demand = DemandFactory.create(item=mask, quantity=1000, quantity_matched=400)

    [way] = outlook(demand).ways
    assert (way.action, way.quantity) == (Action.MORE, 2400)
    Demand.objects.filter(pk=demand.pk).update(quantity=2400)
    assert outlook(demand).survey.candidates == 1, "what was promised holds"


def test_a_quantity_is_named_that_makes_small_offers_worth_a_shipment(mask: Item) -> None:
    for quantity in (50, 80):
        OfferFactory.create(item=mask, quantity=quantity)
    demand = DemandFactory.create(item=mask, quantity=1_000_000)

    [way] = outlook(demand).ways
    assert (way.action, way.quantity) == (Action.LESS, 8000)
    Demand.objects.filter(pk=demand.pk).update(quantity=8000)
    assert outlook(demand).survey.candidates == 1


def test_holds_leave_the_quantity_that_makes_small_offers_useful(
    mask: Item,
) -> None:
    """400 more are wanted at most, for 4 to be one of a hundred; and 300 are spoken for."""
    demand = DemandFactory.create(item=mask, quantity=800, queued=True)
    OfferFactory.create(item=mask, quantity=300)
    matching.sweep()
    OfferFactory.create(item=mask, quantity=4)

    [way] = outlook(demand).ways
    assert (way.action, way.quantity) == (Action.LESS, 700)
    Demand.objects.filter(pk=demand.pk).update(quantity=700)
    assert outlook(demand).survey.candidates == 1


def test_more_than_what_small_offers_have_may_be_spoken_for(mask: Item) -> None:
    OfferFactory.create(item=mask, quantity=2)
    demand = DemandFactory.create(item=mask, quantity=5000, quantity_matched=4500)

    [way] = outlook(demand).ways
    assert (way.action, way.quantity) == (Action.LESS, 4700)


def test_what_helps_nobody_is_not_proposed(mask: Item, kn95: Item) -> None:
    """Two things at once keep this one back: neither change alone would open it."""
    region("440000")
    OfferFactory.create(item=kn95, ships_to=["440000"])

    assert helps(far_need(item=mask)) == []


def test_ways_are_in_order_of_what_they_open() -> None:
    few = OfferGroup(frozenset({Reason.REGION}), suppliers=3, units=9000, least_minimum=1, most_free=9000)
    many = OfferGroup(frozenset({Reason.FAR}), suppliers=4, units=10, least_minimum=1, most_free=9)
    more = OfferGroup(frozenset({Reason.MINIMUM}), suppliers=4, units=400, least_minimum=300, most_free=300)
    both = OfferGroup(frozenset({Reason.MINIMUM, Reason.REGION}), suppliers=5, units=1, least_minimum=1, most_free=1)
    survey = Survey(suppliers=8, blocked={}, groups=(few, many, both, more))

    ways = ways_out(survey, spoken_for=100, matter_share=0.01)

    assert [way.action for way in ways] == [Action.MORE, Action.URGENT, Action.REGION]
    assert ways[0].quantity == 400


@pytest.mark.parametrize(("suppliers", "quantity", "units"), [(2, 8000, None), (3, 8700, 231)])
def test_what_few_suppliers_have_is_not_told(mask: Item, suppliers: int, quantity: int, units: int | None) -> None:
    for number in range(suppliers):
        OfferFactory.create(item=mask, quantity=87 - 10 * number)
    demand = DemandFactory.create(item=mask, quantity=1_000_000)

    [way] = outlook(demand).ways
    assert (way.suppliers, way.quantity, way.units) == (suppliers, quantity, units)
    opened = f"That would make {suppliers} suppliers available{f', with {units} pc' if units else ''}."
    assert [text.endswith(opened) for text in helps(demand)] == [True]


# --- For whom it is counted -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["draft", "paused", "stale", "cancelled", "fulfilled"])
def test_nothing_is_counted_for_a_need_that_is_not_open(mask: Item, state: str) -> None:
    OfferFactory.create(item=mask)
    OfferFactory.create(item=mask, minimum_order=2000)
    demand = DemandFactory.create(item=mask, draft=state == "draft")
    Demand.objects.filter(pk=demand.pk).update(state=state)

    assert why(demand) == ["This need is not open. Until it is, nobody is asked, and suppliers’ stock is not counted."]
    assert (outlook(demand).survey, outlook(demand).ways) == (Survey(0, {}, ()), ())


def test_nothing_is_counted_for_an_organisation_that_is_not_verified(mask: Item) -> None:
    OfferFactory.create(item=mask, minimum_order=2000)
    clinic = OrganisationFactory.create(name="Clinic", unverified=True)
    demand = DemandFactory.create(item=mask, organisation=clinic)

    assert why(demand) == [
        "“Clinic” is not verified. Until it is, nobody is asked, and suppliers’ stock is not counted."
    ]
    assert outlook(demand).ways == ()


# --- The same answer as the ranking -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 4))])
def test_the_database_counts_as_the_ranking_filters(mask: Item, kn95: Item, seed: int) -> None:
    chance = random.Random(seed)
    better, plain = standard_of(mask), standard_of(mask, "YY/T 0969-2013")
    standards = [None, better, plain]
    Satisfaction.objects.create(offered=better, demanded=plain)
    places = ["420106", "440300", XINJIANG]
    for place in places:
        region(place)
    now = timezone.now()
    for _i in range(90):
        quantity = chance.choice([5, 300, 2000])
        OfferFactory.create(
            item=chance.choice([mask, kn95]),
            standard=chance.choice(standards),
            quantity=quantity,
            quantity_reserved=chance.choice([0, 0, quantity // 2, quantity]),
            minimum_order=chance.choice([1, 200, 1500]),
            ships_to=chance.choice([[], ["420000"], ["440000", XINJIANG]]),
            state=chance.choice(["published", "published", "published", "stale", "paused"]),
            certificate_valid_until=chance.choice([None, now.date(), now.date() - dt.timedelta(days=1)]),
            organisation__unverified=chance.random() < 0.1,
            organisation__region=region(chance.choice(places)),
            is_donation=chance.random() < 0.3,
            published_at=now - dt.timedelta(days=chance.choice([0, 20])),
            confirmed_at=now,
        )
    found, policy = 0, Policy.objects.current().values
    for _i in range(12):
        hospital = OrganisationFactory.create(region=region(chance.choice(places)))
        demand = DemandFactory.create(
            organisation=hospital,
            item=mask,
            standard=chance.choice(standards),
            accepts_substitutes=chance.random() < 0.5,
            quantity=chance.choice([100, 1000, 40_000]),
            urgency=chance.choice(["urgent", "routine"]),
        )
        [need] = load_needs([Demand.objects.shown().get(pk=demand.pk)], policy)
        sources = load_sources([mask.pk, kn95.pk], now, policy)
        ranked = rank(need, sources, load_rules(), policy=policy, now=now)

        assert outlook(demand).survey.candidates == len(ranked.candidates)
        found += len(ranked.candidates)
    assert found > 10


def test_looking_takes_as_many_queries_for_many_offers_as_for_few(mask: Item, kn95: Item) -> None:
    region("440000")
    demand = far_need(item=mask, standard=standard_of(mask))

    def queries() -> int:
        for item in (mask, kn95):
            for place in ("440000", "420000"):
                OfferFactory.create(item=item, standard=standard_of(mask), ships_to=[place])
                OfferFactory.create(item=item, standard=None)
                OfferFactory.create(item=item, standard=standard_of(mask), quantity_reserved=5000)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            seen = outlook(demand)
            outlook_wording.why(seen)
            [outlook_wording.help_of(seen, way) for way in seen.ways]
        return len(captured)

    few = queries()
    for _i in range(4):
        queries()
    assert queries() == few


# --- Where it is read -------------------------------------------------------------------------------------------------


def test_the_page_of_a_need_says_it_and_its_links_fill_in_the_form(
    client: Client, mask: Item, kn95: Item, hospital: Organisation, buyer: User
) -> None:
    OfferFactory.create(item=kn95)
    OfferFactory.create(item=mask, minimum_order=3000)
    demand = DemandFactory.create(item=mask, organisation=hospital)
    client.force_login(buyer)

    page = client.get(f"/needs/{demand.pk}/").content.decode()

    assert "Its minimum order is above the 1,000 that are still needed." in page
    assert f'href="/needs/{demand.pk}/amend/?accepts_substitutes=True"' in page
    form = client.get(f"/needs/{demand.pk}/amend/?accepts_substitutes=True&quantity=3000").context["form"]
    assert (form["accepts_substitutes"].value(), form["quantity"].value()) == (True, 3000)


def test_a_link_with_nonsense_fills_in_nothing(client: Client, hospital: Organisation, buyer: User) -> None:
    demand = DemandFactory.create(organisation=hospital)
    client.force_login(buyer)

    page = client.get(f"/needs/{demand.pk}/amend/?quantity=1e9&region=nowhere&standard=XX&item=7")

    assert (page.status_code, page.context["form"]["quantity"].value()) == (200, 1000)


def test_no_name_of_a_supplier_that_was_not_asked_is_shown(
    client: Client, mask: Item, hospital: Organisation, buyer: User
) -> None:
    maker = SupplierFactory.create(name="Secret Maker")
    OfferFactory.create(item=mask, organisation=maker, minimum_order=3000)
    demand = DemandFactory.create(item=mask, organisation=hospital)
    client.force_login(buyer)

    assert "Secret Maker" not in client.get(f"/needs/{demand.pk}/").content.decode()


def test_coordinators_read_it_at_their_desk(client: Client, mask: Item, coordinator: User) -> None:
    OfferFactory.create(item=mask, minimum_order=3000)
    demand = DemandFactory.create(item=mask)
    client.force_login(coordinator)

    page = client.get(f"/desk/needs/{demand.pk}/").content.decode()

    assert "Its minimum order is above the 1,000 that are still needed." in page


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_what_was_found_is_part_of_the_message_when_the_clock_runs_out(
    mask: Item, coordinator: User, language: str
) -> None:
    OfferFactory.create(item=mask, minimum_order=3000)
    DemandFactory.create(item=mask, escalates_at=timezone.now())

    matching.sweep()

    message = Message.objects.get(event="demand.escalated", address=coordinator.email)
    [who, keeps_back, helps_] = [line[language] for line in message.context["why"]]
    message.language = language
    text = rendering.render_mail(message).text
    assert all(f"– {line}" in text for line in (who, keeps_back, helps_))
