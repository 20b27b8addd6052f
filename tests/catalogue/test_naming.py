"""Which places people mean, and what is like a name that no place has."""

import pytest

from apps.catalogue.models import Region
from apps.catalogue.naming import Proposals, find, nearest
from tests.factories import region

pytestmark = pytest.mark.usefixtures("some_places")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("420106", "420106"),
        ("武昌区", "420106"),
        ("武昌", "420106"),
        ("Wuchang", "420106"),
        ("wuchang", "420106"),
        ("湖北省武汉市武昌区", "420106"),
        ("湖北 武汉 武昌", "420106"),
        ("Wuchang, Wuhan, Hubei", "420106"),
        ("武汉", "420100"),
        ("湖北", "420000"),
        ("仙桃", "429004"),
        ("it-25", "IT-25"),
        ("Beijing, Chaoyang", "110105"),
        ("吉林省朝阳区", "220104"),
        ("Wuhan City", "420100"),
        ("Dongcheng", "110101"),
    ],
)
def test_words_that_mean_one_place_find_it(said: str, code: str) -> None:
    assert [place.pk for place in find(said)] == [code]


def test_a_name_that_a_city_and_a_district_share_is_asked_about() -> None:
    Region.objects.create(
        code="230184", name="五常市", name_en="Wuchang", level="county", parent=region("CN"), path="CN/230184/"
    )
    Region.objects.filter(pk="420106").update(name_en="Wuchang District")

    assert [place.pk for place in find("Wuchang")] == ["230184", "420106"]


@pytest.mark.parametrize(
    ("said", "proposed"),
    [
        ("Wuhann", ["420100"]),
        ("Shenzen", ["440300"]),
        ("Wuhann, Hubei", ["420100"]),
        ("武汉经济技术开发区", ["420100"]),
        ("Atlantis", []),
        ("零零零", []),
        ("\x00", []),
    ],
)
def test_a_place_that_does_not_exist_is_not_taken_for_another(said: str, proposed: list[str]) -> None:
    assert find(said) == []
    assert [place.pk for place in nearest(said)] == proposed


def test_proposals_give_codes_and_only_for_the_first_few_names() -> None:
    proposals = Proposals()

    assert proposals.get("Wuhann") == "420100 (Wuhan, Hubei)"
    assert [proposals.get(f"Nowhere {number}") for number in range(Proposals.MOST)] == [""] * Proposals.MOST
    assert proposals.get("Wuhann") == "420100 (Wuhan, Hubei)"
    assert proposals.get("Shenzen") == ""
