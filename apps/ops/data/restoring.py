"""What is due after the database was put back to an earlier state, before the site runs again.

Rows that came after the backup are gone, and without this their keys would be given again: an old link, or the copy of
a partner, would then be about another row.
"""

from typing import Final

from django.db import connection, transaction

from apps.core.models import Restore

# More keys than a table can have given between a backup and the end.
LIFT: Final = 1_000_000


@transaction.atomic
def note_restore() -> int:
    """Lift every sequence by `LIFT`, and have links and deltas from before refused. Returns how many sequences."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT setval(format('%%I.%%I', schemaname, sequencename)::regclass,
                          least(coalesce(last_value, start_value) + %s, max_value))
            FROM pg_sequences WHERE schemaname = current_schema()
            """,
            [LIFT],
        )
        lifted: int = cursor.rowcount
    Restore.objects.create()
    return lifted
