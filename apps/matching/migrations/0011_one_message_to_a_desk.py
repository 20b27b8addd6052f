from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("matching", "0010_trial_quantity"),
    ]

    operations = [
        migrations.AddField(
            model_name="escalation",
            name="notice_pending",
            field=models.BooleanField(db_default=False, editable=False),
        ),
        migrations.AddField(
            model_name="escalation",
            name="told_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
    ]
