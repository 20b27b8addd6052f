from django.db import migrations

PUBLISHED = """
CREATE VIEW supply_published AS
SELECT id, confirmed_at, quantity - quantity_reserved AS room, quantity_reserved, updated_at
FROM supply_offer WHERE state = 'published'"""


class Migration(migrations.Migration):
    """What suppliers can be asked for: the offers that are published and how much of each is free.

    Holds are committed through this view (decision 0017), so that what counts as published and free stands once.
    """

    dependencies = [("supply", "0041_changes_by_hour")]

    operations = [migrations.RunSQL(PUBLISHED, "DROP VIEW supply_published")]
