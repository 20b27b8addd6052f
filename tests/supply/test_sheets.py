import contextlib
import datetime as dt
import io
import time
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.supply import sheets
from apps.supply.cells import CellFault
from apps.supply.sheets import Row, UnreadableError


def xlsx(*rows: list[Any]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def test_a_csv_with_english_headers_is_read_in_any_order_of_columns() -> None:
    sheet = sheets.read(b'quantity,item,Colour\n"1,000",mask.surgical,blue\n\n50,mask.n95,\n')

    assert sheet.rows == [
        Row(2, {"quantity": 1000, "item": "mask.surgical"}),
        Row(4, {"quantity": 50, "item": "mask.n95"}),
    ]
    assert sheet.unknown_columns == ["Colour"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_chinese_headers_are_understood_in_every_usual_encoding(encoding: str) -> None:
    text = "物资名称;数量;单价;是否捐赠;证书有效期\n医用口罩;1.5万;￥2.50;否;2027年1月31日\n"

    sheet = sheets.read(text.encode(encoding))

    assert sheet.rows == [
        Row(
            2,
            {
                "item": "医用口罩",
                "quantity": 15_000,
                "unit_price": Decimal("2.5000"),
                "is_donation": False,
                "certificate_valid_until": dt.date(2027, 1, 31),
            },
        )
    ]


def test_an_xlsx_gives_the_same_rows() -> None:
    data = xlsx(
        ["item", "quantity", "unit_price", "certificate_valid_until", "certificate_number", "ships_to"],
        ["mask.surgical", 1000.0, 2.5, dt.datetime(2027, 1, 31), 20162640123, "420000、110000"],  # noqa: DTZ001  as in a sheet
    )

    assert sheets.read(data).rows == [
        Row(
            2,
            {
                "item": "mask.surgical",
                "quantity": 1000,
                "unit_price": Decimal("2.5000"),
                "certificate_valid_until": dt.date(2027, 1, 31),
                "certificate_number": "20162640123",
                "ships_to": ["420000", "110000"],
            },
        )
    ]


def test_each_fault_is_kept_with_its_row_and_column() -> None:
    sheet = sheets.read(b"item,quantity,lead_time_days,currency\n,many,1e99,yuan\nmask,0,-1,cny\n")

    assert [row.faults for row in sheet.rows] == [
        {
            "item": CellFault("missing"),
            "quantity": CellFault("not_whole", "many"),
            "lead_time_days": CellFault("not_whole", "1e99"),
            "currency": CellFault("not_a_currency", "yuan"),
        },
        {"quantity": CellFault("out_of_range", "0"), "lead_time_days": CellFault("out_of_range", "-1")},
    ]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"item,quantity\n", "empty"),
        (b"item,amount\nmask,1\n", "columns_missing"),
        ("item,quantity,数量\nmask,1,1\n".encode(), "columns_doubled"),
        (b'item,quantity\n"mask,1\n', "unreadable"),
        (b"item,quantity\nma\0sk,1\n", "unreadable"),
        (b"\xff\xfe\x00", "unreadable"),
        (b"PK\x03\x04 but no zip", "unreadable"),
        (b"item,quantity\n" + b"mask,1\n" * (sheets.MAX_ROWS + 1), "too_long"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(data: bytes, code: str) -> None:
    with pytest.raises(UnreadableError) as problem:
        sheets.read(data)

    assert problem.value.code == code


def test_a_tiny_xlsx_cannot_name_a_sheet_of_billions_of_cells() -> None:
    book = openpyxl.Workbook()
    for number in range(1, 400):
        book.worksheets[0].cell(number, 16_384).font = openpyxl.styles.Font(bold=True)
    book.worksheets[0].cell(1_048_576, 1, "mask")
    file = io.BytesIO()
    book.save(file)

    began = time.process_time()
    with pytest.raises(UnreadableError) as problem:
        sheets.read(file.getvalue())

    assert problem.value.code == "too_long"
    assert time.process_time() - began < 1


def test_a_csv_of_nothing_but_lines_is_too_long() -> None:
    with pytest.raises(UnreadableError) as problem:
        sheets.read(b"item,quantity\n" + b",\n" * 100_000 + b"mask,1\n")

    assert problem.value.code == "too_long"


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with contextlib.suppress(UnreadableError):
        sheets.read(b"item,quantity,unit_price,ships_to\n" + data)


@given(st.one_of(st.text(max_size=30), st.floats(), st.integers(), st.booleans(), st.dates(), st.datetimes()))
def test_every_parser_answers_every_cell(cell: Any) -> None:
    for parse in sheets.PARSERS.values():
        parse(cell)
