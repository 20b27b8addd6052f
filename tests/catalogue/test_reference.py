from collections import Counter

from apps.catalogue import reference
from apps.catalogue.recognition import plain
from apps.catalogue.regions import GROUPINGS

ITEMS = {row.key: row for row in reference.items()}
STANDARDS = {row.code: row for row in reference.standard_rows()}
REGIONS = {row.code: row for row in reference.region_rows()}


def test_every_item_has_names_in_both_languages_a_unit_and_a_category() -> None:
    for row in ITEMS.values():
        assert all(row.names[language] for language in ("zh", "en")), row.key
        assert row.unit in reference.units(), row.key
        assert row.category in reference.categories(), row.key
        assert row.trial_lot > 0, row.key
        assert all(size > 1 for _zh, _en, size in row.packs), row.key


def test_no_name_belongs_to_two_items() -> None:
    owners = Counter(
        (name, key)
        for key, row in ITEMS.items()
        for name in {plain(name) for names in row.names.values() for name in names}
    )
    names = Counter(name for name, _key in owners)
    assert [name for name, times in names.items() if times > 1] == []


def test_every_item_is_recognised_by_its_own_names() -> None:
    from apps.catalogue.recognition import Names

    names = Names((key, name) for key, row in ITEMS.items() for each in row.names.values() for name in each)
    for key, row in ITEMS.items():
        for each in row.names.values():
            for name in each:
                found = names.recognise(name)
                assert found is not None, name
                assert found.key == key, (name, found)


def test_standards_name_items_and_successors_that_exist() -> None:
    for row in STANDARDS.values():
        assert set(row.items) <= set(ITEMS), row.code
        assert row.successor is None or STANDARDS[row.successor].successor is None, row.code
    assert {code for pair in reference.satisfactions() for code in pair} == set(STANDARDS)


def test_substitutes_are_other_items_counted_in_the_same_unit() -> None:
    for row in reference.substitutions():
        offered, demanded = ITEMS[row["offered"]], ITEMS[row["demanded"]]
        assert offered.key != demanded.key
        assert offered.unit == demanded.unit, row


def test_every_place_of_china_has_an_english_name_and_coordinates() -> None:
    inside = [row for row in REGIONS.values() if row.path.startswith("CN/") and row.code.isdigit()]
    assert len(inside) == 3511
    for row in inside:
        assert row.name_en, row.code
        assert not any("一" <= letter <= "鿿" for letter in row.name_en), row.code
        assert 3 < (row.latitude or 0) < 54, row.code
        assert 73 < (row.longitude or 0) < 136, row.code


def test_a_place_has_one_code_only() -> None:
    assert not [code for code in REGIONS if code.startswith("CN-")]
    assert {"TW", "HK", "MO"} & set(REGIONS) == set()
    assert REGIONS["TW-TPE"].path == "CN/710000/TW-TPE/"


def test_the_rest_of_the_world_is_there_in_both_languages() -> None:
    assert (REGIONS["IT"].name, REGIONS["IT"].name_en) == ("意大利", "Italy")
    assert (REGIONS["IT-25"].name_en, REGIONS["IT-25"].level, REGIONS["IT-25"].parent) == (
        "Lombardia",
        "province",
        "IT",
    )
    assert REGIONS["IT-BG"].path == "IT/IT-25/IT-BG/"
    assert [row.code for row in REGIONS.values() if row.level == "country" and row.latitude is None] == [
        "AQ", "BV", "CC", "CX", "GS", "HM", "PN", "SJ", "TF", "UM",
    ]  # fmt: skip


def test_parents_come_before_their_children() -> None:
    seen: set[str] = set()
    for row in reference.region_rows():
        assert row.parent is None or row.parent in seen, row.code
        seen.add(row.code)


def test_the_districts_of_the_story_have_the_names_people_type() -> None:
    assert REGIONS["110102"].name_en == "Xicheng District"
    assert REGIONS["429004"].name_en == "Xiantao"
    assert REGIONS["140400"].name_en == "Changzhi"
    assert all(name in {row.name for row in REGIONS.values()} for name in GROUPINGS)
