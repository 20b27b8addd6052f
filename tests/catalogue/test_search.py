import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.catalogue.models import Category, Item, ItemAlias, Region, Standard, Unit

pytestmark = pytest.mark.django_db


def keys(text: str) -> list[str]:
    return [item.key for item in Item.objects.search(text)]


def codes(text: str) -> list[str]:
    return [region.code for region in Region.objects.search(text)]


@pytest.mark.usefixtures("reference_data")
def test_search_finds_items_places_and_standards_in_both_languages() -> None:
    # Items: by name, alias, key, a piece of one or two characters, and with a slip of the pen.
    assert keys("医用外科口罩")[0] == "mask.surgical"
    assert keys("surgical mask")[0] == "mask.surgical"
    assert keys("MASK.SURGICAL")[0] == "mask.surgical"
    assert keys("surgcal mask")[0] == "mask.surgical"
    assert keys("forehead thermometer")[0] == "thermo.ir"
    assert keys("N95")[0] == "resp.particulate"
    assert keys("口罩")[0] == "mask.medical.disposable"
    assert {"mask.surgical", "resp.medical", "resp.particulate", "eq.maskline"} <= set(keys("口罩"))
    assert "eye.goggles" in keys("镜")
    assert keys("zzzzzz") == []
    assert keys("100%_'\"\\") == []

    # Places: by either name, a piece or the code; the large before the small, and never a row that only groups codes.
    assert codes("xicheng")[0] == codes("西城")[0] == "110102"
    assert codes("110102") == ["110102"]
    assert codes("wuhan")[0] == codes("武汉")[0] == "420100"
    assert codes("4290") == ["429004", "429005", "429006", "429021"]
    assert codes("it-25") == ["IT-25"]
    assert codes("lombardia")[0] == "IT-25"
    assert codes("市辖区") == []

    # Standards: however they are spelt, what is in force first.
    assert [standard.code for standard in Standard.objects.search("gb19083")[:2]] == [
        "GB 19083-2010",
        "GB 19083-2010 Grade 1",
    ]
    assert Standard.objects.search("yy0469－2011")[0].code == "YY 0469-2011"
    assert Standard.objects.search("医用外科口罩")[0].code == "YY 0469-2011"


@pytest.mark.usefixtures("reference_data")
@pytest.mark.parametrize("text", ["", "  ", "\0", "\ud800", "x" * 100_000, "%" * 500, "口" * 500])
def test_nothing_that_people_type_breaks_a_search(text: str) -> None:
    list(Item.objects.search(text)[:3])
    list(Region.objects.search(text)[:3])
    list(Standard.objects.search(text)[:3])


@pytest.mark.usefixtures("reference_data")
def test_a_search_is_one_query_whatever_it_finds() -> None:
    for text in ("口罩", "glove", "zzzzzz"):
        with CaptureQueriesContext(connection) as queries:
            list(Item.objects.search(text).select_related("unit", "category"))
        assert len(queries) == 1


@pytest.mark.usefixtures("reference_data")
def test_places_are_searched_by_the_index() -> None:
    for text in ("xicheng", "恩施土家族"):
        plan = Region.objects.search(text).explain()
        assert "Seq Scan" not in plan, plan
        assert "Bitmap Index Scan on region_name" in plan, plan


def test_items_are_searched_by_the_index_at_size() -> None:
    category = Category.objects.create(key="many", name_zh="很多", name_en="many")
    unit = Unit.objects.create(code="many", name_zh="件", name_en="piece", symbol="pcs")
    many = Item.objects.bulk_create(
        Item(
            key=f"many.{number}",
            category=category,
            unit=unit,
            trial_lot=1,
            name_zh=f"第{number:05}种医疗物资用品",
            name_en=f"supply kind {number:05} of many",
        )
        for number in range(6_000)
    )
    ItemAlias.objects.bulk_create(
        ItemAlias(item=item, language="zh", text=f"别名{number:05}号防护用品") for number, item in enumerate(many)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE catalogue_item, catalogue_itemalias")

    found = Item.objects.search("别名01234号")
    assert [item.key for item in found][:1] == ["many.1234"]
    plan = found.explain()
    for index in ("item_name_zh_trgm", "item_name_en_trgm", "item_key_trgm", "alias_text_trgm"):
        assert f"Bitmap Index Scan on {index}" in plan, plan
    assert "Seq Scan on catalogue_item" not in plan, plan
