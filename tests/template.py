"""A database with all tables, made once for each state of the migrations. Test databases are copies of it.

Running all migrations takes some twenty seconds of computing, and each worker of each run would do it anew. The
template stays in the cluster in `var/test`. It is only made in servers of our own: on others it would be left behind.
"""

import fcntl
import hashlib
import os
from pathlib import Path
from typing import Final

from django.core.management import call_command
from django.db import connection

from apps.local import embedded

ROOT: Final = Path(__file__).resolve().parent.parent
PREFIX: Final = "template_"


def use() -> None:
    """Have the test database that is made next copied from the template, which is made if it is not there."""
    var = Path(os.environ["VAR_DIR"])
    if os.environ["DATABASE_URL"] != embedded.database_url(var):
        return
    name = PREFIX + state_of_migrations()
    with (var / "template.lock").open("a") as lock:
        # The first worker makes it; the others wait here.
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = _templates()
        if name not in kept:
            _drop(*kept)
            _make(name)
    connection.settings_dict["TEST"]["TEMPLATE"] = name


def state_of_migrations() -> str:
    """A hash of all files that migrations are made of. A test database runs those that were added since anyway."""
    files = [*ROOT.glob("apps/*/migrations/*.py"), *ROOT.glob("apps/**/*.sql")]
    files += [ROOT / "apps" / "core" / "sql.py", ROOT / "apps" / "ops" / "roles.py"]
    found = hashlib.sha256((ROOT / "requirements" / "base.txt").read_bytes())
    for file in sorted(files):
        found.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return found.hexdigest()[:16]


def _templates() -> list[str]:
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [PREFIX])
        return [name for (name,) in cursor.fetchall()]


def _drop(*names: str) -> None:
    with connection._nodb_cursor() as cursor:
        for name in names:
            cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _make(name: str) -> None:
    """Under another name until it is whole, so that a run that is broken off leaves no half template."""
    usual, unfinished = connection.settings_dict["NAME"], f"{PREFIX}unfinished"
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{unfinished}"')
    connection.close()
    connection.settings_dict["NAME"] = unfinished
    try:
        call_command("migrate", verbosity=0)
    finally:
        connection.close()
        connection.settings_dict["NAME"] = usual
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{unfinished}" RENAME TO "{name}"')
