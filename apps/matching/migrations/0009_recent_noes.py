from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False  # indexes are built beside the work

    dependencies = [
        ("matching", "0008_turns_of_contested_items"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="match",
            index=models.Index(
                fields=["updated_at"],
                condition=Q(state="declined", decline_reason__in=("distance", "standard")),
                name="match_recent_noes",
            ),
        ),
        RemoveIndexConcurrently(model_name="match", name="match_lessons"),
    ]
