"""What is wrong with this deployment. Each probe answers with nothing, or with a sentence for the operator."""

import functools
import shutil
import time
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta

from django.apps import apps
from django.conf import settings
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone
from redis.exceptions import RedisError

from apps.ops import roles, upkeep
from apps.ops.tasks import BEAT_KEY, WORKER_KEY

Probe = Callable[[], str]

# Each is many times the interval of the task that it watches (cosmomatch/celery.py), so that a busy minute is no alarm.
HEARD_SECONDS = 60
MESSAGE_LATE = timedelta(minutes=5)
MATCHING_LATE = timedelta(minutes=2)
INDEXING_LATE = timedelta(minutes=10)
# No transaction of the program waits for a network, and the longest sweep takes less.
TRANSACTION_LONG = timedelta(minutes=15)
LEAST_FREE_BYTES = 50_000_000
# More dead rows than this, and more than live ones: PostgreSQL does not get to clear the queue.
DEAD_ROWS = 50_000


def database() -> str:
    """Whether it can be written to, and has the tables of this version.

    A database that was told to be a replica answers, and takes nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'")
        (read_only,) = cursor.fetchone()
        if read_only:
            return "The database can only be read."
        cursor.execute("SELECT app, name FROM django_migrations")
        behind = _own_migrations().difference(cursor.fetchall())
    return "The tables are behind this version: run manage.py migrate." if behind else ""


@functools.cache
def _own_migrations() -> frozenset[tuple[str, str]]:
    """Of the apps of this program, as they stand on the disk. To look there takes too long for a probe."""
    found = MigrationLoader(None, load=False)
    found.load_disk()
    return frozenset(key for key, one in found.disk_migrations.items() if type(one).__module__.startswith("apps."))


def disk() -> str:
    """Room for what people upload, and for long answers."""
    free = shutil.disk_usage(settings.VAR_DIR).free
    return f"The disk that holds VAR_DIR is full: {free // 1_000_000} MB are free." if free < LEAST_FREE_BYTES else ""


def redis() -> str:
    # Any read will do: `_ask` turns the client's error into words.
    cache.get(WORKER_KEY)
    return ""


def worker() -> str:
    return _silence(WORKER_KEY, "worker")


def beat() -> str:
    return _silence(BEAT_KEY, "beat")


def _silence(key: str, who: str) -> str:
    heard: float | None = cache.get(key)
    if heard is None:
        return f"No {who} was heard from."
    seconds = time.time() - heard
    return f"The {who} was last heard from {seconds:.0f} seconds ago." if seconds > HEARD_SECONDS else ""


def migrations() -> str:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"{len(missing)} migrations are not applied: run manage.py migrate." if missing else ""


def chinese_search() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'")
        if not cursor.fetchone():
            return "The extension pg_trgm is not there: run manage.py migrate."
        # With the character type C, pg_trgm takes Chinese characters for punctuation, and finds no trigrams in them.
        cursor.execute("SELECT show_trgm('口罩') = '{}'")
        found_nothing = cursor.fetchone() == (True,)
    return (
        "Searches in Chinese find nothing: the database needs a UTF-8 character type (LC_CTYPE)."
        if found_nothing
        else ""
    )


def database_role() -> str:
    """Only in production: elsewhere people run commands as the owner of the tables."""
    if not settings.PRODUCTION:
        return ""
    with connection.cursor() as cursor:
        cursor.execute(roles.TOO_STRONG)
        (too_strong,) = cursor.fetchone()
    return "The role of this connection could change the audit trail: use cosmomatch_program." if too_strong else ""


def outbox() -> str:
    """Messages that should have been tried a while ago."""
    # By name, so that this module can be imported before the apps are loaded.
    Message = apps.get_model("notifications", "Message")
    late = Message.objects.due(timezone.now() - MESSAGE_LATE).count()
    return f"{late} messages wait for more than {MESSAGE_LATE} to be sent." if late else ""


def matching() -> str:
    """Open demands that asked to be matched and were not looked at."""
    Demand = apps.get_model("demands", "Demand")
    late = Demand.objects.open().filter(match_requested_at__lt=timezone.now() - MATCHING_LATE).count()
    return f"{late} demands wait for more than {MATCHING_LATE} to be matched." if late else ""


def offer_index() -> str:
    """Offers that changed long ago and are not indexed yet: matching is slow then, not wrong."""
    OfferChange = apps.get_model("supply", "OfferChange")
    waiting = OfferChange.objects.filter(changed_at__lt=timezone.now() - INDEXING_LATE).count()
    return f"{waiting} offers wait for more than {INDEXING_LATE} to be indexed." if waiting else ""


def transactions() -> str:
    """A transaction that is open for so long that dead rows pile up behind it."""
    age = upkeep.oldest_transaction()
    if age < TRANSACTION_LONG:
        return ""
    return f"A transaction has been open for {str(age).split('.', maxsplit=1)[0]}: see pg_stat_activity."


def dead_rows() -> str:
    """Queues that PostgreSQL does not clear: claiming work slows down."""
    full = [
        f"{table} has {rows.dead} dead rows beside {rows.live} live ones"
        for table, rows in upkeep.queues().items()
        if rows.dead > max(DEAD_ROWS, rows.live)
    ]
    return f"{', '.join(full)}: look for an old transaction, and whether autovacuum is on." if full else ""


def documents() -> str:
    try:
        default_storage.exists("health")
    except OSError as error:
        return f"Documents can be neither kept nor shown: {error.strerror}."
    return ""


def static_files() -> str:
    if settings.STATIC_ROOT and not (settings.STATIC_ROOT / "staticfiles.json").exists():
        return "The static files are not there: run manage.py collectstatic."
    return ""


# Readiness is what a load balancer asks every few seconds. Health is for operators, and its probes may read tables.
READINESS: Mapping[str, Probe] = {
    "database": database,
    "disk": disk,
    "redis": redis,
    "worker": worker,
    "beat": beat,
}
# This node can take a request and keep what it says while these are well. The others are told and do not count: without
# them what is written waits in its rows, and no other node would do better.
KEPT_IN_REDIS: Collection[str] = {"worker", "beat"}
NEEDED: Collection[str] = {"database", "disk"}
HEALTH: Mapping[str, Probe] = {
    **READINESS,
    "database role": database_role,
    "migrations": migrations,
    "chinese search": chinese_search,
    "outbox": outbox,
    "matching": matching,
    "offer index": offer_index,
    "transactions": transactions,
    "dead rows": dead_rows,
    "documents": documents,
    "static files": static_files,
}


def run(probes: Mapping[str, Probe]) -> dict[str, str]:
    """Run the probes. By name: a sentence for a problem, else an empty text. A probe that fails reports that."""
    found: dict[str, str] = {}
    for name, probe in probes.items():
        # A Redis that hangs costs its time-out once and not three times.
        found[name] = found["redis"] if name in KEPT_IN_REDIS and found.get("redis") else _ask(probe)
    return found


def _ask(probe: Probe) -> str:
    try:
        return probe()
    except RedisError:
        return "Redis does not answer."
    except DatabaseError as error:
        return f"The database does not answer: {str(error).strip().splitlines()[0] if str(error).strip() else error!r}"
