"""`manage.py migrate` while the site runs: it waits for no lock for long, because everybody would wait behind it."""

import time
from typing import Any, Final

from django.conf import settings
from django.core.management import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from psycopg.errors import LockNotAvailable

# A change of a table waits for all who read it, and who comes later waits behind it. So it gives up soon, lets them
# pass, and comes again. The longest reader is an export, which may take ten minutes.
LOCK_SECONDS: Final = 2
PAUSES: Final = (1, 2, 4, 8, 15, 30, 60, 60, 120, 120, 120, 120)


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        if settings.DATABASE_IS_POOLED:
            raise CommandError(
                "The pooler lends a connection for one transaction, and to migrate takes one for longer: "
                "let DATABASE_URL name PostgreSQL itself, without DATABASE_IS_POOLED."
            )
        self.database = options["database"]
        database = connections[self.database]
        try:
            self._until_locks_are_free(*args, **options)
        finally:
            if database.connection is not None and database.is_usable():
                with database.cursor() as cursor:
                    cursor.execute("RESET lock_timeout")

    def _until_locks_are_free(self, *args: Any, **options: Any) -> None:
        for pause in PAUSES:
            try:
                super().handle(*args, **options)
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable):
                    raise
                self.stderr.write(f"A table is in use; trying again in {pause} s.")
                time.sleep(pause)
            else:
                return
        super().handle(*args, **options)

    def migration_progress_callback(self, action: str, migration: Any = None, fake: bool = False) -> None:
        if action in {"apply_start", "unapply_start"}:
            # One that is not atomic makes an index concurrently. It waits without a lock that anybody waits for, and
            # cannot simply begin again.
            with connections[self.database].cursor() as cursor:
                cursor.execute(f"SET lock_timeout = '{LOCK_SECONDS if migration.atomic else 0}s'")
        super().migration_progress_callback(action, migration, fake)
