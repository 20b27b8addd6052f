"""What is sought of an unknown quantity where the trial lot is below every minimum order."""

from django.db import migrations, models

from apps.core.sql import install


class Migration(migrations.Migration):

    dependencies = [
        ('demands', '0008_most_pressing_first'),
    ]

    operations = [
        migrations.AddField(
            model_name='demand',
            name='trial_quantity',
            field=models.BigIntegerField(editable=False, null=True, verbose_name='trial quantity'),
        ),
        install("demands", "sql/demands_open.sql"),
    ]
