from django.db import migrations

from apps.core.sql import install


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0002_plain_triggers'),
    ]

    operations = [
        install("core", "sql/audit_change.sql"),
    ]
