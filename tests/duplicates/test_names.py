"""Names, telephone numbers and addresses as they are compared."""

import pytest

from apps.duplicates.names import PlaceIndex, home_of, phones_in, read_name, read_street

PLACES = PlaceIndex(
    [
        ("CN", "中国", "CN/"),
        ("420000", "湖北省", "CN/420000/"),
        ("420100", "武汉市", "CN/420000/420100/"),
        ("420101", "市辖区", "CN/420000/420100/420101/"),
        ("420106", "武昌区", "CN/420000/420100/420106/"),
        ("420114", "蔡甸区", "CN/420000/420100/420114/"),
        ("421100", "黄冈市", "CN/420000/421100/"),
        ("421121", "团风县", "CN/420000/421100/421121/"),
    ]
)


@pytest.mark.parametrize(
    ("region", "names", "core"),
    [
        (
            "420106",
            ["武昌医院", "武汉市武昌医院", "湖北省武汉市武昌医院", "武漢市武昌醫院", "武昌医院（本部）"],
            "武昌医院",
        ),
        ("420106", ["武汉市中医医院", "武汉中医院", "湖北省武汉市中医医院设备科"], "中医院"),
        (
            "421121",
            ["团风县人民医院", "团风人民医院", "黄冈市团风县人民医院", "團風縣人民醫院", "团风县医院"],
            "人民医院",
        ),
        ("420100", ["武汉同济医院", "华中科技大学同济医学院附属同济医院", "同济医院(光谷院区)"], "同济医院"),
        ("420100", ["武汉市第1医院", "武汉市第一医院", "武漢市第一醫院（總院）"], "第一医院"),
        ("420106", ["Wuchang Hospital", "WUCHANG  HOSPITAL", "Wuchang-Hospital"], "wuchanghospital"),
        ("420114", ["武汉甲乙科技有限公司", "武汉市甲乙科技有限责任公司", "甲乙科技"], "甲乙科技"),
    ],
)
def test_ways_to_write_one_name_have_one_core(region: str, names: list[str], core: str) -> None:
    assert [read_name(name, region, PLACES).core for name in names] == [core] * len(names)


def test_a_name_gives_its_places_and_its_number() -> None:
    read = read_name("湖北省武汉市武昌区第二人民医院", "420100", PLACES)
    assert read.places == ("420000", "420100", "420106")
    assert (read.ordinal, read.local) == ("二", "武昌第二人民")
    assert read_name("江汉大学附属医院", "420100", PLACES).core == "江汉大学附属医院"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("+86 138 1234 5678", ("13812345678",)),
        ("027-82211988", ("82211988",)),
        ("０２７－８２２１１９８８ / 13812345678", ("82211988", "13812345678")),
        ("0713-6123456、6123457", ("6123456", "6123457")),
        ("0086 13812345678", ("13812345678",)),
        ("none", ()),
        ("", ()),
    ],
)
def test_a_number_is_one_number_however_it_is_written(text: str, numbers: tuple[str, ...]) -> None:
    assert phones_in(text) == numbers


@pytest.mark.parametrize(
    ("address", "street"),
    [
        ("湖北省武汉市武昌区东湖路169号", "东湖路169"),
        ("东湖路１６９号院内", "东湖路169"),
        ("武漢市武昌區東湖路169號設備科", "东湖路169"),
        ("武汉市武昌区惠济路五号", "惠济路5"),
        ("武汉市人民政府", ""),
        ("", ""),
    ],
)
def test_an_address_is_its_street_and_number(address: str, street: str) -> None:
    assert read_street(address, "420106", PLACES) == street


def test_an_address_tells_the_district_that_a_form_left_out() -> None:
    assert home_of("420100", "武汉市蔡甸区成功大道111号", PLACES) == "420114"
    assert home_of("420106", "武汉市蔡甸区成功大道111号", PLACES) == "420106"
    assert home_of("420100", "", PLACES) == "420100"
