"""A second database, for what is restored or upgraded."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from psycopg import connect
from psycopg.conninfo import make_conninfo

from apps.local.binaries import postgres_binaries

NAME = "cosmomatch_another"


def connected_by() -> dict[str, Any]:
    """What psycopg and `pg_dump` reach the present database by."""
    parameters = connection.get_connection_params()
    return {key: parameters[key] for key in ("dbname", "host", "port", "user", "password") if parameters.get(key)}


@contextmanager
def another_database() -> Iterator[dict[str, Any]]:
    """An empty database, which Django's connection goes to meanwhile. Gives what psycopg connects by."""
    settings, ours = connection.settings_dict, connected_by()
    connection.close()
    with connect(**ours, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {NAME}")
        server.execute(f"CREATE DATABASE {NAME}")
        settings["NAME"] = NAME
        try:
            yield ours | {"dbname": NAME}
        finally:
            connection.close()
            settings["NAME"] = ours["dbname"]
            server.execute(f"DROP DATABASE {NAME}")


def dump(**connected: Any) -> bytes:
    """A database as `pg_dump` writes it for `pg_restore`."""
    return subprocess.run(
        [
            postgres_binaries(None).path / "pg_dump",
            "--format=custom",
            "--no-owner",
            make_conninfo(**connected),
        ],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout


def restore(dumped: bytes, url: str) -> None:
    command = [str(postgres_binaries(None).path / "pg_restore"), "--no-owner", "--exit-on-error", f"--dbname={url}"]
    subprocess.run(command, input=dumped, check=True)
