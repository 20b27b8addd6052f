from django.db import migrations

OPEN = """
CREATE VIEW demands_open AS
SELECT id, match_requested_at AS requested_at,
       coalesce(quantity, (SELECT trial_lot FROM catalogue_item WHERE catalogue_item.id = item_id))
       - quantity_held - quantity_matched AS room,
       quantity_held, updated_at
FROM demands_demand WHERE state = 'open'"""


class Migration(migrations.Migration):
    """What may be asked of suppliers: the needs that are open and how much each still wants, of a trial lot where nobody
    knows.

    Holds are committed through this view (decision 0017), so that what counts as open and wanting stands once.
    """

    dependencies = [("demands", "0041_changes_by_hour")]

    operations = [migrations.RunSQL(OPEN, "DROP VIEW demands_open")]
