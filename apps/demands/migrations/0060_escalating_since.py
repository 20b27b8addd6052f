from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Coalesce


def say_since(apps, schema_editor):
    """Clocks that run began when the need was opened, or when it began to wait for a coordinator."""
    Demand = apps.get_model('demands', 'Demand')
    running = Demand.objects.filter(escalates_at__isnull=False)
    running.update(escalating_since=Coalesce('review_requested_at', 'opened_at', 'created_at'))


class Migration(migrations.Migration):

    dependencies = [
        ('demands', '0051_counting_says_when'),
    ]

    operations = [
        migrations.AddField(
            model_name='demand',
            name='escalating_since',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.RunPython(say_since, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name='demand',
            constraint=models.CheckConstraint(
                condition=Q(escalates_at=None) | Q(escalating_since__isnull=False), name='demand_escalates_since'
            ),
        ),
    ]
