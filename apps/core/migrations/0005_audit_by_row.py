from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # indexes are built beside the work

    dependencies = [
        ("core", "0004_restores"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="auditentry",
            index=models.Index(fields=["target_id", "target_type", "at"], name="audit_by_row"),
        ),
        RemoveIndexConcurrently(model_name="auditentry", name="audit_by_target"),
    ]
