from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_announced_state'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='organisation',
            index=models.Index(
                condition=models.Q(('state', 'verified'), _negated=True), fields=['id'], name='organisation_not_verified'
            ),
        ),
    ]
