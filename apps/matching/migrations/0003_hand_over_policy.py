import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):
    """The policy becomes an app of its own; the rows stay where they are, under a new name."""

    dependencies = [("matching", "0002_initial")]

    operations = [
        pgtrigger.migrations.RemoveTrigger(model_name="policy", name="keep_updated_at"),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.AlterModelTable("policy", "policy_policy")],
            state_operations=[migrations.DeleteModel("policy")],
        ),
    ]
