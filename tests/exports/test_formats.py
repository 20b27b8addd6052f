"""Sheets, and what was shipped and received: read back with the library that others use."""

import datetime as dt
import html
import io
import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from openpyxl import load_workbook

from apps.accounts.models import Organisation, User
from apps.core.errors import RuleViolation
from apps.exports import services, workbook
from apps.exports.datasets import DATASETS
from apps.fulfilment import services as fulfilment
from tests.exports.test_pull import lines, rows
from tests.factories import DemandFactory, MatchFactory, OfferFactory, OrganisationFactory

pytestmark = pytest.mark.django_db


def sheet(user: User, dataset: str = "demands", **filters: Any) -> tuple[Any, list[dict[str, Any]]]:
    """The sheet as openpyxl reads it, and its rows by the names of the header."""
    data = b"".join(services.pull(DATASETS[dataset], user, form="xlsx", **filters))
    found = load_workbook(io.BytesIO(data))[dataset]
    header, *below = ([cell.value for cell in row] for row in found.iter_rows())
    return found, [dict(zip(header, row, strict=True)) for row in below]


def test_a_sheet_has_numbers_times_flags_and_a_header_that_stays(partner: User) -> None:
    DemandFactory.create(
        quantity=1500,
        needed_by=dt.datetime(2026, 12, 31, 15, 59, 59, tzinfo=dt.UTC),
        accepts_substitutes=True,
        days_of_supply=None,
    )

    found, (row,) = sheet(partner)

    assert (found.freeze_panes, found["A1"].font.b) == ("A2", True)
    assert list(row) == [*(column.name for column in DATASETS["demands"].columns), "removed"]
    assert (row["quantity"], row["accepts_substitutes"], row["days_of_supply"], row["region"]) == (
        1500,
        True,
        None,
        "420106",
    )
    assert isinstance(row["id"], str)
    assert abs(row["needed_by"] - dt.datetime(2026, 12, 31, 15, 59, 59)) < dt.timedelta(seconds=1)  # noqa: DTZ001  # as sheets have it


def test_a_sheet_of_offers_has_prices_and_days(partner: User) -> None:
    OfferFactory.create(
        organisation=OrganisationFactory.create(kind="supplier"),
        origin_region_id="420106",
        unit_price=Decimal("2.5"),
        certificate_number="X",
        certificate_valid_until=dt.date(2027, 2, 28),
        ships_to=["420000", "110000"],
    )

    _found, (row,) = sheet(partner, "offers")
    assert (row["unit_price"], row["certificate_valid_until"].date(), row["ships_to"]) == (
        2.5,
        dt.date(2027, 2, 28),
        "420000 110000",
    )


@pytest.mark.parametrize(
    "note",
    ["=HYPERLINK(1)", "@SUM(1)", "a < b & c > d \"e\" 'f'", "two\nlines", "  spaces  ", "口罩 😷", "]]>", "</t></is>"],
)
def test_awkward_text_comes_through_a_sheet_as_text(partner: User, note: str) -> None:
    DemandFactory.create(note=note)

    found, (row,) = sheet(partner)
    assert row["note"] == note
    assert {cell.data_type for line in found.iter_rows() for cell in line} <= {"s", "inlineStr", "n", "b", "d"}


def test_control_characters_do_not_break_a_sheet(partner: User) -> None:
    DemandFactory.create(note="a\x07b\x0bc\ufffed")

    _found, (row,) = sheet(partner)
    assert row["note"] == "abcd"


def test_a_sheet_without_rows_still_has_its_header(far_partner: User) -> None:
    DemandFactory.create()

    found, below = sheet(far_partner)
    assert (found.max_row, below) == (1, [])


def test_a_sheet_that_is_too_long_is_refused(partner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for _number in range(3):
        DemandFactory.create()
    monkeypatch.setattr(workbook, "MOST_ROWS", 2)

    with pytest.raises(RuleViolation) as refused:
        services.pull(DATASETS["demands"], partner, form="xlsx")
    assert refused.value.code == "too_many_rows"
    monkeypatch.setattr(workbook, "MOST_ROWS", 3)
    assert len(sheet(partner)[1]) == 3


def test_what_was_sent_and_received_can_be_pulled_by_both_sides_only(
    buyer: User, supplier: User, partner: User, rival: User, hospital: Organisation, maker: Organisation
) -> None:
    match = MatchFactory.create(
        demand=DemandFactory.create(organisation=hospital),
        offer=OfferFactory.create(organisation=maker),
        quantity=900,
    )
    order = fulfilment.accept_match(match, by=supplier)
    fulfilment.ship_order(order, by=supplier, quantity=600, carrier="SF", expected_on=timezone.now().date())
    fulfilment.deliver_order(order, by=buyer, quantity_accepted=590, quantity_rejected=10, reason="torn")

    for user in (buyer, supplier, partner):
        (shipment,) = lines(user, "shipments")
        (delivery,) = lines(user, "deliveries")
        assert (shipment["quantity"], shipment["carrier"], shipment["order"]) == (600, "SF", str(order.pk))
        assert (delivery["quantity_accepted"], delivery["quantity_rejected"], delivery["reason"]) == (590, 10, "torn")
        for part in (shipment, delivery):
            assert (part["requester_id"], part["supplier_id"]) == (str(hospital.pk), str(maker.pk))
            assert (part["requester"], part["supplier"]) == (hospital.name, maker.name)
    assert [rows(rival, dataset) for dataset in ("shipments", "deliveries")] == [[], []]


def test_shipments_are_narrowed_like_orders_and_have_no_states(
    client: Any, partner: User, supplier: User, maker: Organisation
) -> None:
    match = MatchFactory.create(offer=OfferFactory.create(organisation=maker))
    fulfilment.ship_order(fulfilment.accept_match(match, by=supplier), by=supplier)
    client.force_login(partner)

    def pulled(query: str) -> tuple[int, int]:
        answer = client.get(f"/api/v1/exports/shipments?format=jsonl&{query}")
        return answer.status_code, len(b"".join(answer).splitlines())

    assert pulled(f"item={match.demand.item.key}") == (200, 1)
    assert pulled("region=420000") == (200, 1)
    assert pulled("updated_since=2099-01-01T00:00:00Z") == (200, 0)
    assert pulled("state=shipped")[0] == 400


@pytest.mark.parametrize(
    ("who", "page", "datasets"),
    [
        ("buyer", "/needs/", ["demands"]),
        ("supplier", "/supply/", ["offers"]),
        ("supplier", "/orders/", ["orders"]),
        ("partner", "/partner/", [name for name in DATASETS if name != "organisations"]),
    ],
)
def test_buttons_below_a_list_download_both_forms_for_sheets(
    client: Client,
    request: pytest.FixtureRequest,
    hospital: Organisation,
    maker: Organisation,
    who: str,
    page: str,
    datasets: list[str],
) -> None:
    need, offer = DemandFactory.create(organisation=hospital), OfferFactory.create(organisation=maker)
    fulfilment.accept_match(MatchFactory.create(demand=need, offer=offer), by=None)
    client.force_login(request.getfixturevalue(who))
    found = [html.unescape(one) for one in re.findall(r'href="(/api/v1/exports/[^"]+)"', client.get(page).text)]

    assert found == [f"/api/v1/exports/{name}?format={form}" for name in datasets for form in ("xlsx", "csv&excel=1")]
    for address in found:
        answer = client.get(address)
        assert (answer.status_code, b"".join(answer)[:2]) == (200, b"PK" if "xlsx" in address else b"\xef\xbb")
