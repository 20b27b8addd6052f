"""The view of open needs stands in a file of its own."""

from django.db import migrations

from apps.core.sql import install


class Migration(migrations.Migration):
    dependencies = [("demands", "0060_escalating_since")]

    operations = [install("demands", "sql/demands_open.sql")]
