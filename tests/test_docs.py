"""The page on OWASP ASVS says something of each requirement, and names nothing that is not there."""

import csv
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "asvs.md"
STATES = {"held", "in part", "not held", "n/a"}

Row = tuple[str, str, str, str]


def rows() -> list[Row]:
    """Line, state, what holds it, tests and files."""
    table = PAGE.read_text(encoding="utf-8").partition("\n## The table\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")][2:]
    assert {len(line) for line in lines} == {4}
    return [(one.strip(), two.strip(), three.strip(), four.strip()) for one, two, three, four in lines]


def number(line: str) -> tuple[int, ...]:
    return tuple(int(part) for part in line.removesuffix(" (level 3)").split("."))


def test_each_requirement_of_two_levels_has_one_row_in_its_order() -> None:
    with (ROOT / "tests" / "data" / "asvs-5.0.csv").open(encoding="utf-8") as file:
        wanted = [number(row["requirement"]) for row in csv.DictReader(line for line in file if line[0] != "#")]
    told = [number(line) for line, *_rest in rows()]
    of_both_levels = [number(line) for line, *_rest in rows() if "level 3" not in line]

    assert len(wanted) == 253
    assert told == sorted(set(told))
    # A row may stand for a section or a chapter.
    times = {one: sum(one[: len(row)] == row for row in of_both_levels) for one in wanted}
    assert {one: count for one, count in times.items() if count != 1} == {}
    assert [row for row in of_both_levels if not any(one[: len(row)] == row for one in wanted)] == []


def test_no_row_is_empty_and_what_is_held_names_what_holds_it() -> None:
    assert [row for row in rows() if not all(row) or row[1] not in STATES] == []
    assert [
        row for row in rows() if row[1] == "in part" and "issing" not in row[2] and "on purpose" not in row[2]
    ] == []
    assert [row for row in rows() if row[1] in {"held", "in part"} and "`" not in row[3]] == []


def test_each_test_and_file_that_the_table_names_is_there() -> None:
    tests = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    named = {name for row in rows() for name in re.findall(r"`([^`]+)`", row[3])}

    assert {name for name in named if name not in tests and not (ROOT / name).is_file()} == set()


def test_each_file_in_the_rest_of_the_page_is_there() -> None:
    named = set(re.findall(r"`((?:apps|docs|tests|docker|requirements|cosmomatch)/[\w./-]+)`", PAGE.read_text("utf-8")))

    assert {name for name in named if not (ROOT / name).exists()} == set()
