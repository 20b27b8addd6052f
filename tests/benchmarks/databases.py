"""Databases beside that of the market: each world of a benchmark has its own, and all stand in one server."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from django.db import connection


@contextmanager
def use(name: str, *, template: str | None = None, anew: bool = False) -> Iterator[None]:
    """Work in the database of this name, and go back to the market's. Processes that start meanwhile work in it too.

    It is made as a copy of `template`, or of the market. Made `anew`, it is deleted first.
    """
    settings = connection.settings_dict
    market = settings["NAME"]
    where = psycopg.conninfo.make_conninfo(host=settings["HOST"], user=settings["USER"], dbname="postgres")
    _leave()
    with psycopg.connect(where, autocommit=True) as server:
        if anew:
            server.execute(f"DROP DATABASE IF EXISTS {name}")
        if not server.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchall():
            server.execute(f"CREATE DATABASE {name} TEMPLATE {template or market}")
    url = os.environ["DATABASE_URL"]
    settings["NAME"] = name
    os.environ["DATABASE_URL"] = urlsplit(url)._replace(path=f"/{name}").geturl()
    try:
        yield
    finally:
        _leave()
        settings["NAME"], os.environ["DATABASE_URL"] = market, url


def _leave() -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # of the PostgreSQL wrapper
