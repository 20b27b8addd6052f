from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # indexes are built beside the work

    dependencies = [
        ("matching", "0011_one_message_to_a_desk"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="escalation",
            index=models.Index(
                condition=models.Q(("notice_pending", True)),
                fields=["organisation", "id"],
                name="escalation_notice_queue",
            ),
        ),
        AddIndexConcurrently(
            model_name="escalation",
            index=models.Index(
                condition=models.Q(("told_at__isnull", False)),
                fields=["organisation", "told_at"],
                name="escalation_last_told",
            ),
        ),
    ]
