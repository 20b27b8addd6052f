import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.catalogue import reference
from apps.catalogue.regions import (
    Gazetteer,
    GazetteerEntry,
    RegionRemark,
    Resolution,
    ancestors,
    distance_km,
    level_of,
    stem,
    tidy,
)
from tests.factories import region

ROWS = {row.code: row for row in reference.region_rows()}
GAZETTEER = Gazetteer(GazetteerEntry(row.code, row.name, row.path) for row in ROWS.values())
codes = st.sampled_from(sorted(code for code in ROWS if len(code) == 6 and code.isdigit()))
points = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


# --- Ancestry ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "above"),
    [
        ("420106", ("CN", "420000", "420100")),
        ("420100", ("CN", "420000")),
        ("420000", ("CN",)),
        ("429004", ("CN", "420000")),
        ("659001", ("CN", "650000")),
        ("469001", ("CN", "460000")),
        ("IT-25", ("IT",)),
        ("CN", ()),
    ],
)
def test_ancestors_come_from_the_code_and_direct_counties_have_no_city(code: str, above: tuple[str, ...]) -> None:
    assert ancestors(code) == above


@given(codes)
def test_every_ancestor_exists_and_the_path_lists_them(code: str) -> None:
    assert set(ancestors(code)) <= set(ROWS)
    assert ROWS[code].path.split("/")[:-2] == list(ancestors(code))


def test_counties_under_the_province_are_not_one_city() -> None:
    assert [ROWS[code].path for code in ("429004", "429005")] == ["CN/420000/429004/", "CN/420000/429005/"]
    assert [ROWS[code].path for code in ("420106", "420103")] == [
        "CN/420000/420100/420106/",
        "CN/420000/420100/420103/",
    ]


def test_all_codes_of_the_published_list_are_there() -> None:
    with open(reference.DATA / "regions-cn.csv", encoding="utf-8", newline="") as file:
        published = {row["code"] for row in csv.DictReader(file)}
    assert len(published) == 3511
    assert published <= set(ROWS)
    assert {level_of(code, 3) for code in published} == {"province", "prefecture", "county"}


# --- Distance ---------------------------------------------------------------------------------------------------------


@given(points, points)
def test_distance_is_symmetric_and_at_most_half_way_round(a: tuple[float, float], b: tuple[float, float]) -> None:
    assert distance_km(a, b) == pytest.approx(distance_km(b, a), abs=1e-6)
    assert 0 <= distance_km(a, b) <= 20_016


@given(points, points, points)
def test_a_detour_is_never_shorter(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> None:
    assert distance_km(a, c) <= distance_km(a, b) + distance_km(b, c) + 1e-6


def test_wuhan_is_nine_hundred_kilometres_from_shenzhen() -> None:
    wuhan, shenzhen = ROWS["420100"], ROWS["440300"]
    km = distance_km((wuhan.latitude or 0, wuhan.longitude or 0), (shenzhen.latitude or 0, shenzhen.longitude or 0))
    assert 850 < km < 920


# --- Which place is meant ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"province": "湖北", "city": "恩施土家族苗族自治州", "district": "来凤县"}, "422827"),
        ({"province": "湖北", "city": "恩施州", "district": "来凤"}, "422827"),
        ({"province": "湖北", "city": "荆州市", "district": "松滋市\t"}, "421087"),
        ({"province": "湖北", "city": "鄂州市", "district": "鄂州市"}, "420700"),
        ({"province": "湖北", "city": "仙桃市", "district": "仙桃市"}, "429004"),
        ({"province": "湖北", "city": "潜江市"}, "429005"),
        ({"province": "湖北省", "city": "天门"}, "429006"),
        ({"province": "湖北", "city": "武汉市", "district": None}, "420100"),
        ({"province": "安徽", "city": "金寨县"}, "341524"),
        ({"province": "上海", "city": "上海市"}, "310000"),
        ({"province": "北京", "city": "北京市", "district": "西城区"}, "110102"),
        ({"province": "重庆市", "city": "重庆市", "district": "武隆区"}, "500232"),  # a county then, a district now
        ({"province": "湖北", "city": "荆门市", "district": "京山市"}, "420821"),
        ({"province": "内蒙古", "city": "呼和浩特"}, "150100"),
        ({"province": "新疆", "city": "石河子"}, "659001"),
        ({"province": "广西", "city": "南宁市"}, "450100"),
        ({"province": "吉林省", "city": "吉林市"}, "220200"),
        ({"province": "　湖北　", "city": "武漢市".replace("漢", "汉"), "district": "武昌区 "}, "420106"),
    ],
)
def test_fields_give_the_smallest_place_they_name(fields: dict[str, str | None], code: str) -> None:
    found = GAZETTEER.resolve(**fields)
    assert (found.code, found.remarks) == (code, ())


def test_a_city_is_believed_before_its_province() -> None:
    found = GAZETTEER.resolve(province="山西", city="西安市")
    assert found == Resolution("610100", "prefecture", (RegionRemark.PROVINCE_CONTRADICTED,))


@pytest.mark.parametrize("district", ["高新区", "城南新区", "经济技术开发区"])
def test_a_district_of_no_code_leaves_the_city(district: str) -> None:
    found = GAZETTEER.resolve(province="湖北", city="随州市", district=district)
    assert found == Resolution("421300", "prefecture", (RegionRemark.DISTRICT_UNKNOWN,))


def test_the_address_tells_more_than_a_city() -> None:
    found = GAZETTEER.resolve(province="上海", city="上海市", address="上海浦东新区紫萍路908弄")
    assert found == Resolution("310115", "county", (RegionRemark.FROM_ADDRESS,))
    assert GAZETTEER.resolve(address="湖北省潜江市红梅东路8号").code == "429005"


def test_a_road_that_is_named_after_a_place_does_not_move_anybody() -> None:
    found = GAZETTEER.resolve(province="湖北", city="武汉市", address="武汉市中山大道1307号")
    assert found.code == "420100"


def test_a_name_that_several_places_have_is_not_guessed() -> None:
    assert GAZETTEER.resolve(city="朝阳区").code is None
    assert GAZETTEER.resolve(city="朝阳区", address="北京市朝阳区建国路1号").code == "110105"


def test_nowhere_is_said_to_be_nowhere() -> None:
    assert GAZETTEER.resolve() == Resolution(None, None, (RegionRemark.NOWHERE,))
    assert GAZETTEER.resolve(province="火星", city="大坑").code is None


@given(codes)
def test_a_place_is_found_by_its_own_names(code: str) -> None:
    row = ROWS[code]
    names = [ROWS[above].name for above in row.path.split("/")[1:-1]]
    if any(name in {"市辖区", "县"} or "直辖县级" in name for name in names):
        return
    province, city, district = [*names, None, None][:3]
    assert GAZETTEER.resolve(province=province, city=city, district=district).code == code


@given(st.text(), st.text(), st.text(), st.text())
def test_any_text_resolves_to_a_place_or_to_none(province: str, city: str, district: str, address: str) -> None:
    found = GAZETTEER.resolve(province=province, city=city, district=district, address=address)
    assert found.code is None or found.code in GAZETTEER.places


def test_names_lose_what_kind_of_place_they_are() -> None:
    assert [stem(name) for name in ("恩施土家族苗族自治州", "内蒙古自治区", "新疆维吾尔自治区", "西城区", "随县")] == [
        "恩施", "内蒙古", "新疆", "西城", "随县",
    ]  # fmt: skip
    assert tidy(" 松滋市\t\n") == "松滋市"


@pytest.mark.django_db
def test_a_message_names_a_district_with_what_it_lies_in() -> None:
    assert region("110102").full_names == {"en": "Xicheng, Beijing", "zh-hans": "北京市西城区"}
    assert region("110000").full_names == {"en": "Beijing", "zh-hans": "北京市"}
    assert region("CN").full_names == {"en": "China", "zh-hans": "中国"}
