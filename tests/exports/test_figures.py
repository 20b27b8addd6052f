"""Each figure on the dashboard, the board and in `stats/`, recomputed from the tables by SQL of this test alone."""

import datetime as dt
import math
import random
import re
from fractions import Fraction
from typing import Any, Final

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.demands.models import DemandState, QuantityKind, Urgency
from apps.exports.definitions import FIGURES
from apps.exports.models import RegionSums
from apps.exports.publishing import rounded
from apps.exports.stats import NUMBERS, StatsCell
from apps.exports.survival import Observed
from apps.fulfilment.models import Delivery, Order
from apps.matching.models import Match, MatchState
from tests.exports.test_survival import redistributed
from tests.factories import (
    DemandFactory,
    ItemFactory,
    MatchFactory,
    OfferFactory,
    OrganisationFactory,
    SupplierFactory,
    UnitFactory,
    region,
)

pytestmark = pytest.mark.django_db

PLACES: Final = ("420106", "429004", "420100", "440300", "110102")
NOT_CANCELLED: Final = "d.state IN ('open', 'matched', 'paused', 'stale', 'fulfilled')"

# The figure's key, and what it is of the joined rows `d` (demands), `i` (items), `o` (their organisations).
OF_NEEDS: Final = {
    "organisations_waiting": "count(DISTINCT d.organisation_id) FILTER (WHERE d.state = 'open')",
    "needs_open": "count(*) FILTER (WHERE d.state = 'open')",
    "needs_emergency": "count(*) FILTER (WHERE d.state = 'open' AND d.urgency = 'emergency')",
    "needs_unknown": "count(*) FILTER (WHERE d.state = 'open' AND d.quantity IS NULL)",
    "needs_matched": "count(*) FILTER (WHERE d.state = 'matched')",
    "needs_received": "count(*) FILTER (WHERE d.state = 'fulfilled')",
    "needs_suspended": "count(*) FILTER (WHERE d.state = 'stale')",
    "needs": f"count(*) FILTER (WHERE {NOT_CANCELLED})",
    "quantity_needed": f"sum(d.quantity) FILTER (WHERE {NOT_CANCELLED})",
    "still_needed": "sum(d.quantity - d.quantity_received) FILTER (WHERE d.state IN ('open', 'matched'))",
    "quantity_matched": f"sum(d.quantity_matched) FILTER (WHERE {NOT_CANCELLED})",
    "quantity_outstanding": "sum(d.quantity_matched - d.quantity_received)",
    "quantity_received": "sum(d.quantity_received)",
}
OF_OFFERS: Final = {
    "offers": "count(*) FILTER (WHERE f.state = 'published')",
    "quantity_offered": "sum(f.quantity - f.quantity_reserved) FILTER (WHERE f.state = 'published')",
}
OF_ORDERS: Final = {"orders_made": "(SELECT count(*) FROM fulfilment_order)"}


def recomputed(*, within: str = "CN/", item: str = "%", verified: bool = False) -> dict[str, int]:
    """Every figure of the needs and offers of some items in a region."""
    joins = (
        "JOIN catalogue_item i ON i.id = {0}.item_id JOIN accounts_organisation o ON o.id = {0}.organisation_id "
        "JOIN catalogue_region r ON r.code = {0}.{1} "
        "WHERE r.path LIKE %s AND i.key LIKE %s AND (o.state = 'verified' OR NOT %s)"
    )
    figures: dict[str, int] = {}
    with connection.cursor() as cursor:
        for sums, table, place in (
            (OF_NEEDS, "demands_demand d", "region_id"),
            (OF_OFFERS, "supply_offer f", "origin_region_id"),
        ):
            columns = ", ".join(sums.values())
            cursor.execute(
                f"SELECT {columns} FROM {table} {joins.format(table[-1], place)}",  # noqa: S608  # ours
                [f"{within}%", item, verified],
            )
            figures |= dict(zip(sums, map(int, (one or 0 for one in cursor.fetchone())), strict=True))
        cursor.execute(f"SELECT {OF_ORDERS['orders_made']}")
        figures["orders_made"] = cursor.fetchone()[0]
    return figures


@pytest.fixture
def market() -> list[str]:
    """Needs in every state, known and unknown, of verified organisations and others; offers; orders. Item keys."""
    chance = random.Random(11)
    items = [ItemFactory.create(key=f"item.{number}", name_en=f"thing {number}", trial_lot=50) for number in range(4)]
    bodies = [OrganisationFactory.create(region=region(chance.choice(PLACES))) for _number in range(40)]
    bodies += [OrganisationFactory.create(unverified=True) for _number in range(4)]
    makers = [*SupplierFactory.create_batch(12), SupplierFactory.create(unverified=True)]
    for number in range(240):
        state = chance.choice([*DemandState.values, "open", "open", "cancelled"])
        quantity = chance.choice([None, chance.randint(1, 5000)])
        matched = chance.randint(0, quantity or 50) * (state != "draft")
        received = chance.randint(0, matched)
        if state == "fulfilled":
            quantity = quantity or 50
            matched = received = quantity
        DemandFactory.create(
            item=items[number % 4 if number % 3 else 0],
            organisation=chance.choice(bodies),
            region=region(chance.choice(PLACES)),
            draft=state == "draft",
            state=state,
            urgency=chance.choice(Urgency.values),
            quantity=quantity,
            quantity_kind=QuantityKind.UNSPECIFIED if quantity is None else QuantityKind.EXACT,
            quantity_matched=matched,
            quantity_received=received,
        )
    # An item of which nobody says how much.
    unknown = ItemFactory.create(key="unknown", name_en="unknown thing")
    for body in bodies[:22]:
        DemandFactory.create(
            item=unknown, organisation=body, region=region("420106"), quantity=None, quantity_kind="unspecified"
        )
    for number in range(60):
        OfferFactory.create(
            item=items[number % 4],
            organisation=chance.choice(makers),
            origin_region=region(chance.choice(PLACES)),
            quantity=5000,
            quantity_reserved=chance.randint(0, 5000),
            state=chance.choice(["published", "published", "paused", "stale"]),
        )
    for state in ("confirmed", "cancelled"):
        Order.objects.create(
            match=MatchFactory.create(state=MatchState.ACCEPTED, responded_at=timezone.now()), quantity=400, state=state
        )
    return [*(item.key for item in items), "unknown"]


WAITS: Final = """
    SELECT n.*, n.state = 'cancelled' AS is_cancelled FROM (
        SELECT d.opened_at, d.updated_at, d.state, d.urgency, i.key AS item, o.kind, r.path,
               (SELECT min(m.created_at) FROM matching_match m WHERE m.demand_id = d.id) AS asked,
               (SELECT min(p.created_at) FROM fulfilment_order p JOIN matching_match m ON m.id = p.match_id
                WHERE m.demand_id = d.id) AS contact,
               (SELECT min(t.received_at) FROM fulfilment_delivery t JOIN fulfilment_order p ON p.id = t.order_id
                JOIN matching_match m ON m.id = p.match_id WHERE m.demand_id = d.id AND t.quantity_accepted > 0
               ) AS receipt
        FROM demands_demand d JOIN catalogue_item i ON i.id = d.item_id JOIN catalogue_region r ON r.code = d.region_id
        JOIN accounts_organisation o ON o.id = d.organisation_id
        WHERE d.opened_at IS NOT NULL AND (o.state = 'verified' OR NOT %s)
    ) n
"""


def three_digits(span: dt.timedelta) -> int:
    """Seconds, rounded up to three digits."""
    seconds = math.ceil(max(0.0, span.total_seconds()))
    step = int(10 ** max(0, len(str(seconds)) - 3))
    return -(-seconds // step) * step


def waited(now: dt.datetime, *, verified: bool, milestone: str, **where: str) -> dict[str, int | None]:
    """Who waits for a milestone, and the times within which half and nine in ten get there."""
    with connection.cursor() as cursor:
        cursor.execute(WAITS, [verified])
        names = [column.name for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    rows = [row for row in rows if all(row[name].startswith(value) for name, value in where.items())]
    seen = [
        Observed(
            three_digits((row[milestone] or (row["updated_at"] if row["is_cancelled"] else now)) - row["opened_at"]),
            row[milestone] is not None,
        )
        for row in rows
    ]
    reached = redistributed(seen)
    found: dict[str, int | None] = {
        "needs": len(rows),
        "waiting": sum(row[milestone] is None and not row["is_cancelled"] for row in rows),
    }
    for name, share in (("median", Fraction(1, 2)), ("ninetieth", Fraction(9, 10))):
        at = next((time for time, part in reached.items() if part >= share), None)
        known = sum(one.is_reached or (at is not None and one.time >= at) for one in seen)
        found[name] = at if at is not None and 2 * known >= len(seen) else None
    return found


@pytest.fixture
def served() -> None:
    """Needs of all urgencies of which some were asked for, some accepted, some received, and some cancelled."""
    chance = random.Random(12)
    now = timezone.now()
    bodies = [OrganisationFactory.create(region=region(chance.choice(PLACES))) for _number in range(12)]
    bodies += [OrganisationFactory.create(unverified=True)]
    offers = OfferFactory.create_batch(5, quantity=1_000_000)
    for number in range(90):
        opened = now - dt.timedelta(hours=chance.uniform(20, 60))
        demand = DemandFactory.create(
            organisation=chance.choice(bodies),
            item=ItemFactory.create(key=f"item.{number % 2}", name_en=f"thing {number % 2}"),
            urgency=chance.choice(Urgency.values),
            state=chance.choice(["open", "open", "open", "paused", "cancelled"]),
            opened_at=opened,
        )
        if number % 10:
            moment = opened + dt.timedelta(hours=chance.expovariate(1))
            match = MatchFactory.create(
                demand=demand, offer=chance.choice(offers), state=MatchState.ACCEPTED, responded_at=moment
            )
            Match.objects.filter(pk=match.pk).update(created_at=moment)
            if number % 3:
                order = Order.objects.create(match=match, quantity=400)
                moment += dt.timedelta(hours=chance.expovariate(0.2))
                Order.objects.filter(pk=order.pk).update(created_at=moment)
                if number % 2:
                    Delivery.objects.create(
                        order=order, quantity_accepted=400, received_at=moment + dt.timedelta(hours=number / 9)
                    )


def test_the_waits_of_the_dashboard_are_what_the_tables_say(client: Client, partner: User, served: None) -> None:
    client.force_login(partner)
    [shown] = client.get("/partner/").context["waits"]
    counted_at = RegionSums.objects.get().counted_at

    compared = told = 0
    groups = {title: lines for title, _head, lines in shown["groups"]}
    for lines, by, keys in (
        (shown["by_urgency"], "urgency", [*Urgency.values, ""]),
        (groups["By item"], "item", [f"item.{line.name[-1]}" for line in groups["By item"]]),
        (groups["By tier"], "kind", ["hospital"]),
    ):
        assert len(lines) == len(keys)
        for line, key in zip(lines, keys, strict=True):
            for milestone in ("asked", "contact", "receipt"):
                wait = getattr(line, milestone)
                where = {by: key, "path": "CN/420000/"}
                expected = waited(counted_at, verified=False, milestone=milestone, **where)
                assert {name: getattr(wait, name) for name in expected} == expected
                compared += 1
                told += wait.median is not None
    assert compared > 15
    assert told > 5


def test_the_waits_of_the_board_are_what_the_tables_say(client: Client, served: None) -> None:
    board = client.get("/").context
    now = board["board"].as_of

    compared = 0
    for line, urgency in zip(board["by_urgency"], [*Urgency.values, ""], strict=True):
        for milestone in ("asked", "contact", "receipt"):
            wait = getattr(line, milestone)
            expected = waited(now, verified=True, milestone=milestone, urgency=urgency)
            assert wait.needs == expected["needs"]
            assert wait.waiting in {expected["waiting"], None}
            assert (wait.median, wait.ninetieth) == (expected["median"], expected["ninetieth"])
            compared += wait.median is not None
    assert compared > 3


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def number(text: str) -> int:
    """The number that a cell shows; a dash or words are nought."""
    found = re.match(r"[\d,]+", text)
    return int(found[0].replace(",", "")) if found else 0


def lines_of(page: str) -> dict[str, dict[str, str]]:
    """The cells of the table of items by the line's first word or two, and by label."""
    [body, *_others] = re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    return {
        words(row.partition("</th>")[0]).lower(): {
            label: words(cell) for label, cell in re.findall(r'data-label="([^"]*)">(.*?)</td>', row, re.DOTALL)
        }
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    }


def headline_of(page: str) -> dict[str, int]:
    """The figures at the head of a page, by key."""
    return {
        key: number(value)
        for value, key in re.findall(r"<strong>([\d,]+)</strong>\s*<a href=\"/figures/#(\w+)\"", page)
    }


def test_every_figure_of_the_dashboard_is_what_the_tables_say(client: Client, partner: User, market: list[str]) -> None:
    client.force_login(partner)
    page = client.get("/partner/").text

    lines = lines_of(page)
    keys = {f"thing {key[-1]}" if key != "unknown" else "unknown thing": key for key in market}
    shown = {
        "organisations_waiting", "needs_open", "needs_emergency", "still_needed", "quantity_outstanding",
        "quantity_received", "quantity_offered",
    }  # fmt: skip
    for name, key in keys.items():
        figures = recomputed(within="CN/420000/", item=key)
        assert {FIGURES[one].name: number(lines[name][str(FIGURES[one].name)]) for one in shown} == {
            FIGURES[one].name: figures[one] for one in shown
        }
        if unknown := figures["needs_unknown"]:
            said = lines[name]["Still needed"]
            assert said.endswith(f"unknown by {unknown} of {figures['needs_open']}")
    assert lines["unknown thing"]["Still needed"] == "unknown by 22 of 22"
    everything = recomputed(within="CN/420000/")
    assert (head := headline_of(page)) == {key: everything[key] for key in head}
    assert set(head) == {"needs_open", "needs_matched", "needs_received", "needs_suspended"}


def test_every_figure_of_the_board_is_what_the_tables_say_rounded(client: Client, market: list[str]) -> None:
    page = client.get("/").text

    lines = lines_of(page)
    labels = {str(FIGURES[key].name): key for key in (*NUMBERS[0], *NUMBERS[1])}
    told = 0
    for name, cells in lines.items():
        key = "unknown" if name == "unknown thing" else f"item.{name[-1]}"
        by_province = [recomputed(within=f"CN/{code}0000/", item=key, verified=True) for code in (42, 44, 11)]
        for label, text in cells.items():
            # Who waits in two provinces counts in each.
            if number(text) and label in labels:
                told += 1
                assert number(text) == rounded(sum(figures[labels[label]] for figures in by_province))
    assert told > 15
    assert lines["unknown thing"]["Quantity asked for"] == "unknown by 22 of 22"
    everything = recomputed(verified=True)
    assert headline_of(page) == {
        key: rounded(everything[key]) for key in ("needs_open", "offers", "orders_made", "needs_received")
    }


def test_every_number_of_stats_is_what_the_tables_say_rounded(client: Client, market: list[str]) -> None:
    stats = client.get("/api/v1/stats/").json()

    told = 0
    for cell in stats["cells"]:
        figures = recomputed(within=f"CN/{cell['region']}/", item=cell["item"], verified=True)
        for name in (*NUMBERS[0], *NUMBERS[1]):
            if cell[name] is not None:
                told += 1
                assert (name, cell[name]) == (name, rounded(figures[name]))
    assert told > 40


def test_items_stand_by_who_waits_and_emergencies_come_first(client: Client, partner: User) -> None:
    for name, bodies, quantity, urgency in (
        ("few but many pieces", 1, 900_000, "routine"),
        ("many wait", 5, 3, "routine"),
        ("one emergency", 3, 2, "emergency"),
    ):
        item = ItemFactory.create(key=name, name_en=name)
        for _number in range(bodies):
            DemandFactory.create(item=item, quantity=quantity, urgency=urgency)
    board = list(lines_of(client.get("/").text))
    client.force_login(partner)

    assert list(lines_of(client.get("/partner/").text)) == ["one emergency", "many wait", "few but many pieces"]
    assert board == ["many wait", "one emergency"], "of one organisation alone nothing is told"


def test_a_trial_lot_is_never_added(client: Client, partner: User) -> None:
    DemandFactory.create(item=ItemFactory.create(trial_lot=4321), quantity=None, quantity_kind="unspecified")
    client.force_login(partner)

    page = client.get("/partner/").text.partition("Stuck needs")[0]

    assert "4,321" not in page
    assert "unknown by 1 of 1" in " ".join(page.split())


def test_large_sums_are_written_in_units_that_people_say(client: Client, partner: User) -> None:
    millilitre = UnitFactory.create(code="ml", name_en="millilitre", name_zh="毫升", symbol="ml")
    DemandFactory.create(item=ItemFactory.create(key="alcohol", unit=millilitre), quantity=2_500_000)
    client.force_login(partner)

    assert "2,500 L" in client.get("/partner/").text
    partner.language = "zh-hans"
    partner.save()
    assert "2,500 升" in client.get("/partner/").text


def test_each_number_has_a_definition_on_the_page_and_in_the_api(client: Client) -> None:
    api: list[dict[str, Any]] = client.get("/api/v1/figures/").json()
    page = client.get(reverse("figures")).text

    assert [one["key"] for one in api] == list(FIGURES)
    of_waits = {"needs_waiting", "time_to_asked", "time_to_contact", "time_to_receipt", "promise_kept"}
    assert {*OF_NEEDS, *OF_OFFERS, *OF_ORDERS, *of_waits} == set(FIGURES), "each is recomputed above"
    assert {*vars(StatsCell("", "", ""))} - {"item", "region", "unit"} <= set(FIGURES)
    assert all(f'id="{key}"' in page for key in FIGURES)
    chinese = client.get("/api/v1/figures/", headers={"accept-language": "zh-hans"}).json()
    assert chinese[0]["name"] == "等待中的单位"
