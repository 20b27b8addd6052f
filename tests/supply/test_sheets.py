import contextlib
import datetime as dt
import io
import resource
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.supply import sheets, workbook
from apps.supply.cells import CellFault
from apps.supply.sheets import SheetRow, UnreadableError


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
        SheetRow(2, {"quantity": 1000, "item": "mask.surgical"}),
        SheetRow(4, {"quantity": 50, "item": "mask.n95"}),
    ]
    assert sheet.unknown_columns == ["Colour"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_chinese_headers_are_understood_in_every_usual_encoding(encoding: str) -> None:
    text = "物资名称;数量;单价;是否捐赠;证书有效期\n医用口罩;1.5万;￥2.50;否;2027年1月31日\n"

    sheet = sheets.read(text.encode(encoding))

    assert sheet.rows == [
        SheetRow(
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
        SheetRow(
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

    began = seconds_of_children()
    with pytest.raises(UnreadableError) as problem:
        sheets.read(file.getvalue())

    assert problem.value.code == "too_long"
    assert seconds_of_children() - began < 2


def seconds_of_children() -> float:
    """Of the processor, used by the processes that we started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def with_part(name: str, before: str, piece: str, times: int) -> bytes:
    """A workbook of a few kilobytes in which a part has a piece very often."""
    data = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(xlsx(["item", "quantity"], ["mask", 1]))) as book,
        zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new,
    ):
        for part in book.namelist():
            text = book.read(part).decode()
            new.writestr(part, text.replace(before, piece * times + before) if part == name else text)
    return data.getvalue()


def test_a_small_workbook_that_takes_minutes_is_given_up() -> None:
    # Before there was a limit this one took more than two minutes.
    data = with_part("xl/styles.xml", "</cellXfs>", "<xf/>", 5_500_000)
    assert len(data) < 60_000

    began = seconds_of_children()
    with pytest.raises(UnreadableError) as problem:
        sheets.read(data)

    assert problem.value.code == "too_costly"
    assert seconds_of_children() - began < workbook.CPU_SECONDS + 1


def test_a_small_workbook_of_24_million_characters_is_given_up() -> None:
    cell = f'<c t="inlineStr"><is><t>{"x" * 4000}</t></is></c>'
    data = with_part("xl/worksheets/sheet1.xml", "</sheetData>", f"<row>{cell * 100}</row>", 60)
    assert len(data) < 200_000

    with pytest.raises(UnreadableError) as problem:
        sheets.read(data)

    assert problem.value.code == "too_long"


def test_a_workbook_reads_no_other_file(tmp_path: Path) -> None:
    """XML may name a file outside of it, which a careless parser puts into the text."""
    secret = tmp_path / "secret"
    secret.write_text("told", encoding="utf-8")
    entity = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{secret}">]>'.encode()
    source, changed = io.BytesIO(xlsx(["item", "quantity"], ["mask.n95", 1])), io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            if name == "xl/sharedStrings.xml":
                part = entity + part.replace(b"mask.n95", b"&e;")
                assert b"&e;" in part
            new.writestr(name, part)

    with contextlib.suppress(UnreadableError):
        assert "told" not in str(sheets.read(changed.getvalue()))


def test_the_process_that_reads_a_workbook_knows_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = tmp_path / "python"
    told.write_text("#!/bin/sh\ntest -z \"$SECRET_KEY\" && echo '[[]]'\n")
    told.chmod(0o700)
    monkeypatch.setenv("SECRET_KEY", "secret")
    monkeypatch.setattr("sys.executable", str(told))

    assert workbook.read(b"", most_lines=1, most_columns=1) == [[]]


def test_a_cell_that_no_column_takes_is_a_fault_at_once() -> None:
    places = ",".join(["420000"] * 501).replace(",", ";")
    sheet = sheets.read(f"item,quantity,ships_to,unit_price\nmask,1,{places},{'ﷺ' * 100_000}\n".encode())

    assert {column: fault.code for column, fault in sheet.rows[0].faults.items()} == {
        "ships_to": "too_long",
        "unit_price": "too_long",
    }


def test_columns_beyond_the_hundredth_are_not_read() -> None:
    names = [f"other {number}" for number in range(1000)]

    sheet = sheets.read(",".join(["item", "quantity", *names, "note"]).encode() + b"\nmask,1" + b",x" * 1001 + b"\n")

    assert len(sheet.unknown_columns) == sheets.MAX_COLUMNS - 2
    assert sheet.rows == [SheetRow(2, {"item": "mask", "quantity": 1})]


@pytest.mark.parametrize("year", [1900, 9999])
def test_a_date_of_excel_is_in_range_like_a_typed_one(year: int) -> None:
    for cell in (dt.date(year, 1, 31), dt.datetime(year, 1, 31), f"{year}-01-31"):  # noqa: DTZ001  as in a sheet
        assert sheets.PARSERS["certificate_valid_until"](cell) == CellFault("not_a_date")


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
