"""`manage.py anonymise --yes`: make a restored dump fit for a test system."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError, connection
from django.utils.crypto import get_random_string
from psycopg.errors import InsufficientPrivilege

from apps.ops.data.anonymising import DOMAIN, anonymise


class Command(BaseCommand):
    help = "Replace every name, address, contact, note and secret in this database, and delete all documents."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--yes", action="store_true", help="do it; it cannot be undone")

    def handle(self, *_args: Any, yes: bool, **_options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("This is production (ENVIRONMENT). Restore a dump into a database of its own first.")
        if settings.FILES_URL:
            raise CommandError("FILES_URL names a bucket, maybe that of production. A test system has its own VAR_DIR.")
        database = f"{connection.settings_dict['NAME']} on {connection.settings_dict['HOST'] or 'this machine'}"
        if not yes:
            raise CommandError(
                f"This would replace every name, contact, note and secret in the database {database}, and delete"
                f" {settings.MEDIA_ROOT}. It cannot be undone. Call again with --yes to do it."
            )
        password = get_random_string(20)
        try:
            anonymise(password, say=self.stdout.write)
        except ProgrammingError as error:
            if not isinstance(error.__cause__, InsufficientPrivilege):
                raise
            raise CommandError(
                "This role may not pass over triggers. Run the command as the owner of the database, whom a superuser"
                " allows it: GRANT SET ON PARAMETER session_replication_role TO owner"
            ) from error
        self.stdout.write(
            f"Done: {database}. Person 7 logs in as person-7@{DOMAIN}. The password of all is {password}\n"
            "Old versions of rows lie in the files of the database until a VACUUM FULL. Hand on a new dump."
        )
