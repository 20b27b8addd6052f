import io

import pytest
from django.core.management import call_command

from apps.catalogue.models import Item, ItemAlias, Region, Satisfaction, Standard
from apps.catalogue.services import catalogue_version, load_reference

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reference_data")]


def test_loading_twice_changes_nothing_and_says_so() -> None:
    version = catalogue_version()

    again = load_reference()
    assert [(table.added, table.changed) for table in again] == [(0, 0)] * len(again)
    assert catalogue_version() == version

    said = io.StringIO()
    call_command("load_reference", stdout=said)
    assert said.getvalue().splitlines()[-1] == "Nothing to change."


def test_loading_fills_every_table_and_mends_only_what_it_brought() -> None:
    assert Region.objects.filter(path__startswith="CN/").exclude(code__contains="-").count() == 3512  # and the country
    assert Region.objects.get(pk="429004").parent_id == "420000"
    assert Standard.objects.get(code="YY 0469-2004").succeeded_by == Standard.objects.get(code="YY 0469-2011")
    assert Satisfaction.objects.filter(offered__code="YY 0469-2011", demanded__code="YY/T 0969-2013").exists()

    item = Item.objects.get(key="mask.surgical")
    ItemAlias.objects.create(item=item, language="zh", text="我们医院的叫法")
    Item.objects.filter(pk=item.pk).update(name_en="wrong")
    before = catalogue_version()

    changed = [(table.table, table.added, table.changed) for table in load_reference() if table.added or table.changed]
    assert changed == [("items", 0, 1)]
    item.refresh_from_db()
    assert item.name_en == "surgical mask"
    assert ItemAlias.objects.filter(text="我们医院的叫法").exists()
    assert catalogue_version() != before
