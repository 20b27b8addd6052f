from django.db import migrations


class Migration(migrations.Migration):
    """A queue changes all the time, so PostgreSQL clears its dead rows after some thousand changes, however large it is."""

    dependencies = [
        ('notifications', '0002_plain_triggers'),
    ]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE notifications_message SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, "
            "autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0)",
            "ALTER TABLE notifications_message RESET (fillfactor, autovacuum_vacuum_scale_factor, "
            "autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay)",
        ),
    ]
