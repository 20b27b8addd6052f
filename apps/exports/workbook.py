"""An XLSX workbook of one sheet, packed while it is written. PostgreSQL writes its rows as XML (`columns.for_sheet`).

A library would hold each cell as an object: a second of computing for a thousand rows. What a workbook needs beside its
rows is small and fixed: ECMA-376, part 1 (SpreadsheetML), and part 2 (the package).
"""

import zipfile
from collections.abc import Generator, Sequence
from typing import IO, Any, Final, cast

MOST_ROWS: Final = 200_000  # more is for programs; Excel itself takes a million

# The styles that cells name by their place in `cellXfs`.
TIME_STYLE, DAY_STYLE, HEADER_STYLE = 1, 2, 3

_XML: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"

_PARTS: Final = {
    "[Content_Types].xml": f"""{_XML}<Types xmlns="{_PACKAGE}/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>
<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>
<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/>
</Types>""",
    "_rels/.rels": f"""{_XML}<Relationships xmlns="{_PACKAGE}/relationships">
<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>
</Relationships>""",
    "xl/_rels/workbook.xml.rels": f"""{_XML}<Relationships xmlns="{_PACKAGE}/relationships">
<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>
<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/>
</Relationships>""",
    "xl/workbook.xml": f"""{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">
<sheets><sheet name="{{name}}" sheetId="1" r:id="rId1"/></sheets>
</workbook>""",
    "xl/styles.xml": f"""{_XML}<styleSheet xmlns="{_MAIN}">
<numFmts count="2">
<numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/><numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd"/>
</numFmts>
<fonts count="2">
<font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font>
</fonts>
<fills count="2">
<fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>
</fills>
<borders count="1"><border/></borders>
<cellStyleXfs count="1"><xf/></cellStyleXfs>
<cellXfs count="4">
<xf xfId="0"/>
<xf xfId="0" numFmtId="164" applyNumberFormat="1"/>
<xf xfId="0" numFmtId="165" applyNumberFormat="1"/>
<xf xfId="0" fontId="1" applyFont="1"/>
</cellXfs>
<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>
</styleSheet>""",
}


def packed(
    name: str, columns: Sequence[str], rows: Generator[bytes, None, None], block: int
) -> Generator[bytes, None, None]:
    """The bytes of a workbook whose sheet has a header that stays in place, and these rows of XML.

    Names of sheet and columns are our own words and need no escapes.
    """
    outlet = _Outlet()
    try:
        with zipfile.ZipFile(cast("IO[bytes]", outlet), "w", zipfile.ZIP_DEFLATED, compresslevel=1) as package:
            for path, text in _PARTS.items():
                package.writestr(path, text.replace("{name}", name))
            with package.open("xl/worksheets/sheet1.xml", "w") as sheet:
                sheet.write(_head(columns).encode())
                for xml in rows:
                    sheet.write(xml)
                    if len(outlet.waiting) >= block:
                        yield outlet.taken()
                sheet.write(b"</sheetData></worksheet>")
        yield outlet.taken()
    finally:
        rows.close()


def _head(columns: Sequence[str]) -> str:
    cells = "".join(f'<c s="{HEADER_STYLE}" t="inlineStr"><is><t>{name}</t></is></c>' for name in columns)
    return (
        f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
        '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
        f'<cols><col min="1" max="{len(columns)}" width="18" customWidth="1"/></cols><sheetData><row>{cells}</row>\n'
    )


class _Outlet:
    """What a package is written to, a little at a time. It has no place to go back to, so the package never does."""

    def __init__(self) -> None:
        self.waiting = bytearray()

    def write(self, data: Any) -> int:
        self.waiting += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits elsewhere."""

    def taken(self) -> bytes:
        data = bytes(self.waiting)
        self.waiting.clear()
        return data
