"""The functions that commit holds stand in files of their own, and name what they read."""

from django.db import migrations

from apps.core.sql import install, name_foreign_key


class Migration(migrations.Migration):
    dependencies = [
        ("matching", "0070_prices_by_currency"),
        ("demands", "0070_install_sql"),
        ("supply", "0070_install_sql"),
    ]

    operations = [
        migrations.RunSQL(
            "DROP FUNCTION matching_hold; DROP FUNCTION matching_hold_one; DROP TYPE matching_ask",
            migrations.RunSQL.noop,
        ),
        name_foreign_key("match", "demand", "match_demand_exists"),
        name_foreign_key("match", "responded_by", "match_responded_by_exists"),
        install(
            "matching",
            "holds/sql/matching_hold_request.sql",
            "holds/sql/matching_take_back.sql",
            "holds/sql/matching_hold.sql",
            "holds/sql/matching_hold_one.sql",
        ),
    ]
