import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('notifications', '0005_used_links_by_time'),
    ]

    operations = [
        migrations.AddField(
            model_name='message',
            name='turn_at',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
        ),
        migrations.AddField(
            model_name='message',
            name='urgency',
            field=models.SmallIntegerField(choices=[(0, 'Emergency'), (1, 'Urgent'), (2, 'Routine')], db_default=2),
        ),
    ]
