from datetime import timedelta

from django.db import migrations
from django.db.models import F

# As in version 1 of the policy.
HOURS = {'emergency': 2, 'urgent': 10, 'routine': 72}


def give_clocks(apps, schema_editor):
    """Drafts that waited for a coordinator before waiting had a clock get the one that they would have now, counted
    from when they began to wait: whoever has waited longer than that is told of at the next sweep.
    """
    Demand = apps.get_model('demands', 'Demand')
    policy = apps.get_model('policy', 'Policy').objects.order_by('-version').first()
    hours = HOURS | (policy.settings.get('escalation_hours', {}) if policy else {})
    waiting = Demand.objects.filter(state='draft', review_requested_at__isnull=False, escalates_at=None)
    for urgency, count in hours.items():
        waiting.filter(urgency=urgency).update(escalates_at=F('review_requested_at') + timedelta(hours=count))


class Migration(migrations.Migration):

    dependencies = [
        ('demands', '0040_fewer_indexes'),
        ('policy', '0002_drafts'),
    ]

    operations = [migrations.RunPython(give_clocks, migrations.RunPython.noop)]
