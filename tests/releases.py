"""Dumps of the released schemas with the demo in them: the upgrade from each is tested (`tests/test_upgrade.py`).

    .venv/bin/python -m tests.releases 0.3.0

makes that of the next release, right before it is cut: servers of its own, all migrations, the reference data, the
demo, and `pg_dump` as plain SQL in `tests/data/releases/0.3.0.sql.gz`. Never make an old one again.
"""

import gzip
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import psycopg

FOLDER: Final = Path(__file__).parent / "data/releases"

# What psql alone understands, and a setting that PostgreSQL 16 lacks.
_NOT_FOR_ALL: Final = re.compile(rb"^(\\(un)?restrict |SET transaction_timeout).*\n", re.MULTILINE)


def path_of(version: str) -> Path:
    return FOLDER / f"{version}.sql.gz"


def all_versions() -> list[str]:
    return sorted(path.name.removesuffix(".sql.gz") for path in FOLDER.glob("*.sql.gz"))


def restore(version: str, **connected: Any) -> None:
    """Fill an empty database from the dump of a release."""
    with psycopg.connect(**connected, autocommit=True) as server:
        server.execute("SET check_function_bodies = off")
        server.execute(gzip.decompress(path_of(version).read_bytes()))


def make(version: str) -> Path:
    from apps.local import embedded
    from apps.local.binaries import postgres_binaries

    with tempfile.TemporaryDirectory(prefix="cosmomatch-release-") as folder:
        var = Path(folder)
        url = embedded.database_url(var)
        environment = os.environ | {
            "VAR_DIR": folder,
            "DATABASE_URL": url,
            "REDIS_URL": embedded.redis_url(var),
            "LOG_LEVEL": "WARNING",
        }
        with embedded.use(var, must_own=True):
            for command in (["migrate", "-v0"], ["load_reference"], ["demo"], ["match", "--take-stock"]):
                subprocess.run([sys.executable, "manage.py", *command], env=environment, check=True)
            dump = subprocess.run(
                [postgres_binaries(None).path / "pg_dump", "--no-owner", "--rows-per-insert=1000", url],
                stdout=subprocess.PIPE,
                check=True,
            ).stdout
    path = path_of(version)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(_NOT_FOR_ALL.sub(b"", dump), compresslevel=9, mtime=0))
    return path


if __name__ == "__main__":
    print(make(sys.argv[1]))  # noqa: T201  a command
