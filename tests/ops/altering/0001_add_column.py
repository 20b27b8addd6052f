# noqa: N999  Django names a migration so
"""Not of any app: a change of a table that everybody reads, for tests/ops/test_migrating.py."""

from django.db import migrations


class Migration(migrations.Migration):
    operations = [
        migrations.RunSQL(
            "ALTER TABLE catalogue_item ADD COLUMN colour text",
            "ALTER TABLE catalogue_item DROP COLUMN colour",
        )
    ]
