"""The view of published offers stands in a file of its own."""

from django.db import migrations

from apps.core.sql import install


class Migration(migrations.Migration):
    dependencies = [("supply", "0051_counting_says_when")]

    operations = [install("supply", "sql/supply_published.sql")]
