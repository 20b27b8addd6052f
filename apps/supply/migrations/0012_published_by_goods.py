from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False  # indexes are built beside the work

    dependencies = [
        ("supply", "0011_question_clock"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="offer",
            index=models.Index(
                fields=["organisation", "item"], condition=Q(state="published"), name="offer_published_by_goods"
            ),
        ),
    ]
