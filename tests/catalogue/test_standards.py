from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.catalogue import reference
from apps.catalogue.standards import (
    Graded,
    Known,
    Reader,
    StandardRemark,
    family_of,
    meets_or_exceeds,
    normalise,
    satisfactions,
)

READER = Reader(Known(row.code, row.grade, row.successor) for row in reference.standard_rows())
RELATION = reference.satisfactions()


def found(text: str) -> list[str]:
    return [cited.code for cited in READER.read(text).cited]


# --- Reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("YY 0469-2011", ["YY 0469-2011"]),
        ("YY0469-2011", ["YY 0469-2011"]),
        ("ＹＹ０４６９－２０１１", ["YY 0469-2011"]),
        ("yyt 0969—2013", ["YY/T 0969-2013"]),
        ("GB/T 19083-2010", ["GB 19083-2010"]),
        ("GB19083-2010 2级", ["GB 19083-2010 Grade 2"]),
        ("GB2626-2019 KN95", ["GB 2626-2019 KN95"]),
        ("YY/T0506-2016", ["YY/T 0506.2-2016"]),
        ("EN149:2001+A1:2009 FFP2", ["EN 149:2001+A1:2009 FFP2"]),
        ("EN 14683 Type IIR", ["EN 14683:2019 Type IIR"]),
        ("ASTM F2100-19 Level 3", ["ASTM F2100 Level 3"]),
        ("AAMI PB70 level 4", ["ANSI/AAMI PB70 Level 4"]),
        ("42 CFR 84 N95", ["NIOSH N95"]),
        ("医用N95", ["NIOSH Surgical N95"]),
        ("KN95口罩", ["GB 2626-2019 KN95"]),
        ("符合GB19083-2010或GB2626-2019标准", ["GB 19083-2010", "GB 2626-2019"]),
        ("3M4565", []),
        ("护目镜", []),
        ("", []),
    ],
)
def test_standards_are_found_however_they_are_spelt(text: str, codes: list[str]) -> None:
    assert found(text) == codes


def test_withdrawn_editions_give_their_successors() -> None:
    for text, code in (
        ("GB 19082-2003", "GB 19082-2009"),
        ("GB19083-2003", "GB 19083-2010"),
        ("GB 2626-2006 KN95", "GB 2626-2019 KN95"),
        ("YY 0469-2004", "YY 0469-2011"),
    ):
        (cited,) = READER.read(text).cited
        assert (cited.code, cited.remark) == (code, StandardRemark.SUPERSEDED)


def test_an_edition_that_never_was_gives_the_one_in_force() -> None:
    (cited,) = READER.read("YY 0469-2010").cited
    assert (cited.code, cited.remark) == ("YY 0469-2011", StandardRemark.OTHER_EDITION)


def test_what_is_no_standard_is_left_over() -> None:
    assert READER.read("灭菌，GB 10213-2006").rest == "灭菌"
    parsed = READER.read("GB 19083-2010, 建议3M 1860/1870/9123,防飞沫血液体液款")
    assert parsed.rest == "建议3M 1860/1870/9123,防飞沫血液体液款"
    assert [cited.remark for cited in parsed.cited] == [None]


def test_a_standard_that_the_catalogue_lacks_is_named_and_kept() -> None:
    parsed = READER.read("GB 99999-2020 加厚")
    assert (parsed.cited, parsed.unknown, parsed.rest) == ((), ("GB 99999-2020",), "GB 99999-2020 加厚")


def test_every_code_of_the_catalogue_reads_as_itself_or_its_successor() -> None:
    for row in reference.standard_rows():
        assert found(row.code) == [row.successor or row.code], row.code


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    parsed = READER.read(text)
    assert all(cited.code in {row.code for row in reference.standard_rows()} for cited in parsed.cited)


@given(st.text("GBY/T -－0123456789EN:+.AISO级 "))
def test_spelling_twice_changes_nothing_more(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


def test_families_ignore_the_letter_for_recommended_standards() -> None:
    assert family_of("YY/T 0969-2013") == family_of("YY 0969") == "YY 0969"
    assert family_of("EN 14683:2019 Type IIR") == "EN 14683"


# --- Meets or exceeds -------------------------------------------------------------------------------------------------

attributes = st.fixed_dictionaries(
    {"kind": st.sampled_from(["respirator", "mask", "gown"])},
    optional={
        "filtration_pct": st.sampled_from([80, 94, 95, 99]),
        "fluid_mmhg": st.sampled_from([80, 120, 160]),
        "oil": st.booleans(),
        "medical": st.booleans(),
        "valve": st.booleans(),
    },
)


@given(attributes)
def test_every_set_of_attributes_meets_itself(own: Mapping[str, object]) -> None:
    assert meets_or_exceeds(own, own)


@given(attributes, attributes, attributes)
def test_who_exceeds_what_exceeds_it_exceeds_it_too(
    best: Mapping[str, object], middle: Mapping[str, object], least: Mapping[str, object]
) -> None:
    if meets_or_exceeds(best, middle) and meets_or_exceeds(middle, least):
        assert meets_or_exceeds(best, least)


@given(attributes, st.sampled_from(["filtration_pct", "fluid_mmhg"]), st.integers(1, 10))
def test_more_is_never_worse_and_less_is_not_enough(own: dict[str, object], name: str, more: int) -> None:
    asked = {**own, name: 95}
    assert meets_or_exceeds({**asked, name: 95 + more}, asked)
    assert not meets_or_exceeds({**asked, name: 95 - more}, asked)


@given(attributes)
def test_what_is_unknown_of_an_offer_does_not_satisfy(own: dict[str, object]) -> None:
    asked = {**own, "sterile": True}
    assert not meets_or_exceeds(own, asked)


def test_a_valve_is_worse_than_none() -> None:
    unvalved, valved = {"kind": "respirator", "valve": False}, {"kind": "respirator", "valve": True}
    assert meets_or_exceeds(unvalved, valved)
    assert not meets_or_exceeds(valved, unvalved)


def test_nothing_is_known_of_goods_without_a_kind() -> None:
    assert not meets_or_exceeds({}, {})
    assert not meets_or_exceeds({"filtration_pct": 99}, {"filtration_pct": 95})


@pytest.mark.parametrize(
    ("offered", "demanded"),
    [
        ("GB 19083-2010", "NIOSH Surgical N95"),
        ("NIOSH Surgical N95", "NIOSH N95"),
        ("NIOSH Surgical N95", "GB 2626-2019 KN95"),
        ("NIOSH Surgical N95", "EN 149:2001+A1:2009 FFP2"),
        ("GB 19083-2010 Grade 3", "GB 19083-2010"),
        ("YY 0469-2011", "YY/T 0969-2013"),
        ("EN 14683:2019 Type IIR", "EN 14683:2019 Type I"),
        ("ASTM F2100 Level 2", "YY 0469-2011"),
        ("GB 19083-2010", "YY/T 0969-2013"),
        ("GB 19082-2009", "ANSI/AAMI PB70 Level 3"),
    ],
)
def test_the_better_standard_satisfies_and_the_other_way_round_not(offered: str, demanded: str) -> None:
    assert (offered, demanded) in RELATION
    assert (demanded, offered) not in RELATION


@pytest.mark.parametrize(
    ("offered", "demanded"),
    [
        ("GB 2626-2019 KN95", "GB 19083-2010"),  # no blood test
        ("GB 2626-2019 KN95", "YY/T 0969-2013"),  # may have a valve
        ("GB 19083-2010", "YY 0469-2011"),  # 80 mmHg of blood, not 120
        ("GB 19082-2009", "ANSI/AAMI PB70 Level 4"),
        ("GB 14866-2006", "EN 166:2001"),  # nothing comparable is known
        ("GB 19083-2003", "GB 19083-2010"),  # withdrawn
        ("GB 10213-2006", "YY 0469-2011"),
    ],
)
def test_what_is_not_known_to_be_as_good_does_not_satisfy(offered: str, demanded: str) -> None:
    assert (offered, demanded) not in RELATION


def test_the_relation_is_reflexive_and_a_new_edition_satisfies_the_old() -> None:
    rows = reference.standard_rows()
    assert {(row.code, row.code) for row in rows} <= RELATION
    assert {(row.successor, row.code) for row in rows if row.successor} <= RELATION


def test_explicit_pairs_are_kept_as_they_are() -> None:
    a, b = Graded("A", {}), Graded("B", {})
    assert satisfactions([a, b], [("A", "B")]) == {("A", "A"), ("B", "B"), ("A", "B")}
