"""Choosing a place by saying it."""

import pytest
from django import forms
from django.test import Client

from apps.accounts.models import User
from apps.catalogue.models import Region
from apps.portal.forms.regions import RegionField, find
from apps.portal.places import full_label
from tests.factories import region

HERE = ["420106", "429004", "110102", "440300", "650000", "IT-25"]


@pytest.fixture(autouse=True)
def places() -> None:
    for code in HERE:
        region(code)
    province = region("110000")
    for code, name, english in (("110105", "朝阳区", "Chaoyang"),):
        Region.objects.create(
            code=code, name=name, name_en=english, level="county", parent=province, path=f"{province.path}{code}/"
        )
    jilin = Region.objects.create(
        code="220000", name="吉林省", name_en="Jilin", level="province", parent=region("CN"), path="CN/220000/"
    )
    Region.objects.create(
        code="220104", name="朝阳区", name_en="Chaoyang", level="county", parent=jilin, path="CN/220000/220104/"
    )


class Form(forms.Form):
    region = RegionField()
    name = forms.CharField(required=False)


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
    ],
)
def test_words_that_mean_one_place_find_it(said: str, code: str) -> None:
    assert [place.pk for place in find(said)] == [code]


def test_words_that_fit_several_places_ask_which(client: Client, stranger: User) -> None:
    form = Form({"region": "朝阳区", "name": "kept"})

    assert not form.is_valid()
    assert form.has_error("region", "ambiguous")
    page = form.as_div()
    assert 'value="110105"' in page
    assert 'value="220104"' in page
    assert 'value="朝阳区"' in page
    assert 'value="kept"' in page


def test_the_choice_counts_for_the_words_it_was_offered_for() -> None:
    answer = {"region": "朝阳区", "region_picked": "220104", "region_picked_for": "朝阳区"}

    form = Form(answer)
    assert form.is_valid()
    assert form.cleaned_data["region"].pk == "220104"

    other = Form(answer | {"region": "武昌"})
    assert other.is_valid()
    assert other.cleaned_data["region"].pk == "420106"


def test_a_place_that_was_chosen_before_stays_when_nothing_is_changed() -> None:
    form = Form(initial={"region": region("420106")})
    page = form.as_div()
    assert 'value="Wuchang, Wuhan, Hubei"' in page

    again = Form(
        {"region": "Wuchang, Wuhan, Hubei", "region_picked": "420106", "region_picked_for": "Wuchang, Wuhan, Hubei"}
    )
    assert again.is_valid()
    assert again.cleaned_data["region"].pk == "420106"


@pytest.mark.parametrize("said", ["Atlantis", "零零零", "\x00", "x" * 5000, "%", "/", ",", "，，"])
def test_words_that_mean_nothing_are_said_to(said: str) -> None:
    form = Form({"region": said})

    assert not form.is_valid()
    assert set(form.errors) == {"region"}


def test_a_made_up_choice_is_not_believed() -> None:
    form = Form({"region": "朝阳区", "region_picked": "999999", "region_picked_for": "朝阳区"})

    assert not form.is_valid()


def test_a_row_that_only_groups_codes_is_left_out_of_the_label() -> None:
    beijing = region("110000")
    group = Region.objects.create(
        code="110100",
        name="市辖区",
        name_en="Districts",
        level="prefecture",
        parent=beijing,
        path=f"{beijing.path}110100/",
    )
    county = Region.objects.create(
        code="110101", name="东城区", name_en="Dongcheng", level="county", parent=group, path=f"{group.path}110101/"
    )

    assert full_label(county) == "Dongcheng, Beijing"


def test_an_optional_place_may_be_left_out() -> None:
    assert RegionField(required=False).clean("") is None
