"""Choosing a place by saying it."""

import pytest
from django import forms
from django.test import Client

from apps.accounts.models import User
from apps.catalogue.models import Region
from apps.portal.forms.regions import RegionField
from apps.portal.forms.supply import DestinationsField
from apps.portal.places import full_label
from tests.factories import region


@pytest.fixture(autouse=True)
def places(some_places: None) -> None:
    """Those of `some_places`."""


class Form(forms.Form):
    region = RegionField()
    name = forms.CharField(required=False)


def test_a_form_proposes_the_nearest_names_for_one_that_does_not_exist() -> None:
    form = Form({"region": "Wuhann"})

    assert not form.is_valid()
    assert form.has_error("region", "unlike")
    page = form.as_div()
    assert "No place of this name is known. Choose one that is like it below, or write it differently." in page
    assert "Several places fit" not in page
    assert 'value="420100"' in page

    chosen = Form({"region": "Wuhann", "region_picked": "420100", "region_picked_for": "Wuhann"})
    assert chosen.is_valid()
    assert chosen.cleaned_data["region"].pk == "420100"


def test_places_to_ship_to_that_do_not_exist_are_said_to_with_the_nearest() -> None:
    field = DestinationsField()

    with pytest.raises(forms.ValidationError) as refused:
        field.clean("Wuhann\nAtlantis\n湖北")

    assert refused.value.messages == [
        "No place called “Wuhann” was found. Did you mean Wuhan, Hubei?",
        "No place called “Atlantis” was found.",
    ]


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
        code="110106", name="丰台区", name_en="Fengtai", level="county", parent=group, path=f"{group.path}110106/"
    )

    assert full_label(county) == "Fengtai, Beijing"


def test_an_optional_place_may_be_left_out() -> None:
    assert RegionField(required=False).clean("") is None
