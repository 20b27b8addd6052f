"""Reads an XLSX workbook in a process of its own, with little time and memory and no secrets.

An XLSX is a zip of XML. A file of 50 kB may hold a style sheet that takes minutes to read, or texts that fill the
memory. The system ends the process that tries. This file is that process, too: it runs as a script without the program.
"""

import datetime as dt
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

CPU_SECONDS: Final = 4  # a full sheet of 2,000 rows takes one
MEMORY_BYTES: Final = 256_000_000  # of addresses; Python alone takes some 40 MB
UNPACKED_BYTES: Final = 30_000_000
TEXT_CHARACTERS: Final = 5_000_000  # of all cells together: a text that is stored once may stand in each of them
LONGEST_CELL: Final = 4_000  # in characters; the longest that any column takes has 2,000


class WorkbookError(Exception):
    """`code`: unreadable, too_long (it holds too much), too_costly (it took too much time or memory)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def read(data: bytes, *, most_lines: int, most_columns: int) -> list[list[Any]]:
    """The values of the first sheet, at most so many, without running any formula. Raises `WorkbookError`."""
    from apps.core import confined  # not at the head, which the process of its own runs without the program

    try:
        output = confined.run(
            Path(__file__), data, str(most_lines), str(most_columns),
            cpu_seconds=CPU_SECONDS, memory_bytes=MEMORY_BYTES,
        )  # fmt: skip
    except confined.TooCostlyError as error:
        raise WorkbookError("too_costly") from error
    except confined.BrokenError as error:
        raise WorkbookError("unreadable") from error
    answer = json.loads(output, object_hook=_day)
    if isinstance(answer, str):
        raise WorkbookError(answer)
    lines: list[list[Any]] = answer
    return lines


def _day(member: dict[str, Any]) -> Any:
    return dt.datetime.fromisoformat(member["at"])


# --- In the process of its own ----------------------------------------------------------------------------------------


def _main() -> None:
    most_lines, most_columns = (int(argument) for argument in sys.argv[1:])
    try:
        answer: list[list[Any]] | str = _cells(sys.stdin.buffer.read(), most_lines, most_columns)
    except WorkbookError as problem:
        answer = problem.code
    except MemoryError:
        answer = "too_costly"
    except Exception:  # noqa: BLE001  a broken file breaks anywhere in the library, with whatever comes up
        answer = "unreadable"
    sys.stdout.write(json.dumps(answer))


def _cells(data: bytes, most_lines: int, most_columns: int) -> list[list[Any]]:
    # The sizes stand in the directory of the archive, so nothing is unpacked to learn them.
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > UNPACKED_BYTES:
            raise WorkbookError("too_long")

    # openpyxl looks for these two. One would take most of the memory; the other has limits of its own, and its error
    # for them is that of a broken file.
    sys.modules |= {"numpy": None, "lxml": None}  # type: ignore[dict-item]  # an import of them fails
    import openpyxl

    load: Any = openpyxl.load_workbook  # ships no types
    sheet = load(io.BytesIO(data), read_only=True, data_only=True, keep_links=False).worksheets[0]
    sheet.reset_dimensions()  # some writers state them wrong
    lines: list[list[Any]] = []
    left = TEXT_CHARACTERS
    for row in sheet.iter_rows(max_row=most_lines, max_col=most_columns, values_only=True):
        lines.append([_plain(cell) for cell in row])
        left -= sum(len(cell) for cell in lines[-1] if isinstance(cell, str))
        if left < 0:
            raise WorkbookError("too_long")
    return lines


def _plain(cell: Any) -> Any:
    """The cell as JSON holds it."""
    if isinstance(cell, dt.datetime):
        return {"at": cell.isoformat()}
    if isinstance(cell, dt.date):
        return {"at": dt.datetime(cell.year, cell.month, cell.day).isoformat()}  # noqa: DTZ001  a day has no zone
    return cell if cell is None or isinstance(cell, bool | int | float) else str(cell)[:LONGEST_CELL]


if __name__ == "__main__":
    _main()
