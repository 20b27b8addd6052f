"""Reasons without the names of their parts, in a column beside the old one: new rows of matches take less than half.

The old column stays for the version before, which reads and writes it. No row is written anew.
"""

from django.db import migrations, models

from apps.core.sql import install
from apps.matching.models.reasons import ReasonsField


class Migration(migrations.Migration):

    dependencies = [
        ('matching', '0006_contested_items'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameField(model_name='match', old_name='terms', new_name='terms_before'),
                migrations.AlterField(
                    model_name='match',
                    name='terms_before',
                    field=models.JSONField(db_column='terms', default=list, editable=False),
                ),
            ],
        ),
        migrations.AlterField(
            model_name='match',
            name='terms_before',
            field=models.JSONField(db_column='terms', db_default=[], default=list, editable=False),
        ),
        migrations.AddField(
            model_name='match',
            name='packed_terms',
            field=ReasonsField(null=True, verbose_name='reasons'),
        ),
        install("matching", "holds/sql/matching_hold.sql", "holds/sql/matching_hold_one.sql"),
    ]
