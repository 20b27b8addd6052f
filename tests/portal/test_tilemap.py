"""The map of provinces: its squares, its shades, and that it shows no more than the table."""

import re

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.models import User
from apps.accounts.permissions import Permission
from apps.catalogue.models import Region
from apps.portal.tilemap import LEVELS, PROVINCES, SIDE, short_name, tile_map
from tests.factories import DemandFactory, ItemFactory, OrganisationFactory, region

values = st.dictionaries(st.sampled_from(PROVINCES), st.none() | st.integers(0, 2_000_000))


@given(values)
def test_each_number_stands_in_the_shade_that_the_legend_says(drawn: dict[str, int | None]) -> None:
    picture = tile_map(drawn)

    assert len(picture.levels) <= LEVELS
    shades = {level.number: level for level in picture.levels}
    for tile in picture.tiles:
        assert tile.value == drawn.get(tile.code)
        assert bool(tile.level) == bool(tile.value)
        if tile.value:
            shade = shades[tile.level]
            assert shade.least <= tile.value <= (shade.most or tile.value)


def test_no_square_covers_another_and_all_are_within_the_picture() -> None:
    picture = tile_map({})

    places = {(tile.x, tile.y) for tile in picture.tiles}
    assert len(places) == len(picture.tiles) == len(set(PROVINCES)) == 34
    assert max(x for x, _y in places) + SIDE == picture.width
    assert max(y for _x, y in places) + SIDE == picture.height
    assert picture.levels == []


def test_a_legend_has_round_numbers() -> None:
    levels = tile_map({"420000": 137, "440000": 3}).levels

    assert [(level.least, level.most) for level in levels] == [(1, 19), (20, 49), (50, 99), (100, None)]


@pytest.mark.parametrize(("name", "short"), [("湖北省", "湖北"), ("新疆维吾尔自治区", "新疆"), ("北京市", "北京")])
def test_a_province_is_called_on_the_map_as_people_call_it(name: str, short: str) -> None:
    assert short_name(name) == short


def _squares(page: str) -> dict[str, str]:
    return dict(re.findall(r"<title>([^<]*): ([^<]*)</title>", page))


@pytest.fixture
def needs(db: None) -> None:
    ItemFactory.create(key="mask.surgical")
    for place, bodies in (("420106", 4), ("440300", 3), ("110102", 1)):
        for _number in range(bodies):
            DemandFactory.create(organisation=OrganisationFactory.create(region=region(place)))


def test_what_the_table_hides_is_hidden_on_the_map_and_in_the_file(client: Client, needs: None) -> None:
    squares = _squares(client.get("/?item=mask.surgical").text)

    # The one of Beijing takes the next smallest with it.
    assert {name: value for name, value in squares.items() if value != "–"} == {"Hubei": "4"}
    assert len(squares) == 34
    response = client.get("/figures/by-province.csv?item=mask.surgical")
    head, *lines = response.text.splitlines()
    assert head == (
        "as_of,item,region,region_zh,region_en,unit,needs,organisations_waiting,quantity_needed,quantity_matched,"
        "quantity_received,offers,quantity_offered"
    )
    assert [line.partition(",")[2] for line in lines] == ["mask.surgical,420000,湖北省,Hubei,piece,4,4,4000,0,0,,"]
    assert response["Link"] == '</figures/>; rel="describedby"'
    assert client.get("/figures/by-province.csv").text == response.text
    assert client.get("/figures/by-province.csv?item=nothing").text.splitlines() == [head]


def test_an_official_sees_who_waits_in_each_place(client: Client, partner: User, needs: None) -> None:
    client.force_login(partner)

    page = client.get("/partner/").text
    assert "Wuhan" in page
    assert "<svg viewBox" not in page.partition("By region")[2].partition("</table>")[0], "no map of one province"
    head, *lines = client.get("/partner/places.csv").text.splitlines()
    assert head.endswith("organisations_waiting,needs_open,needs_emergency,needs_unknown")
    assert [line.partition(",")[2] for line in lines] == ["420000,420100,武汉市,Wuhan,4,4,0,0"]


def test_who_watches_the_nation_sees_a_map(client: Client, partner: User, needs: None) -> None:
    office = partner.organisations_with(Permission.WATCH_REGION)[0]
    office.region = Region.objects.get(pk="CN")
    office.save()
    client.force_login(partner)

    squares = _squares(client.get("/partner/").text)

    assert {name: value for name, value in squares.items() if value != "–"} == {
        "Hubei": "4",
        "Guangdong": "3",
        "Beijing": "1",
    }


@pytest.mark.parametrize(("who", "status"), [("stranger", 404), ("buyer", 404), ("partner", 200)])
def test_the_file_of_places_is_for_who_watches_a_region(
    client: Client, who: str, status: int, request: pytest.FixtureRequest
) -> None:
    client.force_login(request.getfixturevalue(who))

    assert client.get("/partner/places.csv").status_code == status
