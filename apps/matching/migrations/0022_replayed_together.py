import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('matching', '0030_rematching'),
        ('policy', '0002_drafts'),
    ]

    operations = [
        migrations.AddField(
            model_name='replay',
            name='apart',
            field=models.PositiveIntegerField(default=0, verbose_name='times that too much competed to be decided together'),
        ),
        migrations.AlterField(
            model_name='replay',
            name='draft',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='replays', to='policy.policydraft', verbose_name='draft'),
        ),
    ]
