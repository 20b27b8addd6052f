"""Reasons without the names of their parts: rows of matches shrink to less than half.

PostgreSQL writes the table and its indexes anew, and nobody reads or writes a match meanwhile (docs/operations.md).
"""

from django.db import migrations

from apps.core.sql import install
from apps.matching.models.reasons import ReasonsField

PACK = """
    ALTER TABLE matching_match ALTER COLUMN terms TYPE text USING concat(
        '[', jsonb_path_query_array(terms, '$[*].name'), ',', jsonb_path_query_array(terms, '$[*].value'),
        ',', jsonb_path_query_array(terms, '$[*].score'), ',', jsonb_path_query_array(terms, '$[*].weight'), ']'
    );
"""


class Migration(migrations.Migration):

    dependencies = [
        ('matching', '0006_contested_items'),
    ]

    operations = [
        migrations.RunSQL(
            PACK,
            state_operations=[
                migrations.AlterField(
                    model_name='match',
                    name='terms',
                    field=ReasonsField(default=list, verbose_name='reasons'),
                ),
            ],
        ),
        install("matching", "holds/sql/matching_hold.sql", "holds/sql/matching_hold_one.sql"),
    ]
