from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models.functions import Coalesce


class Migration(migrations.Migration):
    atomic = False  # indexes are built beside the work

    dependencies = [
        ("demands", "0007_tier_at_the_desk"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="demand",
            index=models.Index(
                models.Case(
                    models.When(then=0, urgency="emergency"),
                    models.When(then=1, urgency="urgent"),
                    models.When(then=2, urgency="routine"),
                ),
                Coalesce("tier", models.Value(1)),
                Coalesce("days_of_supply", models.Value(32767)),
                models.F("opened_at"),
                models.F("id"),
                condition=models.Q(("escalation_level__gt", 0), ("state", "open")),
                name="demand_most_pressing",
            ),
        ),
        RemoveIndexConcurrently(model_name="demand", name="demand_escalated"),
    ]
