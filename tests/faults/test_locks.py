"""What a frozen process has locked is free again soon."""

import time

import psycopg
import pytest

from apps.local import embedded
from tests.faults.deployment import Deployment
from tests.local.processes import eventually

# Without the mark no test database is made, and there would be no tables to copy.
pytestmark = [pytest.mark.servers, pytest.mark.long, pytest.mark.django_db]

LOCK_AND_FREEZE = """
import os, signal
import django
django.setup()
from django.db import connection, transaction
with transaction.atomic(), connection.cursor() as cursor:
    cursor.execute("UPDATE django_migrations SET app = app")
    print("locked", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""


def test_a_frozen_worker_lets_its_rows_go_within_half_a_minute(deployment: Deployment) -> None:
    environment = {"PROCESS": "worker", "DJANGO_SETTINGS_MODULE": "cosmomatch.settings"}
    with deployment.running("frozen", "-c", LOCK_AND_FREEZE, **environment):
        eventually(lambda: "locked" in deployment.log("frozen").read_text(), "the lock")
        began = time.monotonic()
        with psycopg.connect(embedded.database_url(deployment.var), autocommit=True) as web:
            web.execute("SET lock_timeout = '5s'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                web.execute("UPDATE django_migrations SET app = app")
            web.execute("SET lock_timeout = '25s'")
            web.execute("UPDATE django_migrations SET app = app")
        assert time.monotonic() - began < 25
