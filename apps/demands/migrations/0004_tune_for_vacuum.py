from django.db import migrations


class Migration(migrations.Migration):
    """A queue changes all the time, so PostgreSQL clears its dead rows after some thousand changes, however large it is."""

    dependencies = [
        ('demands', '0003_states_in_the_words_of_pages'),
    ]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE demands_demand SET (autovacuum_vacuum_scale_factor = 0, "
            "autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0)",
            "ALTER TABLE demands_demand RESET (autovacuum_vacuum_scale_factor, "
            "autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay)",
        ),
    ]
