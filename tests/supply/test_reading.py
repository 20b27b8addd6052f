import pytest

from apps.accounts.models import Organisation, User
from apps.catalogue.models import ItemAlias
from apps.core.errors import RuleViolation
from apps.supply.models import Offer
from apps.supply.reading import read_rows, save_rows
from tests.factories import ItemFactory, region, standard_of

pytestmark = pytest.mark.django_db


def test_names_in_either_language_aliases_and_places_find_their_rows(maker: Organisation, supplier: User) -> None:
    mask = ItemFactory.create()
    ItemAlias.objects.create(item=mask, language="zh", text="外科口罩")
    standard = standard_of(mask)
    region("420100")
    data = "物资,数量,标准,发往\n外科口罩,100,yy0469-2011,武汉市\nsurgical MASK,5,,\n".encode()

    sheet = read_rows(maker, data, by=supplier)

    assert sheet.errors == {}
    assert [row.facts for row in sheet.rows] == [
        {"item": mask, "quantity": 100, "standard": standard, "ships_to": ["420100"]},
        {"item": mask, "quantity": 5},
    ]
    assert not Offer.objects.exists()


def test_an_import_is_all_or_nothing_and_names_each_fault(maker: Organisation, supplier: User) -> None:
    ItemFactory.create()
    data = b"item,quantity,ships_to\nmask.surgical,100,\nmask.surgcal,x,Atlantis\n"

    with pytest.raises(RuleViolation) as violation:
        save_rows(maker, read_rows(maker, data, by=supplier), by=supplier)

    assert {key: [str(text) for text in texts] for key, texts in violation.value.errors.items()} == {
        "3.quantity": ["“x” is not a whole number."],
        "3.item": ["There is no item “mask.surgcal”. Did you mean Surgical mask?"],
        "3.ships_to": ["There is no region “Atlantis”."],
    }
    assert not Offer.objects.exists()


def test_preview_and_import_name_what_keeps_a_row_from_being_published(maker: Organisation, supplier: User) -> None:
    ItemFactory.create()
    data = b"item,quantity,certificate valid until\nmask.surgical,100,2999-01-01\nmask.surgical,100,2020-01-01\n"
    expected = {"3.certificate_valid_until": ["The certificate has expired."]}

    assert read_rows(maker, data, by=supplier, publish=True).errors == expected
    with pytest.raises(RuleViolation) as violation:
        save_rows(maker, read_rows(maker, data, by=supplier, publish=True), by=supplier, publish=True)
    assert (violation.value.code, violation.value.errors) == ("rows_invalid", expected)
    assert not Offer.objects.exists()

    assert read_rows(maker, data, by=supplier).errors == {}  # a draft may wait for its new certificate
    assert len(save_rows(maker, read_rows(maker, data, by=supplier), by=supplier)) == 2


def test_a_clean_sheet_becomes_drafts_or_published_offers(maker: Organisation, supplier: User) -> None:
    ItemFactory.create()
    data = b"item,quantity\nmask.surgical,100\n"

    save_rows(maker, read_rows(maker, data, by=supplier), by=supplier)
    save_rows(maker, read_rows(maker, data, by=supplier, publish=True), by=supplier, publish=True)

    assert list(Offer.objects.order_by("pk").values_list("state", "quantity")) == [("draft", 100), ("published", 100)]


def test_an_unknown_region_is_named_with_the_nearest_and_their_codes(maker: Organisation, supplier: User) -> None:
    ItemFactory.create()
    region("420106")
    data = "item,quantity,ships_to,origin_region\nmask.surgical,100,Wuhann,武汉经济技术区\n".encode()

    sheet = read_rows(maker, data, by=supplier)

    assert sheet.errors == {
        "2.ships_to": ["There is no region “Wuhann”. Did you mean 420100 (Wuhan, Hubei)?"],
        "2.origin_region": ["There is no region “武汉经济技术区”. Did you mean 420100 (Wuhan, Hubei)?"],
    }


def test_regions_are_called_as_people_call_them(maker: Organisation, supplier: User) -> None:
    ItemFactory.create()
    region("420106")
    rows = "".join(
        f"mask.surgical,100,{name},湖北省武汉市\n" for name in ("湖北", "武汉", "武汉市武昌区", "Wuhan", "420100")
    )

    sheet = read_rows(maker, f"item,quantity,ships_to,origin_region\n{rows}".encode(), by=supplier)

    assert sheet.errors == {}
    assert [row.facts["ships_to"] for row in sheet.rows] == [
        ["420000"], ["420100"], ["420106"], ["420100"], ["420100"],
    ]  # fmt: skip
    assert {row.facts["origin_region"].pk for row in sheet.rows} == {"420100"}
