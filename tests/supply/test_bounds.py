"""What one sheet may cost: queries and time, however many names it holds that nobody knows."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Organisation, User
from apps.catalogue.naming import RegionNames, find
from apps.core.errors import RuleViolation
from apps.supply.reading import read_rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reference_data")]


def cost_of(maker: Organisation, supplier: User, rows: list[str]) -> int:
    with CaptureQueriesContext(connection) as queries:
        sheet = read_rows(maker, "\n".join(["item,quantity,ships_to", *rows]).encode(), by=supplier)
    assert len(sheet.faulty) in {0, len(rows)}
    return len(queries)


def test_good_rows_cost_no_query_each(maker: Organisation, supplier: User) -> None:
    few = cost_of(maker, supplier, ["mask.surgical,5,武汉;湖北"] * 2)
    many = cost_of(maker, supplier, ["mask.surgical,5,武汉;湖北"] * 2_000)

    assert many == few < 10


def test_unknown_names_of_items_cost_one_query_together(maker: Organisation, supplier: User) -> None:
    few = cost_of(maker, supplier, [f"unknown thing {number},5," for number in range(2)])
    many = cost_of(maker, supplier, [f"unknown thing {number} 某某设备,5," for number in range(2_000)])

    assert many == few < 10


def test_unknown_places_cost_a_few_searches(maker: Organisation, supplier: User) -> None:
    some = cost_of(maker, supplier, [f"KN95,5,某某地方{number}号" for number in range(200)])
    many = cost_of(maker, supplier, [f"KN95,5,某某地方{number}号" for number in range(2_000)])

    assert many == some < 100


def test_a_sheet_of_very_many_places_is_refused(maker: Organisation, supplier: User) -> None:
    places = [";".join(f"place {row} {number}" for number in range(100)) for row in range(60)]

    with pytest.raises(RuleViolation) as violation:
        cost_of(maker, supplier, [f"KN95,5,{places[row]}" for row in range(60)])

    assert (violation.value.code, violation.value.params) == ("sheet_unusable", {"reason": "too_long"})


@pytest.mark.parametrize(
    "name",
    [
        "湖北",
        "武汉",
        "武汉市武昌区",
        "Wuhan",
        "Wuchang, Wuhan",
        "湖北 武汉 武昌",
        "wuhan city",
        "恩施州",
        "朝阳区",
        "cn",
        "Atlantis",
    ],
)
def test_many_names_at_once_mean_what_each_means_alone(name: str) -> None:
    assert sorted(RegionNames().find(name)) == sorted(region.pk for region in find(name))
