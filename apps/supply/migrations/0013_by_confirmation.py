from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False  # indexes are built beside the work

    dependencies = [
        ("supply", "0012_published_by_goods"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="offer",
            index=models.Index(
                fields=["item", "confirmed_at"],
                condition=Q(state__in=["published", "stale", "paused"]),
                name="offer_by_confirmation",
            ),
        ),
    ]
