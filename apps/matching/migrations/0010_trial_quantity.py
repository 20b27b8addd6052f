"""What is taken back goes through the view of open needs, which knows trial quantities now."""

from django.db import migrations

from apps.core.sql import install


class Migration(migrations.Migration):

    dependencies = [
        ('demands', '0009_trial_quantity'),
        ('matching', '0009_recent_noes'),
    ]

    operations = [
        install("matching", "holds/sql/matching_take_back.sql"),
    ]
