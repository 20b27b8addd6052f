from collections.abc import Callable

import pytest
from pytest_django import DjangoAssertNumQueries

from apps.catalogue.models import ItemAlias, Pack
from tests.api.conftest import Caller
from tests.factories import ItemFactory, region, standard_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def nobody(call: Callable[..., Caller]) -> Caller:
    return call()


def test_an_item_is_shown_with_all_that_a_form_needs(nobody: Caller) -> None:
    item = ItemFactory.create()
    standard_of(item)
    ItemAlias.objects.create(item=item, language="zh", text="外科口罩")
    Pack.objects.create(item=item, name_zh="盒", name_en="box", size=50)

    assert nobody.get("/items/mask.surgical/").json() == {
        "key": "mask.surgical",
        "category": "respiratory",
        "name_zh": "医用外科口罩",
        "name_en": "Surgical mask",
        "unit": "piece",
        "trial_lot": 200,
        "is_consumable": True,
        "aliases": [{"language": "zh", "text": "外科口罩"}],
        "packs": [{"name_zh": "盒", "name_en": "box", "size": 50}],
        "standards": ["YY 0469-2011"],
        "codes": [],
    }


@pytest.mark.parametrize("text", ["surgical", "外科", "口罩", "N95口罩的别名"])
def test_items_are_found_in_either_language_and_by_alias(nobody: Caller, text: str) -> None:
    ItemAlias.objects.create(item=ItemFactory.create(), language="zh", text="N95口罩的别名")
    ItemFactory.create(key="gown", name_en="Gown", name_zh="隔离衣")

    assert [item["key"] for item in nobody.get(f"/items/?search={text}").json()["results"]] == ["mask.surgical"]


def test_a_standard_has_slashes_and_spaces_in_its_code(nobody: Caller) -> None:
    standard_of(ItemFactory.create(), "YY 0469-2011")
    assert nobody.get("/standards/YY%200469-2011/").json()["code"] == "YY 0469-2011"
    assert nobody.get("/standards/?search=yy0469").json()["results"][0]["code"] == "YY 0469-2011"


def test_regions_can_be_asked_for_by_what_they_lie_in(nobody: Caller) -> None:
    for code in ("420106", "429004", "440300"):
        region(code)

    within = nobody.get("/regions/?within=420000").json()["results"]
    assert [place["code"] for place in within] == ["420000", "420100", "420106", "429004"]
    assert [place["code"] for place in nobody.get("/regions/?parent=420000").json()["results"]] == ["420100", "429004"]
    assert nobody.get("/regions/?search=武汉").json()["results"][0]["code"] == "420100"


@pytest.mark.parametrize("path", ["/items/", "/standards/", "/regions/", "/units/", "/items/mask.surgical/"])
def test_what_has_not_changed_is_not_sent_again(nobody: Caller, path: str) -> None:
    item = ItemFactory.create()
    first = nobody.get(path)
    again = nobody.get(path, If_None_Match=first["ETag"])
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")

    item.name_en = "Surgical face mask"
    item.save()
    changed = nobody.get(path, If_None_Match=first["ETag"])
    assert (changed.status_code, changed["ETag"] != first["ETag"]) == (200, True)


def test_pages_lead_on_and_back(nobody: Caller) -> None:
    for number in range(5):
        ItemFactory.create(key=f"item.{number}", name_en=f"Thing {number}", name_zh=f"东西{number}")

    def keys(page: dict[str, object]) -> list[str]:
        results = page["results"]
        assert isinstance(results, list)
        return [row["key"] for row in results]

    def follow(link: str) -> dict[str, object]:
        page: dict[str, object] = nobody.get("/items/" + link[link.index("?") :]).json()
        return page

    first = nobody.get("/items/?page_size=2").json()
    second = follow(first["next"])
    third = follow(str(second["next"]))

    assert (keys(first), keys(second), keys(third)) == (["item.0", "item.1"], ["item.2", "item.3"], ["item.4"])
    assert (first["previous"], third["next"]) == (None, None)
    assert keys(follow(str(third["previous"]))) == ["item.2", "item.3"]
    assert follow(str(second["previous"]))["previous"] is None
    assert keys(follow(str(second["previous"]))) == keys(first)


def test_a_list_costs_the_same_queries_at_every_size(
    nobody: Caller, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def fill(count: int) -> None:
        for number in range(count):
            item = ItemFactory.create(key=f"thing.{count}.{number}", name_en=f"Thing {count} {number}")
            standard_of(item, f"GB {count}{number:03}-2020")
            Pack.objects.create(item=item, name_zh="盒", name_en="box", size=50)

    for count in (2, 9):
        fill(count)
        with django_assert_num_queries(5):  # the revision, items, aliases, packs, standards
            assert len(nobody.get("/items/").json()["results"]) >= count
        for path in ("/standards/", "/units/", "/regions/"):
            with django_assert_num_queries(2):
                nobody.get(path)
