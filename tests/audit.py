"""`python -m tests.audit`: no locked package has a hole that `requirements/advisories.toml` names. Needs no network."""

import datetime as dt
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from packaging.specifiers import SpecifierSet

REQUIREMENTS: Final = Path(__file__).parent.parent / "requirements"
# Then the list says little about what was found since.
OLD: Final = dt.timedelta(days=90)


def locked(text: str) -> dict[str, str]:
    """The version of each package in a lock file."""
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", text, re.MULTILINE))


def holes(versions: Mapping[str, str], advisories: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each locked package that an advisory is about."""
    for advisory in advisories:
        version = versions.get(advisory["package"])
        if version and version in SpecifierSet(advisory["affected"]):
            yield f"{advisory['package']} {version} has {advisory['id']} (affected: {advisory['affected']})"


def main() -> int:
    known = tomllib.loads((REQUIREMENTS / "advisories.toml").read_text())
    versions = locked((REQUIREMENTS / "dev.txt").read_text()) | locked((REQUIREMENTS / "base.txt").read_text())
    found = list(holes(versions, known["advisory"]))
    for line in found:
        sys.stderr.write(f"{line}\n")
    if (age := dt.datetime.now(dt.UTC).date() - known["reviewed"]) > OLD:
        sys.stderr.write(f"The packages were reviewed {age.days} days ago: `make lock`, and see what is new.\n")
    return bool(found)


if __name__ == "__main__":
    raise SystemExit(main())
