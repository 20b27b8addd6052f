"""How much of a board is understood, and that nothing of it is lost, however badly it is written."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.boards.board import (
    CARRIERS,
    FACTORIES,
    FILES,
    HOSPITALS,
    Board,
    BoardLine,
    ItemMeasure,
    RemarkCode,
    Vocabulary,
    read_file,
)
from apps.boards.mapping import map_board, read_board
from apps.boards.reading import MOST, NotANumber, kind_of, written_quantity
from apps.catalogue import reference, regions, standards
from apps.catalogue.recognition import Names

WUHAN = Path(__file__).parents[1] / "data" / "wuhan2020"


def whole_vocabulary() -> Vocabulary:
    """The catalogue as it comes with the program, without a database."""
    items = [row for row in reference.items() if row.key != "other"]
    rows = reference.standard_rows()
    return Vocabulary(
        names=Names((row.key, name) for row in items for names in row.names.values() for name in names),
        reader=standards.Reader(standards.Known(row.code, row.grade, row.successor) for row in rows),
        gazetteer=regions.Gazetteer(
            regions.GazetteerEntry(row.code, row.name, row.path) for row in reference.region_rows()
        ),
        items_of={row.code: row.items for row in rows},
        categories={row.key: row.category for row in items},
        measures={
            row.key: ItemMeasure(
                row.unit,
                row.is_consumable,
                {name: size for zh, en, size in reversed(row.packs) for name in (zh, en)},
            )
            for row in items
        },
    )


VOCABULARY = whole_vocabulary()


def hospital(*lines: Any, **fields: Any) -> dict[str, Any]:
    return {
        "province": "湖北",
        "city": "武汉市",
        "district": "武昌区",
        "name": "甲医院",
        "supplies": list(lines),
    } | fields


def board_of(*hospitals: Any, factories: list[Any] | None = None, carriers: list[Any] | None = None) -> Board:
    return map_board({HOSPITALS: list(hospitals), FACTORIES: factories or [], CARRIERS: carriers or []}, VOCABULARY)


def only_line(*lines: Any) -> BoardLine:
    (line,) = board_of(hospital(*lines)).lines(HOSPITALS)
    return line


def whys(board: Board) -> list[RemarkCode]:
    return [remark.code for remark in board.remarks]


# --- The real board ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wuhan() -> Board:
    return read_board(WUHAN, VOCABULARY)


def test_every_line_of_the_real_board_is_there_and_nearly_all_understood(wuhan: Board) -> None:
    assert dict(wuhan.rows) == {HOSPITALS: 162, FACTORIES: 21, CARRIERS: 22}
    lines = wuhan.lines(HOSPITALS)
    specified = [line for line in lines if line.specification]
    assert (len(lines), len(specified), len(wuhan.lines(FACTORIES))) == (1473, 598, 24)
    assert sum(line.item is not None for line in lines) / len(lines) >= 0.97
    assert sum(line.standard is not None for line in specified) / len(specified) >= 0.95


def test_each_line_without_a_standard_is_listed_with_reason_and_words(wuhan: Board) -> None:
    remarked = {
        (remark.row, remark.line)
        for remark in wuhan.remarks
        if remark.file == HOSPITALS
        and remark.code in {RemarkCode.STANDARD_NONE, RemarkCode.STANDARD_OF_OTHER_ITEM, RemarkCode.STANDARD_UNKNOWN}
    }
    lacking = [line for line in wuhan.lines(HOSPITALS) if line.specification and not line.standard]
    assert {(line.row, line.number) for line in lacking} == remarked
    assert all(line.specification in line.note for line in lacking)


def test_the_number_one_on_a_consumable_means_unknown(wuhan: Board) -> None:
    ones = json.loads((WUHAN / HOSPITALS).read_text(encoding="utf-8"))
    raw = [line.get("value") for row in ones for line in row["supplies"]]
    by_value = Counter(
        (value, line.quantity)
        for value, line in zip(raw, (line for row in _by_row(wuhan) for line in row), strict=True)
        if value in {1, None} and line.item and VOCABULARY.measures[line.item].is_consumable
    )
    assert {quantity for (_value, quantity) in by_value} == {None}
    equipment = [line for line in wuhan.lines(HOSPITALS) if line.item == "dev.uv"]
    assert {line.quantity for line in equipment} == {1}


def _by_row(board: Board) -> list[list[BoardLine]]:
    rows: dict[int, list[BoardLine]] = {}
    for line in board.lines(HOSPITALS):
        rows.setdefault(line.row, []).append(line)
    return [sorted(rows[row], key=lambda line: line.number) for row in sorted(rows)]


def test_places_of_the_real_board_are_found(wuhan: Board) -> None:
    parties = {party.name: party.region for party in wuhan.parties}
    assert parties["仙桃市第一人民医院"] == "429004"
    assert parties["潜江市红十字会"] == "429005"
    assert parties["天门市第一人民医院"] == "429006"
    assert parties["松滋市中医院"] == "421087"
    assert parties["武汉市第四人民医院"] == "420100"
    assert parties["西安天隆科技有限公司"] == "610100"
    assert parties["安徽同科生物科技有限公司"] == "341524"
    assert parties["贵州丰茂物流"] == "520000"
    assert RemarkCode.PLACE_UNKNOWN not in whys(wuhan)


def test_one_hospital_in_two_rows_is_one_and_two_of_one_name_are_two(wuhan: Board) -> None:
    rows = {party.name: party.rows for party in wuhan.parties if len(party.rows) > 1}
    assert rows == {
        "团风县人民医院": (18, 31),
        "武穴市第一人民医院": (23, 53),
        "蕲春县人民医院": (26, 54),
        "西安天隆科技有限公司": (10, 20),
    }
    assert len([party for party in wuhan.parties if party.name == "红十字会"]) == 2


def test_a_factorys_specification_and_certificate_are_read(wuhan: Board) -> None:
    (maker,) = [party for party in wuhan.parties if party.name.startswith("日照三奇")]
    assert [(line.item, line.quantity) for line in maker.lines] == [
        ("mask.medical.disposable", 1_000_000),
        ("resp.particulate", 50_000),
        ("suit.protective", 5_000),
    ]
    certified = [line for line in wuhan.lines(FACTORIES) if line.certificate]
    assert len(certified) == 17  # sixteen rows, one of two lines
    assert RemarkCode.CERTIFICATE_UNREADABLE not in whys(wuhan)


def test_whoever_posts_is_of_the_kind_its_name_says() -> None:
    assert kind_of("武汉市第一医院") == "hospital"
    assert kind_of("刘河镇卫生院") == "health_facility"
    assert kind_of("湖北省红十字会") == "community"
    assert kind_of("中建三局三公司（抢建火神山项目部）") == "enterprise"
    assert kind_of("某处") == "hospital"


def test_reading_twice_gives_the_same_keys_and_they_are_all_different(wuhan: Board) -> None:
    again = read_board(WUHAN, VOCABULARY)
    assert again == wuhan
    keys = [party.key for party in wuhan.parties] + [line.key for party in wuhan.parties for line in party.lines]
    assert len(set(keys)) == len(keys)


# --- Lines of other boards --------------------------------------------------------------------------------------------


def test_a_general_name_is_made_special_by_its_standard_or_specification() -> None:
    assert only_line({"key": "口罩", "value": 500, "specification": "GB 19083-2010"}).item == "resp.medical"
    assert only_line({"key": "口罩", "value": 500}).item == "mask.medical.disposable"
    assert only_line({"key": "手套", "value": 500, "specification": "GB 7543-2006"}).item == "glove.surgical"
    assert only_line({"key": "医用口罩", "value": 500, "specification": "YY0469-2011"}).item == "mask.surgical"
    assert only_line({"key": "手套", "value": 500, "specification": "无菌"}).item == "glove.surgical"
    assert only_line({"key": "医用酒精", "value": 500, "specification": "95%"}).item == "dis.alcohol95"
    gloves = only_line({"key": "手套", "value": 500, "specification": "GB 19083-2010"})
    assert (gloves.item, gloves.standard, gloves.note) == ("glove.exam", None, "GB 19083-2010")


def test_more_may_be_asked_of_an_item_than_its_own_standard() -> None:
    plain = only_line({"key": "普通医用口罩", "value": 500, "specification": "YY0469-2011"})
    assert (plain.item, plain.standard) == ("mask.medical.disposable", "YY 0469-2011")
    respirator = only_line({"key": "医用防护口罩", "value": 500, "specification": "N95"})
    assert (respirator.item, respirator.standard) == ("resp.medical", "NIOSH N95")


def test_a_line_without_an_item_keeps_its_words() -> None:
    board = board_of(hospital({"key": "心理咨询", "value": 3, "specification": "线上"}))
    (line,) = board.lines(HOSPITALS)
    assert (line.item, line.note) == (None, "心理咨询；线上")
    assert whys(board) == [RemarkCode.ITEM_UNKNOWN, RemarkCode.STANDARD_NONE]


def test_a_standard_of_another_item_is_kept_as_a_note() -> None:
    board = board_of(hospital({"key": "防护服", "specification": "GB19083-2010"}))
    (line,) = board.lines(HOSPITALS)
    assert (line.item, line.standard, line.note) == ("suit.protective", None, "GB19083-2010")
    assert whys(board) == [RemarkCode.STANDARD_OF_OTHER_ITEM]


def test_liquids_without_a_unit_are_taken_as_usual_bottles() -> None:
    line = only_line({"key": "84消毒液", "value": 100})
    assert (line.quantity, line.is_estimate, line.note) == (50_000, True, "100 × 500")


@pytest.mark.parametrize(
    ("value", "quantity"),
    [
        (500, 500),
        ("500", 500),
        ("1,000", 1000),
        ("2万", 20_000),
        ("500个", 500),
        ("５００", 500),
        (500.0, 500),
        ("+5", 5),
    ],
)
def test_quantities_are_read_as_people_write_them(value: Any, quantity: int) -> None:
    assert only_line({"key": "医用外科口罩", "value": value}).quantity == quantity


@pytest.mark.parametrize(
    "value", ["abc", True, [5], {"n": 5}, 1.5, float("nan"), float("inf"), "-5", -5, 0, 10**18, "9" * 5000]
)
def test_an_impossible_quantity_is_unknown_and_kept_as_written(value: Any) -> None:
    board = board_of(hospital({"key": "医用外科口罩", "value": value}, {"key": "手术衣", "value": 7}))
    bad, good = board.lines(HOSPITALS)
    assert (bad.item, bad.quantity, good.quantity) == ("mask.surgical", None, 7)
    assert bad.note
    (remark,) = [
        remark
        for remark in board.remarks
        if remark.code in {RemarkCode.QUANTITY_UNREADABLE, RemarkCode.QUANTITY_IMPOSSIBLE}
    ]
    assert (remark.row, remark.line) == (1, 1)


@pytest.mark.parametrize(
    ("key", "value", "quantity", "is_estimate"),
    [
        ("医用外科口罩", "500只", 500, False),
        ("医用外科口罩", "500盒", 25_000, True),
        ("医用外科口罩", "2万个", 20_000, False),
        ("医用外科口罩", "1箱", 2_000, True),
        ("检查手套", "500双", 1_000, False),
        ("手术手套", "500双", 500, False),
        ("75%酒精", "20升", 20_000, False),
        ("75%酒精", "20瓶", 10_000, True),
        ("84消毒液", "3桶", 75_000, True),
        ("熔喷布", "5吨", 5_000_000, False),
        ("呼吸机", "1台", 1, False),
        ("医用外科口罩", "500车", None, False),
    ],
)
def test_units_and_packs_beside_a_number_are_counted_in_base_units(
    key: str, value: str, quantity: int | None, is_estimate: bool
) -> None:
    line = only_line({"key": key, "value": value})
    assert (line.quantity, line.is_estimate) == (quantity, is_estimate)


def test_a_standard_that_stands_in_the_name_is_read() -> None:
    line = only_line({"key": "N95口罩 GB19083-2010", "value": 500})
    assert (line.item, line.standard) == ("resp.medical", "GB 19083-2010")
    line = only_line({"key": "医用外科口罩（YY 0469-2011）", "value": 500})
    assert (line.item, line.standard) == ("mask.surgical", "YY 0469-2011")


@pytest.mark.parametrize("value", [None, "", "若干", "不限"])
def test_a_quantity_that_nobody_gives_is_simply_unknown(value: Any) -> None:
    board = board_of(hospital({"key": "医用外科口罩", "value": value}))
    assert board.lines(HOSPITALS)[0].quantity is None
    assert whys(board) == []


def test_rows_that_are_none_are_named_by_number_and_cost_only_themselves() -> None:
    board = board_of("text", None, {"supplies": []}, hospital({"key": "手术衣"}), ["x"], {"name": "  "})
    assert [(remark.row, remark.code) for remark in board.remarks] == [
        (1, RemarkCode.NOT_AN_OBJECT),
        (2, RemarkCode.NOT_AN_OBJECT),
        (3, RemarkCode.NAME_MISSING),
        (5, RemarkCode.NOT_AN_OBJECT),
        (6, RemarkCode.NAME_MISSING),
    ]
    assert [party.name for party in board.parties] == ["甲医院"]


def test_lines_that_are_none_become_lines_all_the_same() -> None:
    board = board_of(hospital("手术衣", 5, None, {}, {"value": 3}, {"key": ["口罩"]}))
    assert [line.item for line in board.lines(HOSPITALS)] == ["gown.surgical", None, None, None, None, None]
    assert all(line.note for line in board.lines(HOSPITALS) if line.number in {2, 6})

    as_mapping = board_of(hospital() | {"supplies": {"手术衣": 5, "口罩": 6}})
    assert [(line.item, line.quantity) for line in as_mapping.lines(HOSPITALS)] == [
        ("gown.surgical", 5),
        ("mask.medical.disposable", 6),
    ]


def test_the_same_line_again_is_marked_not_dropped() -> None:
    line = {"key": "手术衣", "value": 5}
    board = board_of(hospital(line), hospital(line, {"key": "口罩", "value": 9}))
    (party,) = board.parties
    assert [(each.row, each.is_repeated) for each in party.lines] == [(1, False), (2, True), (2, False)]
    assert len({each.key for each in party.lines}) == 3
    assert whys(board) == [RemarkCode.LINE_REPEATED]


def test_what_no_field_is_made_for_stays_in_the_notes() -> None:
    board = board_of(hospital({"key": "手术衣", "colour": "蓝"}, remark="请走西门", contactName="王", phone="027-1"))
    (party,) = board.parties
    assert (party.contact_name, party.contact_phone) == ("王", "027-1")
    assert party.lines[0].note == '{"colour": "蓝"}；{"remark": "请走西门"}'
    assert [(remark.code, remark.about) for remark in board.remarks] == [(RemarkCode.FIELD_UNUSED, "remark × 1")]


def test_characters_that_no_database_holds_are_mended_and_said() -> None:
    board = board_of(hospital({"key": "手术\0衣", "specification": "蓝\ud800色"}, name="甲\0医院"))
    (party,) = board.parties
    assert (party.name, party.lines[0].item) == ("甲医院", "gown.surgical")
    assert "\0" not in party.lines[0].note and "\ud800" not in party.lines[0].note  # noqa: PT018  one fact in two characters
    assert whys(board).count(RemarkCode.TEXT_MENDED) >= 3


def test_text_that_is_too_long_is_cut_and_said() -> None:
    board = board_of(hospital({"key": "手术衣", "specification": "长" * 5000}, name="医" * 500, address="街" * 900))
    (party,) = board.parties
    assert (len(party.name), len(party.address)) == (200, 300)
    assert len(party.lines[0].note) <= 2000
    assert RemarkCode.TEXT_CUT in whys(board)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
lines = st.fixed_dictionaries(
    {}, optional={"key": anything, "value": anything, "specification": anything, "x": anything}
)
rows = anything | st.fixed_dictionaries(
    {"name": st.text(min_size=1)},
    optional={
        "province": anything, "city": anything, "district": anything, "address": anything, "date": anything,
        "qualification": anything, "from": anything, "dest": anything, "area": anything,
        "supplies": st.lists(lines, max_size=3) | anything,
    },
)  # fmt: skip


@given(st.lists(rows, max_size=4), st.lists(rows, max_size=3), st.lists(rows, max_size=3))
def test_any_json_is_read_and_every_line_comes_out(
    hospitals: list[Any], factories: list[Any], carriers: list[Any]
) -> None:
    board = board_of(*hospitals, factories=factories, carriers=carriers)
    named = [
        row
        for row in hospitals
        if isinstance(row, dict) and isinstance(row.get("name"), str) and row["name"].replace("\0", "").strip()
    ]
    given_lines = sum(len(row["supplies"]) for row in named if isinstance(row.get("supplies"), list))
    assert len(board.lines(HOSPITALS)) >= given_lines
    for party in board.parties:
        party.name.encode()
        for line in party.lines:
            line.note.encode()
            assert line.quantity is None or 0 < line.quantity <= MOST


@given(anything)
def test_any_value_is_a_quantity_or_unreadable(value: Any) -> None:
    try:
        amount = written_quantity(value)
    except NotANumber:
        return
    assert amount is None or isinstance(amount.number, int)


# --- Files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_files_are_read_in_every_encoding_boards_come_in(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / HOSPITALS
    file.write_bytes(json.dumps([hospital()], ensure_ascii=False).encode(encoding))
    assert read_file(file) == ([hospital()], [])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", RemarkCode.FILE_UNREADABLE),
        (b"[{", RemarkCode.FILE_UNREADABLE),
        (b"[" * 100_000, RemarkCode.FILE_UNREADABLE),
        (b"\xff\xff\xff", RemarkCode.FILE_UNREADABLE),
        (b'{"a": 1}', RemarkCode.NOT_A_LIST),
        (b"null", RemarkCode.NOT_A_LIST),
    ],
)
def test_a_broken_file_is_named_and_costs_only_itself(tmp_path: Path, content: bytes, code: RemarkCode) -> None:
    (tmp_path / HOSPITALS).write_bytes(content)
    (tmp_path / FACTORIES).write_bytes(b'[{"name": "F"}]')
    board = read_board(tmp_path, VOCABULARY)
    assert {(remark.file, remark.code) for remark in board.remarks} >= {
        (HOSPITALS, code),
        (CARRIERS, RemarkCode.FILE_MISSING),
    }
    assert [party.name for party in board.parties] == ["F"]
    assert set(board.rows) == set(FILES)


def test_one_number_of_absurd_length_does_not_spoil_the_file(tmp_path: Path) -> None:
    file = tmp_path / HOSPITALS
    file.write_text(
        '[{"name": "甲医院", "supplies": [{"key": "手术衣", "value": ' + "9" * 10_000 + "}]}]", encoding="utf-8"
    )
    (line,) = read_board(tmp_path, VOCABULARY).lines(HOSPITALS)
    assert (line.item, line.quantity) == ("gown.surgical", None)
