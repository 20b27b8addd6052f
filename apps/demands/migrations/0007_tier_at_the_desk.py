from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("demands", "0006_level_of_escalation"),
    ]

    operations = [
        migrations.AddField(
            model_name="demand",
            name="tier",
            field=models.PositiveSmallIntegerField(blank=True, editable=False, null=True, verbose_name="tier"),
        ),
    ]
